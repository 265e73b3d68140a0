//! `flamingo move` and `halt` against a scripted peer: motions that end early, fail, or do not end.

use crate::misbehaving_peer::{against, failure_of};
use crate::program::{flamingo_meanwhile, start};
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::peer::{Peer, answer_to, listen, motion_stopped, position_push};
use smol::future::zip;

const SETTINGS: &str = "<Stage limits>\n  Soft limit min x-axis = 1\n  Soft limit max x-axis = 12\n\
    </Stage limits>\n";

async fn answer_settings(peer: &mut Peer) {
    let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
    let mut answer = answer_to(&query, 0.0);
    answer.payload_len = u32::try_from(SETTINGS.len()).unwrap();
    peer.write(&answer).await;
    peer.write_bytes(SETTINGS.as_bytes()).await;
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
        let told = &["axis x to 7.25 mm", "status 0", "expected 1", "stands at 7.125 mm"];
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
fn a_move_without_known_limits_is_a_warning() {
    smol::block_on(async {
        let ended = against(&["move", "x", "7.25"], |mut peer| async {
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
fn an_axis_that_cannot_be_halted_does_not_stop_the_others() {
    smol::block_on(async {
        let ended = against(&["halt", "--timeout", "500ms", "--json"], |mut peer| async {
            // All four are on the wire before any is answered.
            let mut halts = Vec::new();
            for _ in 0..4 {
                halts.push(peer.expect(CommandCode::STAGE_HALT).await);
            }
            for halt in halts.iter().filter(|halt| halt.selector() != 2) {
                peer.answer(halt, 0.0).await;
            }
            peer
        });
        let ended = ended.await;
        ended.expect_error(4, &["halt of axis y"]);
        let axes: Vec<_> = ended.objects().iter().map(|object| object["axis"].clone()).collect();
        assert_eq!(axes, ["x", "z", "r"]);
    });
}
