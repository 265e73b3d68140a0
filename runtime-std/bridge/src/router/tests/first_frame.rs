//! Who is no client: a peer whose first bytes are no frame, one that sends too much noise, and one whose
//! frame does not come. The rules are those of the adapter's `CommandReader`.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::{ClientId, RouterOptions};
use crate::settings::LimitSettings;

fn with(limits: LimitSettings) -> Harness {
    Harness::new(RouterOptions { limits, ..options() })
}

/// What a web page may try to run.
fn commands() -> Vec<u8> {
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    let laser = Frame::command(CommandCode::LASER_ENABLE).with_selector(1);
    [home, laser, go(1)].iter().flat_map(Frame::encode).collect()
}

/// Whether the client was disconnected, and why by the log.
fn disconnected(harness: &mut Harness, id: ClientId) -> Option<String> {
    harness.write();
    harness.router.should_close(id).then(|| harness.log.pop().unwrap_or_default())
}

#[test]
fn a_web_page_runs_no_command_however_its_bytes_are_cut() {
    for begin in ["POST / HTTP/1.1\r\nHost: x\r\n\r\na=", "TRACE /", "T\u{e6}", "\0", "a="] {
        let bytes = [begin.as_bytes(), &commands()].concat();
        let two = (1..bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]);
        let ways = two.chain([vec![&bytes[..]], bytes.chunks(1).collect()]);
        let mut harness = Harness::new(options());
        for parts in ways {
            let page = harness.client();
            for part in parts {
                harness.ask_bytes(page, part);
            }
            assert!(harness.router.should_close(page), "{begin:?}");
            harness.leave(page);
        }
        assert_eq!(harness.reached(), [], "{begin:?}");
        assert!(harness.router.client_status(harness.now).0.is_empty());
    }
}

#[test]
fn the_log_says_what_a_web_page_has_sent_in_few_lines() {
    let mut harness = Harness::new(options());
    harness.log.clear();
    for _ in 0..100 {
        let page = harness.client();
        harness.ask_bytes(page, b"GET / HTTP/1.1\r\n\r\n");
        harness.leave(page);
    }
    assert_eq!(harness.log.len(), 5, "{:?}", harness.log);
    let found = "expected a frame (54 E6 21 F3 ...), found 47 45 54 20 (\"GET \")";
    assert!(harness.log[0].contains(found), "{}", harness.log[0]);
    harness.pass(ms(1_000));
    let page = harness.client();
    harness.ask_bytes(page, b"GET / HTTP/1.1\r\n\r\n");
    assert!(harness.log[5].ends_with("(95 lines about such clients were left out)"));
}

#[test]
fn noise_counts_by_bytes_however_it_is_divided() {
    let limits = || LimitSettings { noise_bytes: 7, ..LimitSettings::default() };
    for noise in [0, 1, 6, 7, 8, 50] {
        let bytes = [&position(1).encode()[..], &vec![0xAA; noise], &position(2).encode()].concat();
        for length in 1..=bytes.len() {
            let mut harness = with(limits());
            let id = harness.client();
            for part in bytes.chunks(length) {
                harness.ask_bytes(id, part);
            }
            let reached = if noise > 7 { 1 } else { 2 };
            assert_eq!(harness.reached().len(), reached, "{noise} bytes, {length} at a time");
            assert_eq!(harness.router.should_close(id), noise > 7);
        }
    }
}

#[test]
fn a_client_that_sends_no_frame_gives_its_place_back() {
    let mut harness = with(LimitSettings { clients: 2, first_frame_s: 3, ..Default::default() });
    let (mute, alive) = (harness.client(), harness.client());
    harness.ask(alive, &position(1));
    harness.answer_next(1.0);
    // A part of a frame is not enough.
    harness.pass(ms(2_000));
    harness.ask_bytes(mute, &position(1).encode()[..127]);
    harness.pass(ms(999));
    assert_eq!(disconnected(&mut harness, mute), None);
    harness.pass(ms(1));
    let why = disconnected(&mut harness, mute).expect("it is late");
    assert!(why.contains("a frame within 3s after connecting, found none"), "{why}");
    harness.leave(mute);
    harness.client();
    harness.pass(ms(3_600_000));
    assert!(!harness.router.should_close(alive), "after its first frame it may be silent");
}

#[test]
fn half_a_frame_is_late_although_bytes_come() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &position(1));
    harness.answer_next(1.0);
    harness.pass(ms(60_000));
    for byte in &position(2).encode()[..5] {
        assert_eq!(disconnected(&mut harness, id), None);
        harness.ask_bytes(id, &[*byte]);
        harness.pass(ms(1_000));
    }
    let why = disconnected(&mut harness, id).expect("it is late");
    assert!(why.contains("the rest of a frame within 5s"), "{why}");
    assert_eq!(harness.reached(), []);
}

#[test]
fn a_client_that_sends_nothing_more_still_gets_its_answer() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    harness.ask(id, &home);
    harness.ask_bytes(id, &position(1).encode()[..50]);
    harness.router.client_half_closed(id);
    harness.pass(ms(20_000));
    assert!(!harness.router.should_close(id));
    harness.answer_next(0.0);
    assert_eq!(harness.received(id), [answer(&home, 0.0)]);
}

#[test]
fn a_client_that_is_not_read_is_not_late() {
    let limits = LimitSettings { commands_per_s: 1, ..LimitSettings::default() };
    let mut options = RouterOptions { limits, ..options() };
    options.request_timeout = ms(500);
    let mut harness = Harness::new(options);
    let id = harness.client();
    // The rate ends in the middle of the second frame.
    harness.ask_bytes(id, &[&position(1).encode()[..], &position(2).encode()[..60]].concat());
    harness.pass(ms(999));
    assert!(!harness.router.should_close(id), "the bridge does not read its other half");
    harness.ask_bytes(id, &position(2).encode()[60..]);
    harness.pass(ms(60_000));
    assert!(!harness.router.should_close(id));
}
