//! The core's connection and the watcher, side by side: over random conversations, and in each case
//! in which the rules of the two were once different. How they are compared is `pair.rs`.

use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode, Flags,
    connection::{OnAmbiguous, OrderingDomain, UnmarkedPushes},
};
use flamingo_testkit::Truth;
use flamingo_testkit::ops::{self, Op};
use flamingo_testkit::stream::Input;

use super::pair::{Pair, Seen};
use super::*;

const UNSOLICITED: FrameClass = FrameClass::Unsolicited { ours: false };

fn default() -> Pair {
    Pair::new(Config::default(), 0)
}

/// The device sends that frame, whatever it was asked.
fn sends(pair: &mut Pair, frame: Frame) -> FrameClass {
    pair.kept = false;
    pair.device.send(Frame { status: 1, ..frame }, Vec::new(), Truth::Push);
    pair.pump();
    *pair.classes.last().unwrap()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

fn halt() -> Frame {
    Frame::command(CommandCode::STAGE_HALT).with_selector(1)
}

fn image_size() -> Frame {
    Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET)
}

fn laser_level() -> Frame {
    Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(3)
}

const fn solicited(to: u64, after: Duration, proven: bool) -> FrameClass {
    FrameClass::Solicited { to, after, proven }
}

const fn late(to: u64, after: Duration, proven: bool) -> FrameClass {
    FrameClass::Late { to, after, proven }
}

#[test]
fn a_0x1007_after_its_time_is_an_event() {
    let mut pair = default();
    pair.ask(Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD), 3_000);
    pair.pass(ms(3_500));
    assert_eq!(sends(&mut pair, Frame::new(CommandCode::COMMON_SCOPE_SETTINGS)), UNSOLICITED);
    // The newer code can only be the answer.
    let answer = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    assert_eq!(sends(&mut pair, answer), late(1, ms(3_500), true));
}

#[test]
fn a_0x1007_answers_a_0x1009_that_waits() {
    let mut pair = default();
    pair.ask(Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD), 3_000);
    pair.pass(ms(5));
    let answer = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS);
    assert_eq!(sends(&mut pair, answer), solicited(1, ms(5), false), "it is also pushed");
}

#[test]
fn an_event_after_its_time_may_be_the_echo_of_a_command() {
    let mut pair = default();
    let stopped = Frame::command(CommandCode::STAGE_MOTION_STOPPED).with_selector(1);
    pair.ask(stopped, 3_000);
    pair.pass(ms(3_100));
    pair.send(Frame { flags: Flags(0), ..stopped });
    assert_eq!(sends(&mut pair, stopped), FrameClass::Unsolicited { ours: true });
    assert_eq!(sends(&mut pair, stopped), UNSOLICITED);
}

#[test]
fn a_query_that_nobody_waits_for_puts_its_key_in_doubt() {
    let mut pair = default();
    pair.send(image_size());
    // The query that settles it, number 1, gets no answer.
    pair.ask(image_size(), 3_000);
    assert_eq!(sends(&mut pair, image_size()), solicited(2, ms(0), false));
}

#[test]
fn after_a_presumed_answer_the_true_one_may_still_come() {
    let mut pair = default();
    pair.ask(laser_level(), 3_000);
    assert_eq!(sends(&mut pair, laser_level()), solicited(1, ms(0), false));
    pair.pass(ms(99));
    // A late answer that is presumed leaves the tombstone where it is.
    assert_eq!(sends(&mut pair, laser_level()), late(1, ms(99), false));
    assert_eq!(sends(&mut pair, laser_level()), late(1, ms(99), false));
    pair.pass(ms(1));
    assert_eq!(sends(&mut pair, laser_level()), UNSOLICITED);
}

#[test]
fn after_the_grace_an_answer_is_presumed_until_proof() {
    let mut pair = default();
    pair.ask(image_size(), 3_000);
    pair.pass(ms(4_000));
    // With it goes the query that settles the first one, number 2.
    pair.ask(image_size(), 3_000);
    assert_eq!(sends(&mut pair, image_size()), solicited(3, ms(0), false));
    let proof = Frame::command(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET);
    assert_eq!(sends(&mut pair, proof), solicited(2, ms(0), true));
    // That was asked before number 3, whose true answer may still come: another one, number 4.
    pair.ask(image_size(), 3_000);
    assert_eq!(sends(&mut pair, proof), solicited(4, ms(0), true));
    assert_eq!(sends(&mut pair, image_size()), solicited(5, ms(0), true));
}

#[test]
fn after_the_grace_only_the_watcher_names_an_answer_once() {
    let mut pair = default();
    pair.ask(image_size(), 3_000);
    pair.pass(ms(9_000));
    assert_eq!(sends(&mut pair, image_size()), late(1, ms(9_000), false));
    assert_eq!(sends(&mut pair, image_size()), UNSOLICITED);
    assert_eq!(pair.seen.very_late, 1);
}

#[test]
fn an_ambiguous_frame_that_may_be_a_push_leaves_a_doubt() {
    let unmarked = UnmarkedPushes::default().with_other_clients(true);
    for (config, proven) in
        [(Config::default(), true), (Config::default().with_unmarked(unmarked), false)]
    {
        let mut pair = Pair::new(config, 0);
        pair.ask(halt(), 3_000);
        pair.ask(halt(), 3_000);
        let ambiguous = FrameClass::Ambiguous { to: 1, after: ms(0), among: 2 };
        assert_eq!(sends(&mut pair, halt()), ambiguous);
        assert_eq!(sends(&mut pair, halt()), late(2, ms(0), proven));
    }
}

#[test]
fn a_presumed_owner_of_several_uses_up_the_oldest() {
    let mut pair = Pair::new(Config::default().with_on_ambiguous(OnAmbiguous::Presume), 0);
    pair.ask(halt(), 3_000);
    pair.pass(ms(3_500));
    pair.ask(halt(), 3_000);
    assert_eq!(sends(&mut pair, halt()), solicited(2, ms(0), false));
    // The tombstone of the first one is gone: only that of the second one is left.
    assert_eq!(sends(&mut pair, halt()), late(2, ms(0), true));
}

#[test]
fn what_settles_follows_the_setting_for_the_order() {
    for (ordering, settled) in [
        (OrderingDomain::Subsystem, false),
        (OrderingDomain::Connection, true),
        (OrderingDomain::Key, false),
    ] {
        let mut pair = Pair::new(Config::default().with_ordering(ordering), 0);
        pair.ask(image_size(), 3_000);
        pair.ask(position(2), 3_000);
        assert_eq!(sends(&mut pair, position(2)), solicited(2, ms(0), true));
        let came = sends(&mut pair, image_size());
        assert_eq!(came == UNSOLICITED, settled, "{ordering:?}: {came:?}");
    }
}

fn run(seed: u64) -> Seen {
    let mut rng = Rng::with_seed(seed);
    let data: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(300).collect();
    let mut input = Input(&data);
    let mut pair = Pair::new(ops::settings(&mut input).config, seed);
    while let Some(op) = Op::decode(&mut input) {
        pair.run(op);
    }
    pair.seen
}

#[test]
fn core_and_watcher_agree_on_random_conversations() {
    let mut all = Seen::default();
    for seed in 0..1000 {
        let seen = std::panic::catch_unwind(|| run(seed));
        let seen = seen.unwrap_or_else(|_| panic!("in the conversation of seed {seed}"));
        for (class, count) in seen.classes {
            *all.classes.entry(class).or_default() += count;
        }
        all.presumed += seen.presumed;
        all.very_late += seen.very_late;
        all.long_holds += seen.long_holds;
        all.settings_under_the_older_code += seen.settings_under_the_older_code;
        all.uninformed_agrees += seen.uninformed_agrees;
        all.uninformed_proven += seen.uninformed_proven;
    }
    println!("{all:?}");
    // Everything that the test is about does happen.
    assert_eq!(all.classes.len(), 4, "{all:?}");
    assert!(all.classes.values().all(|count| *count > 100), "{all:?}");
    let rest = [all.presumed, all.very_late, all.uninformed_agrees, all.uninformed_proven];
    assert!(rest.iter().all(|count| *count > 100), "{all:?}");
    assert!(all.settings_under_the_older_code > 10 && all.long_holds > 10, "{all:?}");
}
