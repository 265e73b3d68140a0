//! What holds for every client with the API of `flamingo_runtime_std::Client`: giving up, stops, uploads, motions.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, connection::TokenField};
use flamingo_runtime_std::{Error, Event};
use smol::future;

use super::cancelling::{is_value, query_for_x};
use super::hosted::connected;
use super::{Calls, Events, SHORT};
use crate::peer::{Peer, answer_to, listen, motion_stopped, move_to, position_of, soon};

/// With tokens, the next query goes out at once.
pub fn a_dropped_call_misplaces_no_answer_with_tokens<C: Calls>() {
    C::run(async {
        let with_tokens = |options: &mut flamingo_runtime_std::Options| {
            options.protocol.tokens = Some(TokenField::ClientId);
        };
        let (client, mut peer) = connected::<C>(with_tokens).await;
        let first = client.given_up(position_of(1), query_for_x(&mut peer)).await;
        let script = async {
            let again = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            assert_eq!(again.selector(), 1, "no fence");
            peer.answer(&first, 1.0).await;
            peer.answer(&again, 2.0).await;
        };
        let (answer, ()) = future::zip(client.ask(position_of(1)), script).await;
        let answer = answer.expect("an answer");
        assert!(answer.proven);
        is_value::<()>(&Ok(answer.frame), 2.0);
    });
}

/// Waits until so many calls are in the table.
async fn in_flight<C: Calls>(client: &C, count: usize) {
    let reached = async { while client.stats().await.unwrap().in_flight != count {} };
    soon("the calls in the table", reached).await;
}

pub fn a_command_dropped_before_it_was_sent_is_never_sent<C: Calls>() {
    C::run(async {
        let (client, mut peer) = connected::<C>(|options| options.protocol.window = 1).await;
        let script = async {
            let x = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            // The window is full: the move waits in the queue when it is given up.
            client.given_up(move_to(2, 9.0), in_flight(&client, 2)).await;
            in_flight(&client, 1).await;
            peer.answer(&x, 1.0).await;
        };
        let (answer, ()) = future::zip(client.ask(position_of(1)), script).await;
        answer.unwrap();
        let (_, next) = future::zip(client.send(position_of(3)), peer.read()).await;
        assert_eq!(next.selector(), 3, "not the move that was dropped");
    });
}

pub fn a_wait_for_an_event_that_is_given_up_loses_none<C: Calls>() {
    C::run(async {
        let (client, mut peer) = connected::<C>(|_| {}).await;
        let mut events = client.subscribe(&[]);
        for n in 0..3 {
            events.give_up().await;
            peer.write(&Frame::new(CommandCode::UI_SET_GAUGE_VALUE).with_selector(n)).await;
            peer.write(&Frame::new(CommandCode::UI_SET_GAUGE_VALUE).with_selector(n)).await;
            for _ in 0..2 {
                assert_eq!(frame(events.next().await).selector(), n);
            }
        }
    });
}

fn frame(event: Option<Event>) -> Frame {
    match event {
        Some(Event::Frame(event)) => event.frame,
        other => panic!("expected a frame, got {other:?}"),
    }
}

pub fn a_halt_overtakes_and_cancels_all_queued_moves<C: Calls>() {
    C::run(async {
        let (client, mut peer) = connected::<C>(|options| options.protocol.window = 1).await;
        let on_the_way = client.ask(move_to(2, 7.0));
        // All 64 places of the table: one on the wire, 63 queued.
        let queued = (0..63).map(|n| smol::spawn(client.ask(move_to(1, f64::from(n)))));
        let queued: Vec<_> = queued.collect();
        let script = async {
            let first = peer.read().await;
            in_flight(&client, 64).await;
            let refused = client.ask(position_of(4)).await;
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

pub fn a_blocked_upload_stops_neither_reading_nor_events<C: Calls>() {
    C::run(async {
        let (client, mut peer) = connected::<C>(|_| {}).await;
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
                assert_eq!(frame(events.next().await).selector(), n);
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

pub fn a_halt_behind_a_stalled_upload_uses_a_fresh_connection<C: Calls>() {
    C::run(async {
        let (listener, mut options) = listen();
        options.protocol.stop_patience = SHORT.into();
        let stalled = Peer::accept_and_shake_hands(&listener);
        let (client, mut stalled) = future::zip(C::connect(options), stalled).await;
        let client = client.expect("the handshake");
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
        assert!(matches!(events.next().await, Some(Event::ConnectionLost)));
        assert!(matches!(events.next().await, Some(Event::Reconnected)));
        let (answer, ()) = future::zip(client.request(position_of(1)), async {
            let query = fresh.expect(CommandCode::STAGE_POSITION_GET).await;
            fresh.answer(&query, 4.0).await;
        })
        .await;
        is_value(&answer, 4.0);
    });
}

pub fn a_motion_that_ends_before_its_acknowledgement_is_seen<C: Calls>() {
    C::run(async {
        let (client, mut peer) = connected::<C>(|_| {}).await;
        let motion = client.arm(3);
        let script = async {
            let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
            peer.write(&motion_stopped(1, 1)).await;
            peer.write(&motion_stopped(3, 1)).await;
            peer.answer(&command, 0.25).await;
        };
        let (moved, ()) = future::zip(client.ask(move_to(3, 0.25)), script).await;
        moved.unwrap();
        let end = soon("the end of the motion", C::end_of(motion)).await.unwrap();
        assert!(end.completed);
        assert_eq!(end.frame.selector(), 3);
    });
}

pub fn an_answer_is_whole_with_the_last_byte_of_its_payload<C: Calls>() {
    C::run(async {
        let (client, mut peer) = connected::<C>(|_| {}).await;
        let text = "Soft limit max x-axis = 12.31\n".repeat(100);
        let script = async {
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            let len = u32::try_from(text.len()).unwrap();
            peer.write(&answer_to(&query, 0.0).with_payload_len(len)).await;
            for part in text.as_bytes().chunks(1000) {
                peer.write_bytes(part).await;
            }
        };
        let query = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
        let (answer, ()) = future::zip(client.ask(query), script).await;
        assert_eq!(&*answer.unwrap().payload, text.as_bytes());
    });
}
