//! `flamingo move` against a scripted peer: motions that end early, fail, or do not end. Stops are in
//! `scripted_stops.rs`.

use crate::misbehaving_peer::{against, failure_of};
use crate::program::{flamingo_meanwhile, start};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::peer::{Peer, answer_to, listen, motion_stopped, position_push};
use smol::future::zip;

const SETTINGS: &str = "<Stage limits>\n  Soft limit min x-axis = 1\n  Soft limit max x-axis = 12\n\
    </Stage limits>\n";

async fn answer_settings(peer: &mut Peer) {
    answer_with_settings(peer, SETTINGS).await;
}

async fn answer_with_settings(peer: &mut Peer, settings: &str) {
    let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
    let mut answer = answer_to(&query, 0.0);
    answer.payload_len = u32::try_from(settings.len()).unwrap();
    peer.write(&answer).await;
    peer.write_bytes(settings.as_bytes()).await;
}

async fn refuse_settings(peer: &mut Peer) {
    let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
    let mut refusal = failure_of(&query);
    refusal.set_text("no settings: error").unwrap();
    peer.write(&refusal).await;
}

async fn answer_position(peer: &mut Peer, at: f64) {
    let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
    peer.answer(&query, at).await;
}

/// Answers queries until the program ends. A query is sent again if the acknowledgement of the move comes
/// while the first one waits for its answer.
async fn answer_positions(peer: &mut Peer, at: f64) {
    let mut bytes = [0; 128];
    while smol::io::AsyncReadExt::read_exact(&mut peer.stream, &mut bytes).await.is_ok() {
        let query = Frame::decode(&bytes).unwrap();
        assert_eq!(query.code, CommandCode::STAGE_POSITION_GET);
        peer.answer(&query, at).await;
    }
}

#[test]
fn a_target_outside_the_limits_moves_nothing() {
    smol::block_on(async {
        let (listener, options) = listen();
        let server = async {
            let mut peer = Peer::accept_and_shake_hands(&listener).await;
            answer_settings(&mut peer).await;
            let mut rest = Vec::new();
            smol::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut rest).await.unwrap();
            assert!(rest.is_empty(), "the move was sent");
        };
        let arguments = ["move", "x", "12.5", "--connect", &options.address];
        let (ended, ()) = zip(flamingo_meanwhile(&arguments), server).await;
        ended.expect_error(2, &["axis x", "at most 12 mm", "Soft limit max", "12.5", "nothing"]);
    });
}

#[test]
fn a_move_that_ends_before_its_acknowledgement_is_done() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25", "--wait", "--json"], |mut peer| async {
            answer_settings(&mut peer).await;
            let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
            assert_eq!((command.selector(), command.value), (1, 7.25));
            peer.write(&position_push(1, 7.2)).await;
            peer.write(&motion_stopped(1, 1)).await;
            peer.answer(&command, 7.25).await;
            answer_positions(&mut peer, 7.25).await;
            peer
        });
        let object = ended.await.expect_done().object();
        assert_eq!(object["axis"], "x");
        assert_eq!(object["target_mm"], 7.25);
        assert_eq!(object["name"], "STAGE_MOTION_STOPPED");
        assert_eq!((&object["acknowledged"], &object["ended"]), (&true.into(), &true.into()));
        assert!(object["motion_ms"].as_f64().unwrap() < 1000.0, "{object}");
    });
}

#[test]
fn a_move_whose_acknowledgement_is_lost_ends_with_its_motion() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25", "--wait", "--json"], |mut peer| async {
            answer_settings(&mut peer).await;
            peer.expect(CommandCode::STAGE_POSITION_SET).await;
            // Another axis, which is none of its business.
            peer.write(&motion_stopped(2, 1)).await;
            peer.write(&motion_stopped(255, 1)).await;
            answer_position(&mut peer, 7.25).await;
            peer
        });
        let object = ended.await.expect_done().object();
        assert_eq!((&object["acknowledged"], &object["int32_data0"]), (&false.into(), &255.into()));
    });
}

#[test]
fn a_motion_that_was_not_completed_is_a_failure() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25", "--wait"], |mut peer| async {
            answer_settings(&mut peer).await;
            let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
            peer.answer(&command, 7.25).await;
            peer.write(&motion_stopped(1, 0)).await;
            // Where it stands is asked twice: it might still be moving.
            for _ in 0..2 {
                let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
                peer.answer(&query, 7.125).await;
            }
            peer
        });
        let told = &["axis x", "expected 7.25 mm", "status 0", "expected 1", "stands at 7.125 mm"];
        ended.await.expect_error(5, told);
    });
}

#[test]
fn a_motion_that_does_not_end_in_time_is_reported() {
    smol::block_on(async {
        let arguments = ["move", "x", "7.25", "--wait", "--timeout", "400ms"];
        let ended = against(&arguments, |mut peer| async {
            answer_settings(&mut peer).await;
            let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
            peer.answer(&command, 7.25).await;
            peer
        });
        ended.await.expect_error(4, &["still moving after 400ms", "flamingo halt"]);
    });
}

#[test]
fn a_move_without_known_limits_is_refused() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25", "--timeout", "300ms"], |mut peer| async {
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            peer.write(&failure_of(&query)).await;
            expect_nothing_more(&mut peer).await;
            peer
        });
        ended.await.expect_error(2, &["limits of axis x not known", "--unchecked"]);
    });
}

#[test]
fn a_move_is_refused_if_a_limit_has_another_name() {
    smol::block_on(async {
        let ended = against(&["move", "x", "11.5"], |mut peer| async {
            let limit = "  Soft limt max x-axis = 9\n</Stage limits>";
            let settings = SETTINGS.replace("</Stage limits>", limit);
            answer_with_settings(&mut peer, &settings).await;
            let mut rest = Vec::new();
            smol::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut rest).await.unwrap();
            assert!(rest.is_empty(), "the move was sent");
            peer
        });
        ended.await.expect_error(2, &["limits of axis x not known: line 4", "nothing was moved"]);
    });
}

#[test]
fn a_move_is_refused_while_the_settings_are_not_answered() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25", "--timeout", "300ms"], |mut peer| async {
            peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            expect_nothing_more(&mut peer).await;
            peer
        });
        ended.await.expect_error(2, &["limits of axis x not known", "nothing was moved"]);
    });
}

#[test]
fn a_leading_plus_moves_from_where_the_axis_stands() {
    smol::block_on(async {
        let ways: [&[&str]; 3] = [&["x", "+0.25"], &["x", "--by", "0.25"], &["--by", "0.25", "x"]];
        for way in ways {
            let arguments = [&["move"], way].concat();
            let ended = against(&arguments, |mut peer| async {
                answer_settings(&mut peer).await;
                for _ in 0..2 {
                    answer_position(&mut peer, 7.0).await;
                }
                let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
                assert_eq!((command.selector(), command.value), (1, 7.25));
                peer.answer(&command, 7.25).await;
                peer
            });
            let ended = ended.await;
            assert!(ended.expect_done().stdout.contains("axis x to 7.25"), "{ended:?}");
        }
    });
}

#[test]
fn an_axis_that_moves_is_not_moved_by_a_distance() {
    smol::block_on(async {
        // A slow axis, of which only the pushes tell, and one that pushes nothing.
        for (pushes, second) in [(true, 7.0), (false, 7.001)] {
            let ended = against(&["move", "x", "--by", "-0.5"], |mut peer| async move {
                answer_settings(&mut peer).await;
                answer_position(&mut peer, 7.0).await;
                if pushes {
                    peer.write(&position_push(1, 7.0)).await;
                }
                answer_position(&mut peer, second).await;
                expect_nothing_more(&mut peer).await;
                peer
            });
            ended.await.expect_error(2, &["axis x", "moving", "nothing was moved"]);
        }
    });
}

#[test]
fn no_distance_is_counted_from_0_without_limits() {
    smol::block_on(async {
        let arguments = ["move", "x", "--by", "1", "--unchecked"];
        let ended = against(&arguments, |mut peer| async {
            refuse_settings(&mut peer).await;
            for _ in 0..2 {
                answer_position(&mut peer, 0.0).await;
                // Whether 0 is outside of the limits.
                refuse_settings(&mut peer).await;
            }
            expect_nothing_more(&mut peer).await;
            peer
        });
        let ended = ended.await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("it answered 0"), "{ended:?}");
    });
}

#[test]
fn nothing_is_sent_to_a_bridge_that_has_lost_its_instrument() {
    smol::block_on(async {
        for command in [&["get", "position"][..], &["move", "x", "7"]] {
            let (listener, options) = listen();
            let arguments = [command, &["--connect", &options.address]].concat();
            let server = async {
                let mut peer = Peer::accept(&listener).await;
                let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
                peer.write(&answer_to(&query, 0.0).with_selector(0xA001)).await;
                expect_nothing_more(&mut peer).await;
            };
            let (ended, ()) = zip(flamingo_meanwhile(&arguments), server).await;
            ended.expect_error(7, &["DISCONNECTED", "bridge", "nothing was sent"]);
        }
    });
}

async fn expect_nothing_more(peer: &mut Peer) {
    let mut rest = Vec::new();
    smol::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut rest).await.unwrap();
    assert!(rest.is_empty(), "something was sent");
}

#[test]
fn a_clamped_target_is_a_failure_that_names_the_position() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25", "--wait"], |mut peer| async {
            answer_settings(&mut peer).await;
            let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
            peer.answer(&command, 7.25).await;
            peer.write(&motion_stopped(1, 1)).await;
            answer_position(&mut peer, 7.2).await;
            peer
        });
        ended.await.expect_error(5, &["7.2 mm", "7.25 mm", "clamped"]);
    });
}

#[test]
fn an_unchecked_move_without_known_limits_is_a_warning() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25", "--unchecked"], |mut peer| async {
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            peer.write(&failure_of(&query)).await;
            let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
            peer.answer(&command, 7.25).await;
            peer
        });
        let ended = ended.await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains("warning: limits of axis x not known"), "{ended:?}");
        assert!(ended.stdout.contains("axis x to 7.25 mm"), "{ended:?}");
    });
}

#[test]
fn ctrl_c_halts_the_moving_axis_and_reports_it() {
    smol::block_on(async {
        let (listener, options) = listen();
        let running = start(&["move", "x", "7.25", "--wait", "--connect", &options.address]);
        let mut peer = Peer::accept_and_shake_hands(&listener).await;
        answer_settings(&mut peer).await;
        let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
        peer.answer(&command, 7.25).await;
        running.interrupt();
        let halt = peer.expect(CommandCode::STAGE_HALT).await;
        assert_eq!(halt.selector(), 1);
        peer.answer(&halt, 0.0).await;
        let ended = smol::unblock(move || running.ended()).await;
        ended.expect_error(130, &["interrupted", "axis x halted"]);
    });
}

#[test]
fn one_refused_axis_halts_all_axes_of_the_move() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25", "r", "30", "--wait"], |mut peer| async {
            let settings = "<Stage limits>\n  Soft limit min x-axis = 1\n  \
                Soft limit max x-axis = 12\n  Soft limit min r-axis = -720\n  \
                Soft limit max r-axis = 720\n</Stage limits>\n";
            answer_with_settings(&mut peer, settings).await;
            for _ in 0..2 {
                let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
                if command.selector() == 1 {
                    peer.answer(&command, 7.25).await;
                } else {
                    let mut refusal = failure_of(&command);
                    refusal.set_text("r: error").unwrap();
                    peer.write(&refusal).await;
                }
            }
            let mut halted = Vec::new();
            for _ in 0..2 {
                let halt = peer.expect(CommandCode::STAGE_HALT).await;
                halted.push(halt.selector());
                peer.answer(&halt, 0.0).await;
            }
            halted.sort_unstable();
            assert_eq!(halted, [1, 4]);
            peer
        });
        let told = &["axis r", "r: error", "axis x halted", "axis r halted"];
        ended.await.expect_error(5, told);
    });
}
