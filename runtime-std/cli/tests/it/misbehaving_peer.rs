//! `flamingo` against a peer that is played by hand: servers that are no Flamingo, that are
//! silent, that go away, that refuse, and motions that end early or badly.

use std::future::Future;
use std::net::TcpListener;

use crate::program::{Ended, flamingo_meanwhile, start};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::peer::{Peer, answer_to, listen, motion_stopped, position_push};
use smol::Async;
use smol::future::zip;

const SETTINGS: &str = "<Stage limits>\n  Soft limit min x-axis = 1\n  Soft limit max x-axis = 12\n\
    </Stage limits>\n";

/// Runs the program against a peer that shakes hands and then does as the script says; the peer
/// is handed back, so that its socket lives until the program has ended.
async fn against<F: Future<Output = Peer>>(
    arguments: &[&str],
    script: impl FnOnce(Peer) -> F,
) -> Ended {
    let (listener, options) = listen();
    let arguments = [arguments, &["--connect", &options.address]].concat();
    let peer = async {
        let mut peer = Peer::accept(&listener).await;
        peer.shake_hands().await;
        script(peer).await
    };
    zip(flamingo_meanwhile(&arguments), peer).await.0
}

/// A port whose peers never get a byte that the script does not write.
fn raw_listener() -> (Async<TcpListener>, String) {
    let (listener, options) = listen();
    (listener, options.address)
}

async fn answer_settings(peer: &mut Peer) {
    let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
    let mut answer = answer_to(&query, 0.0);
    answer.payload_len = u32::try_from(SETTINGS.len()).unwrap();
    peer.write(&answer).await;
    peer.write_bytes(SETTINGS.as_bytes()).await;
}

fn failure_of(command: &Frame) -> Frame {
    let mut answer = answer_to(command, 0.0);
    answer.status = 0;
    answer
}

#[test]
fn a_server_that_is_no_flamingo_is_a_broken_protocol() {
    smol::block_on(async {
        let (listener, address) = raw_listener();
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            peer.read_bytes(128).await;
            peer.write_bytes(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            // An HTTP server closes after a bad request.
        };
        let arguments = ["get", "state", "--connect", &address];
        let (ended, ()) = zip(flamingo_meanwhile(&arguments), server).await;
        ended.expect_error(6, &[&address, "Flamingo protocol"]);
    });
}

#[test]
fn a_server_that_waits_for_the_end_of_a_line_is_a_broken_protocol_too() {
    smol::block_on(async {
        let (listener, address) = raw_listener();
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            let mut heard = Vec::new();
            smol::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut heard).await.unwrap();
            assert_eq!(heard.len(), 128, "the handshake, and nothing else");
            peer.write_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        };
        let arguments = ["halt", "--timeout", "300ms", "--connect", &address];
        let (ended, ()) = zip(flamingo_meanwhile(&arguments), server).await;
        ended.expect_error(6, &[&address, "HTTP/1.1"]);
    });
}

#[test]
fn a_handshake_that_is_cut_off_is_a_lost_connection() {
    smol::block_on(async {
        let (listener, address) = raw_listener();
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            let query = peer.read().await;
            peer.write_bytes(&answer_to(&query, 0.0).encode()[..60]).await;
        };
        let arguments = ["get", "state", "--connect", &address];
        let (ended, ()) = zip(flamingo_meanwhile(&arguments), server).await;
        ended.expect_error(7, &[&address, "lost"]);
    });
}

/// What `get position` makes of an answer that was spoilt.
fn spoilt(spoil: impl FnOnce(&mut [u8; 128])) -> Ended {
    let arguments = ["get", "position", "--axis", "x", "--timeout", "300ms"];
    smol::block_on(against(&arguments, |mut peer| async {
        let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
        let mut answer = answer_to(&query, 7.5).encode();
        spoil(&mut answer);
        peer.write_bytes(&answer).await;
        peer
    }))
}

#[test]
fn an_answer_with_a_payload_of_4_gib_is_a_broken_protocol() {
    spoilt(|answer| answer[48..52].fill(0xFF))
        .expect_error(6, &["axis x", "additionalDataBytes", "4294967295"]);
}

#[test]
fn an_answer_with_a_wrong_end_marker_is_a_broken_protocol() {
    spoilt(|answer| answer[124] = 0).expect_error(6, &["axis x", "cmdEnd", "0xFEDC4321"]);
}

#[test]
fn what_the_peer_does_not_take_is_given_up_in_time() {
    let file = std::env::temp_dir().join(format!("flamingo-stuck-{}", std::process::id()));
    std::fs::write(&file, vec![1; 33_554_432]).unwrap();
    let payload = file.to_str().unwrap();
    let arguments =
        ["send", "CAMERA_WORK_FLOW_START", "--timeout", "500ms", "--payload", payload, "--json"];
    // It reads nothing more.
    let ended = smol::block_on(against(&arguments, |peer| async { peer }));
    std::fs::remove_file(&file).unwrap();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), ""), "{ended:?}");
    assert!(ended.stderr.contains("not accepted within 500ms"), "{ended:?}");
}

#[test]
fn a_silent_server_is_no_answer_in_time() {
    smol::block_on(async {
        let (listener, address) = raw_listener();
        let arguments = ["get", "state", "--timeout", "300ms", "--connect", &address];
        let (ended, _peer) = zip(flamingo_meanwhile(&arguments), Peer::accept(&listener)).await;
        ended.expect_error(4, &[&address, "SYSTEM_STATE_GET", "300ms"]);
    });
}

#[test]
fn a_server_that_closes_is_a_lost_connection() {
    smol::block_on(async {
        let (listener, options) = listen();
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            peer.shake_hands().await;
            peer.expect(CommandCode::CAMERA_EXPOSURE_GET).await;
        };
        let arguments = ["get", "exposure", "--connect", &options.address];
        let (ended, ()) = zip(flamingo_meanwhile(&arguments), server).await;
        ended.expect_error(7, &["exposure", "lost"]);
    });
}

#[test]
fn a_watch_whose_connection_is_lost_says_so() {
    smol::block_on(async {
        let (listener, options) = listen();
        let address = options.address;
        let running = start(&["watch", "--json", "-v", "--connect", &address]);
        let mut peer = Peer::accept(&listener).await;
        peer.shake_hands().await;
        let running = smol::unblock(move || {
            running.expect_log("watching");
            running
        })
        .await;
        peer.write(&position_push(1, 2.0)).await;
        let (line, running) = smol::unblock(move || (running.line(), running)).await;
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["class"], "unsolicited");
        assert_eq!((&object["value"], &object["int32_data0"]), (&2.0.into(), &1.into()));
        drop(peer);
        let ended = smol::unblock(move || running.ended()).await;
        assert_eq!(ended.code, Some(7), "{ended:?}");
        assert!(ended.stderr.contains("error: watch: connection lost after 1"), "{ended:?}");
    });
}

#[test]
fn an_answer_that_says_failure_is_named_with_its_status() {
    smol::block_on(async {
        let ended = against(&["get", "image-size"], |mut peer| async {
            let query = peer.expect(CommandCode::CAMERA_IMAGE_SIZE_GET).await;
            peer.write(&failure_of(&query)).await;
            peer
        });
        ended.await.expect_error(5, &["image size", "CAMERA_IMAGE_SIZE_GET", "status 0"]);
    });
}

#[test]
fn a_laser_that_declines_is_a_failure() {
    smol::block_on(async {
        let ended = against(&["get", "laser", "2"], |mut peer| async {
            let query = peer.expect(CommandCode::LASER_LEVEL_GET).await;
            assert_eq!(query.selector(), 2);
            let mut answer = answer_to(&query, 0.0);
            answer.set_text("getLevel error").unwrap();
            peer.write(&answer).await;
            peer
        });
        ended.await.expect_error(5, &["laser 2", "getLevel error"]);
    });
}

#[test]
fn one_axis_that_fails_does_not_hide_the_positions_of_the_others() {
    smol::block_on(async {
        let ended = against(&["--json", "get", "position"], |mut peer| async {
            for _ in 0..4 {
                let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
                let axis = f64::from(query.selector());
                let failed = query.selector() == 2;
                let answer = if failed { failure_of(&query) } else { answer_to(&query, axis) };
                peer.write(&answer).await;
            }
            peer
        });
        let ended = ended.await;
        ended.expect_error(5, &["axis y", "status 0"]);
        let read = ended.objects();
        let axes: Vec<_> = read.iter().map(|object| object["axis"].as_str().unwrap()).collect();
        assert_eq!(axes, ["x", "z", "r"]);
        assert_eq!(read[1]["position_mm"], 3.0);
        assert_eq!(read[2]["position_deg"], 4.0);
    });
}

#[test]
fn a_target_beyond_the_limits_moves_nothing() {
    smol::block_on(async {
        let (listener, options) = listen();
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            peer.shake_hands().await;
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
fn a_move_whose_end_comes_before_its_acknowledgement_ends_at_once() {
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
fn a_motion_that_does_not_end_in_time_is_said_to_go_on() {
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
fn a_move_without_known_limits_warns_and_goes_on() {
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
fn ctrl_c_halts_the_axis_that_moves_and_says_so() {
    smol::block_on(async {
        let (listener, options) = listen();
        let running = start(&["move", "x", "7.25", "--wait", "--connect", &options.address]);
        let mut peer = Peer::accept(&listener).await;
        peer.shake_hands().await;
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
fn an_axis_that_cannot_be_halted_does_not_keep_the_others_from_it() {
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

#[test]
fn what_is_never_acknowledged_is_sent_without_waiting() {
    smol::block_on(async {
        let arguments = ["send", "LASER_LEVEL_SET", "--data0", "3", "--buffer", "11.49", "--json"];
        let ended = against(&arguments, |mut peer| async {
            let command = peer.expect(CommandCode::LASER_LEVEL_SET).await;
            assert_eq!((command.selector(), command.text()), (3, Ok("11.49")));
            peer
        });
        let ended = ended.await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains("never acknowledged"), "{ended:?}");
        assert_eq!(ended.object()["sent"], true);
    });
}

#[test]
fn any_frame_can_be_sent_with_a_payload_and_without_the_flag() {
    let file = std::env::temp_dir().join(format!("flamingo-send-{}", std::process::id()));
    std::fs::write(&file, b"a\r\nb").unwrap();
    smol::block_on(async {
        let arguments = [
            "send",
            "0x6FFF",
            "--data0",
            "-2",
            "--data1",
            "0x10",
            "--data2",
            "5",
            "--value",
            "-1.5",
            "--payload",
            file.to_str().unwrap(),
            "--no-callback",
        ];
        let ended = against(&arguments, |mut peer| async {
            let command = peer.expect(CommandCode(0x6FFF)).await;
            assert_eq!((command.int32_data, command.value), ([-2, 16, 5], -1.5));
            assert_eq!((command.flags.0, command.payload_len), (0, 4));
            assert_eq!(peer.read_bytes(4).await, b"a\r\nb");
            peer.answer(&command, 9.0).await;
            peer
        });
        let ended = ended.await;
        assert!(ended.expect_done().stdout.contains("0x6FFF"), "{ended:?}");
        assert!(ended.stdout.contains("presumed"), "{ended:?}");
    });
    std::fs::remove_file(&file).unwrap();
}
