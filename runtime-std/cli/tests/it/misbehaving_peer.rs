//! `flamingo` against a scripted peer: a server of another protocol, one that is silent, closes or
//! refuses. Motions are in `scripted_motions.rs`.

use std::future::Future;
use std::net::TcpListener;

use crate::program::{Ended, flamingo_meanwhile, start};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::peer::{Peer, answer_to, listen, position_push};
use smol::Async;
use smol::future::zip;

/// Runs the program against a peer that completes the handshake and then follows the script. The
/// script returns the peer, so that its socket stays open until the program has ended.
pub(crate) async fn against<F: Future<Output = Peer>>(
    arguments: &[&str],
    script: impl FnOnce(Peer) -> F,
) -> Ended {
    let (listener, options) = listen();
    let arguments = [arguments, &["--connect", &options.address]].concat();
    let peer = async {
        let peer = Peer::accept_and_shake_hands(&listener).await;
        script(peer).await
    };
    zip(flamingo_meanwhile(&arguments), peer).await.0
}

/// A port that sends only what the script writes.
fn raw_listener() -> (Async<TcpListener>, String) {
    let (listener, options) = listen();
    (listener, options.address)
}

pub(crate) fn failure_of(command: &Frame) -> Frame {
    let mut answer = answer_to(command, 0.0);
    answer.status = 0;
    answer
}

#[test]
fn a_server_of_another_protocol_is_a_protocol_error() {
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
fn a_server_that_waits_for_a_whole_line_is_a_protocol_error() {
    smol::block_on(async {
        let (listener, address) = raw_listener();
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            let mut heard = Vec::new();
            smol::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut heard).await.unwrap();
            assert_eq!(heard.len(), 128, "the handshake, and nothing else");
            peer.write_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        };
        let arguments = ["get", "state", "--timeout", "300ms", "--connect", &address];
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

/// Runs `get position` and damages its answer.
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
fn an_answer_with_a_payload_of_4_gib_is_a_protocol_error() {
    spoilt(|answer| answer[48..52].fill(0xFF))
        .expect_error(6, &["axis x", "additionalDataBytes", "4294967295"]);
}

#[test]
fn an_answer_with_a_wrong_end_marker_is_a_protocol_error() {
    spoilt(|answer| answer[124] = 0).expect_error(6, &["axis x", "cmdEnd", "0xFEDC4321"]);
}

#[test]
fn an_upload_that_the_peer_does_not_read_times_out() {
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
            let mut peer = Peer::accept_and_shake_hands(&listener).await;
            peer.expect(CommandCode::CAMERA_EXPOSURE_GET).await;
        };
        let arguments = ["get", "exposure", "--connect", &options.address];
        let (ended, ()) = zip(flamingo_meanwhile(&arguments), server).await;
        ended.expect_error(7, &["exposure", "lost"]);
    });
}

#[test]
fn a_watch_reports_a_lost_connection() {
    smol::block_on(async {
        let (listener, options) = listen();
        let address = options.address;
        let running = start(&["watch", "--no-reconnect", "--json", "-v", "--connect", &address]);
        let mut peer = Peer::accept_and_shake_hands(&listener).await;
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
        assert!(ended.stderr.contains("watch: connection lost after 1 message;"), "{ended:?}");
    });
}

#[test]
fn a_failure_names_the_code_and_the_status() {
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
fn a_laser_that_refuses_is_a_failure() {
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
fn a_failing_axis_does_not_hide_the_others() {
    smol::block_on(async {
        let ended = against(&["--json", "get", "position"], |mut peer| async {
            for _ in 0..4 {
                let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
                let axis = f64::from(query.selector());
                let failed = query.selector() == 2;
                let mut answer = if failed { failure_of(&query) } else { answer_to(&query, axis) };
                if failed {
                    answer.set_text("axis 2: error").unwrap();
                }
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
