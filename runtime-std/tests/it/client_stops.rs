//! HALT and uploads in front of a scripted peer: what overtakes what, what is never split, and what
//! must not run after a stop.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Error, Event};
use flamingo_runtime_testkit::peer::{
    Peer, connected, connected_to, listen, move_to, next_frame, opened, position_of, soon,
};
use smol::future;

#[test]
fn a_halt_overtakes_and_cancels_all_queued_moves() {
    smol::block_on(async {
        let (client, mut peer) = connected(|options| options.protocol.window = 1).await;
        let on_the_way = client.request(move_to(2, 7.0));
        // All 64 places of the table: one on the wire, 63 queued.
        let queued: Vec<_> = (0..63)
            .map(|n| {
                smol::spawn({
                    let client = client.clone();
                    async move { client.request(move_to(1, f64::from(n))).await }
                })
            })
            .collect();
        let script = async {
            let first = peer.read().await;
            let full = async { while client.stats().await.unwrap().in_flight < 64 {} };
            soon("a full table", full).await;
            let refused = client.request(position_of(4)).await;
            assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
            let (halted, ()) = future::zip(client.halt(1), async {
                let halt = peer.expect(CommandCode::STAGE_HALT).await;
                peer.answer(&halt, 0.0).await;
            })
            .await;
            halted.unwrap();
            peer.answer(&first, 0.0).await;
        };
        let (sent, ()) = future::zip(on_the_way, script).await;
        let mut superseded = usize::from(matches!(sent, Err(Error::Superseded { .. })));
        for task in queued {
            superseded += usize::from(matches!(task.await, Err(Error::Superseded { .. })));
        }
        assert_eq!(superseded, 63, "all but the one that was on the wire already");
        let (_, next) = future::zip(client.send(position_of(3)), peer.read()).await;
        assert_eq!(next.code, CommandCode::STAGE_POSITION_GET, "no move runs after the HALT");
    });
}

#[test]
fn a_halt_whose_future_is_dropped_goes_out_all_the_same() {
    smol::block_on(async {
        let (client, driver, mut peer) = opened(|_| {}).await;
        // The driver does not run yet: it finds the HALT when its caller has gone.
        assert!(future::poll_once(Box::pin(client.halt(2))).await.is_none());
        let driver = smol::spawn(driver);
        assert_eq!(peer.expect(CommandCode::STAGE_HALT).await.selector(), 2);
        client.close().await;
        driver.await;
    });
}

#[test]
fn a_halt_is_sent_even_when_too_many_are_unanswered() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let halts: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                smol::spawn(async move { client.halt(1).await })
            })
            .collect();
        for _ in 0..20 {
            peer.expect(CommandCode::STAGE_HALT).await;
        }
        drop(peer);
        let mut unconfirmed = 0;
        for halt in halts {
            unconfirmed += usize::from(matches!(halt.await, Err(Error::Unconfirmed { .. })));
        }
        assert_eq!(unconfirmed, 20 - 8, "eight of one axis can be waited for");
    });
}

#[test]
fn a_blocked_upload_stops_neither_reading_nor_events() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let mut events = client.subscribe(&[]);
        let settings = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE);
        let payload: Vec<u8> = (0..32 * 1024 * 1024).map(|n: u32| n.to_le_bytes()[1]).collect();
        let script = async {
            let header = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).await;
            assert_eq!(header.payload_len as usize, payload.len());
            // The peer reads nothing; the client still does.
            for n in 0..1000 {
                peer.write(&Frame::new(CommandCode::UI_SET_GAUGE_VALUE).with_selector(n)).await;
            }
            for n in 0..1000 {
                assert_eq!(next_frame(&mut events).await.frame.selector(), n);
            }
            let came = peer.read_bytes(payload.len()).await;
            assert!(came == payload, "header and payload with nothing between");
            peer.answer(&header, 0.0).await;
        };
        let upload = client.upload(settings, payload.clone(), Duration::from_secs(20));
        let (answer, ()) = future::zip(upload, script).await;
        answer.unwrap();
    });
}

#[test]
fn a_halt_behind_a_stalled_upload_uses_a_fresh_connection() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.protocol.stop_patience = flamingo_protocol_core::time::Duration::from_millis(100);
        let (client, mut stalled) = connected_to(&listener, options).await;
        let mut events = client.subscribe(&[]);
        let workflow = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
        let upload = client.send_with_payload(workflow, vec![7; 32 * 1024 * 1024]);
        let script = async {
            stalled.expect(CommandCode::CAMERA_WORK_FLOW_START).await;
            let (halted, fresh) = future::zip(client.halt(1), async {
                let mut fresh = Peer::accept(&listener).await;
                let halt = fresh.expect(CommandCode::STAGE_HALT).await;
                fresh.answer(&halt, 0.0).await;
                fresh.shake_hands().await;
                fresh
            })
            .await;
            halted.unwrap();
            fresh
        };
        let (upload, mut fresh) = soon("the HALT", future::zip(upload, script)).await;
        assert!(matches!(upload, Err(Error::ConnectionLost { .. })), "{upload:?}");
        assert!(matches!(soon("it", events.next()).await, Some(Event::ConnectionLost)));
        assert!(matches!(soon("it", events.next()).await, Some(Event::Reconnected)));
        let (answer, ()) = future::zip(client.request(position_of(1)), async {
            let query = fresh.expect(CommandCode::STAGE_POSITION_GET).await;
            fresh.answer(&query, 4.0).await;
        })
        .await;
        let value = answer.unwrap().frame.value;
        assert!((value - 4.0).abs() < f64::EPSILON, "the connection goes on");
    });
}
