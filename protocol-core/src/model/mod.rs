//! An exhaustive small model of the rules, over the real connection: every interleaving of a few
//! requests, pushes and cancels, with answers on time, late, missing or doubled. Compiled for tests
//! only.
//!
//! `setting.rs` holds what may happen, `world.rs` one state and its steps, `device.rs` the other
//! end, `fingerprint.rs` what tells states apart, `checks.rs` and `recovery.rs` what must hold,
//! `situation.rs` the description of a received frame. This file holds the search, and the settings
//! of the rules about who gets a frame. The other files hold the settings of one subject each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod checks;
mod counting;
mod device;
mod fingerprint;
mod motions;
mod polling;
mod recovery;
mod setting;
mod situation;
mod small;
mod stops;
mod tokens;
mod window;
mod world;

use std::boxed::Box;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};
use std::string::String;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::vec::Vec;
use std::{format, println};

use crate::connection::{OnAmbiguous, OrderingDomain, UnmarkedPushes};
use crate::{CommandCode, Config, Frame, time::Duration};
use device::{Keeps, Peer};
use recovery::{Checked, Polling};
use setting::{Budget, Setting, Step};
use situation::Seen;
use world::World;

/// With `FLAMINGO_MODEL=first-failure` no search goes on after a test has failed, in a search or
/// after it. The hook is set by the first search.
static END_AT_FIRST_FAILURE: LazyLock<bool> = LazyLock::new(|| {
    let wanted = std::env::var("FLAMINGO_MODEL").is_ok_and(|value| value == "first-failure");
    if wanted {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |failure| {
            HAS_FAILED.store(true, Relaxed);
            print(failure);
        }));
    }
    wanted
});
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// The result of one search.
#[derive(Debug, Default)]
struct Found {
    states: usize,
    steps: usize,
    /// Each received frame: its class, its situation, and its true origin.
    seen: BTreeSet<Seen>,
}

/// Visits every reachable state once and checks it. The states with the fewest steps come first, so
/// the steps that a failure prints are as few as possible.
fn search<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize>(
    start: World<REQUESTS, OWED, QUEUE, STOPS>,
) -> Found {
    let (mut seen, mut open) = (HashSet::new(), VecDeque::new());
    let mut found = Found::default();
    let mut checked = Checked::default();
    seen.insert(start.fingerprint());
    open.push_back((start, Vec::new()));
    let first_failure = *END_AT_FIRST_FAILURE;
    while let Some((world, path)) = open.pop_front() {
        assert!(!(first_failure && HAS_FAILED.load(Relaxed)), "another test has failed");
        found.states += 1;
        let steps = world.steps();
        on_failure(&path, || {
            world.check(&mut checked);
            if steps.is_empty() {
                world.every_request_has_one_outcome();
            }
        });
        for step in steps {
            found.steps += 1;
            let mut path: Vec<Step> = path.clone();
            path.push(step);
            let mut next = world.clone();
            on_failure(&path, || found.seen.extend(next.take(step)));
            if seen.insert(next.fingerprint()) {
                open.push_back((next, path));
            }
        }
    }
    found
}

/// Prints the steps if `check` fails.
fn on_failure(steps: &[Step], check: impl FnOnce()) {
    if let Err(failure) = catch_unwind(AssertUnwindSafe(check)) {
        println!("after the steps {steps:?}");
        resume_unwind(failure);
    }
}

const POLLED: Duration = Duration::from_millis(150);
/// Twice the grace and the deadline.
const POLLED_WITHIN: Duration = Duration::from_millis(8000);

/// The search with the default capacities.
fn explore(config: Config, peer: Peer, frames: &[Frame], budget: Budget) -> Found {
    let mut setting = Setting::new(config, peer, frames, budget);
    // Above `presumed_grace`, which lets one push shift all answers.
    setting.polling.push(Polling { round_trip: POLLED, within: POLLED_WITHIN });
    search(<World>::new(setting))
}

fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

fn ask(code: CommandCode) -> Frame {
    Frame::command(code)
}

fn report(name: &str, found: &Found) {
    println!("{name}: {} states, {} steps", found.states, found.steps);
    for seen in &found.seen {
        println!("  {seen}");
    }
}

/// All situations in which a frame is ambiguous or only presumed.
fn uncertain(found: &Found) -> Vec<String> {
    let all = found
        .seen
        .iter()
        .filter(|seen| seen.class.contains("presumed") || seen.class == "ambiguous");
    let mut all: Vec<_> = all.map(|seen| format!("{}: {}", seen.class, seen.situation)).collect();
    all.dedup();
    all
}

/// An older request of the same key has ended by time, or its answer was presumed.
const IN_DOUBT: [&str; 2] = [
    "late, presumed: none waiting, one owed, key in doubt",
    "presumed: one waiting, none owed, key in doubt",
];

/// A push of this key can look like an answer.
const PUSHABLE: [&str; 2] = [
    "late, presumed: none waiting, one owed, key pushable",
    "presumed: one waiting, none owed, key pushable",
];

fn has(found: &Found, class: &str) -> bool {
    found.seen.iter().any(|seen| seen.class == class)
}

/// The searches are small enough for every test run. `FLAMINGO_MODEL=full` makes them larger.
fn budget() -> Budget {
    let full = std::env::var("FLAMINGO_MODEL").is_ok_and(|value| value == "full");
    if full {
        Budget { requests: 3, cancels: 2, pushes: 2, missing: 3, ..Budget::default() }
    } else {
        Budget { requests: 3, cancels: 1, pushes: 1, missing: 2, ..Budget::default() }
    }
}

const FLAGGED: Peer =
    Peer { flags_pushes: true, echoes_tokens: false, tags_answers: false, keeps: Keeps::Subsystem };
const UNFLAGGED: Peer = Peer { flags_pushes: false, ..FLAGGED };

#[test]
fn two_keys_that_fence_each_other_are_never_wrong() {
    let keys = [position(1), position(2)];
    let found = explore(Config::default(), FLAGGED, &keys, budget());
    report("two axes", &found);
    assert_eq!(uncertain(&found), IN_DOUBT);
}

#[test]
fn two_subsystems_that_overtake_each_other_are_never_wrong() {
    let keys = [position(1), ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET)];
    let found = explore(Config::default(), FLAGGED, &keys, budget());
    report("two subsystems", &found);
    assert_eq!(uncertain(&found), IN_DOUBT);
}

#[test]
fn a_pushable_key_without_fence_is_not_proven_and_never_shifts() {
    let level = |laser| ask(CommandCode::LASER_LEVEL_GET).with_selector(laser);
    let found = explore(Config::default(), UNFLAGGED, &[level(1), level(2)], budget());
    report("two lasers", &found);
    assert_eq!(uncertain(&found), PUSHABLE);
    assert!(!has(&found, "proven"));
}

#[test]
fn a_pushable_key_with_a_fence_is_not_proven_and_never_shifts() {
    let keys =
        [ask(CommandCode::CAMERA_EXPOSURE_GET), ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET)];
    let found = explore(Config::default(), UNFLAGGED, &keys, budget());
    report("exposure and pixel size", &found);
    let [late_doubt, doubt] = IN_DOUBT;
    let [late_push, push] = PUSHABLE;
    assert_eq!(uncertain(&found), [late_doubt, late_push, doubt, push]);
}

#[test]
fn unflagged_positions_are_never_proven_and_never_stay_shifted() {
    let unmarked = UnmarkedPushes { positions: true, ..UnmarkedPushes::default() };
    let config = Config { unmarked, ..Config::default() };
    let found = explore(config, UNFLAGGED, &[position(1), position(2)], budget());
    report("unflagged positions", &found);
    assert_eq!(uncertain(&found), PUSHABLE);
    assert!(!has(&found, "proven"));
}

#[test]
fn with_tags_a_push_is_never_taken_for_an_answer() {
    let peer = Peer { tags_answers: true, ..UNFLAGGED };
    let config = Config { peer_tags: true, ..Config::default() };
    let budget = Budget { missing: 1, ..budget() };
    let found = explore(config, peer, &[position(1), position(2)], budget);
    report("tags", &found);
    assert_eq!(uncertain(&found), IN_DOUBT);
    assert!(!found.seen.iter().any(|seen| seen.class != "unsolicited" && seen.truth == "a push"));
}

#[test]
fn without_an_order_only_time_settles_and_nothing_is_wrong() {
    let config = Config { ordering: OrderingDomain::Key, ..Config::default() };
    let found = explore(config, FLAGGED, &[position(1), position(2)], budget());
    report("no order", &found);
    assert_eq!(uncertain(&found), IN_DOUBT);
}

#[test]
fn a_peer_in_strict_order_is_settled_across_subsystems() {
    let config = Config { ordering: OrderingDomain::Connection, ..Config::default() };
    let peer = Peer { keeps: Keeps::Connection, ..FLAGGED };
    let keys = [position(1), ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET)];
    let found = explore(config, peer, &keys, budget());
    report("strict order", &found);
    assert_eq!(uncertain(&found), IN_DOUBT);
}

/// STAGE_HALT waits for no older request, so only its frames can have several owners.
#[test]
fn halts_of_one_axis_may_be_ambiguous_and_are_never_wrong() {
    let [late_doubt, doubt] = IN_DOUBT;
    let refused = [
        "ambiguous: none waiting, several owed, key certain",
        "ambiguous: none waiting, several owed, key in doubt",
        "ambiguous: one waiting, one owed, key certain",
        "ambiguous: one waiting, one owed, key in doubt",
        "ambiguous: one waiting, several owed, key certain",
        "ambiguous: several waiting, none owed, key certain",
        "ambiguous: several waiting, none owed, key in doubt",
        "ambiguous: several waiting, one owed, key certain",
        late_doubt,
        doubt,
    ];
    assert_eq!(uncertain(&halts(OnAmbiguous::Refuse)), refused);
}

/// With `OnAmbiguous::Presume`, a waiting request takes an ambiguous frame as its presumed answer.
#[test]
fn presumed_halts_of_one_axis_are_never_proven_wrong() {
    let [late_doubt, doubt] = IN_DOUBT;
    let presumed = [
        "ambiguous: none waiting, several owed, key certain",
        "ambiguous: none waiting, several owed, key in doubt",
        late_doubt,
        doubt,
        "presumed: one waiting, one owed, key certain",
        "presumed: one waiting, one owed, key in doubt",
        "presumed: one waiting, several owed, key certain",
        "presumed: several waiting, none owed, key certain",
        "presumed: several waiting, none owed, key in doubt",
        "presumed: several waiting, one owed, key certain",
    ];
    assert_eq!(uncertain(&halts(OnAmbiguous::Presume)), presumed);
}

fn halts(on_ambiguous: OnAmbiguous) -> Found {
    let halt = ask(CommandCode::STAGE_HALT).with_selector(1);
    let config = Config { on_ambiguous, ..Config::default() };
    let found = explore(config, FLAGGED, &[halt, position(1)], budget());
    report(&format!("halt, {on_ambiguous:?}"), &found);
    found
}
