//! How a client ends: every call has an outcome and every subscription an end, whatever is dropped.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Error, Event, Reconnect};
use flamingo_runtime_testkit::peer::{
    Peer, answer_to, connected, connected_to, is_lost, listen, motion_stopped, opened, position_of,
    soon,
};
use smol::future;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

#[test]
fn dropping_the_driver_ends_all_calls_and_subscriptions() {
    smol::block_on(async {
        let (client, driver, _peer) = opened(|_| {}).await;
        let mut events = client.subscribe(&[]);
        let mut motion = client.arm(1);
        let mut calls =
            [Box::pin(client.request(position_of(1))), Box::pin(client.request(position_of(2)))];
        let mut halt = Box::pin(client.halt(1));
        let mut stats = Box::pin(client.stats());
        for call in &mut calls {
            assert!(future::poll_once(call).await.is_none());
        }
        assert!(future::poll_once(&mut halt).await.is_none());
        assert!(future::poll_once(&mut stats).await.is_none());
        drop(driver);
        for call in calls {
            assert!(is_lost(&soon("the request's end", call).await));
        }
        assert!(is_lost(&soon("the HALT's end", halt).await));
        assert!(is_lost(&soon("the end of stats", stats).await));
        assert!(soon("the end of the events", events.next()).await.is_none());
        assert!(is_lost(&soon("the end of the motion", motion.wait()).await));
    });
}

#[test]
fn a_subscription_that_begins_after_the_end_ends_at_once() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let mut events = client.subscribe(&[]);
        let clone = client.clone();
        client.close().await;
        assert_eq!(soon("the end", peer.stream.read(&mut [0; 1])).await.unwrap(), 0);
        assert!(soon("the end", events.next()).await.is_none());
        assert!(soon("the end", clone.subscribe(&[]).next()).await.is_none());
        assert!(is_lost(&soon("the end", clone.arm(1).wait()).await));
        assert!(is_lost(&soon("the end", clone.stats()).await));
    });
}

#[test]
fn a_lost_connection_is_closed_before_another_is_made() {
    smol::block_on(async {
        let (client, mut peer) = connected(|options| options.reconnect = Some(never_again())).await;
        peer.stream.get_ref().shutdown(Shutdown::Write).unwrap();
        assert_eq!(soon("the end", peer.stream.read(&mut [0; 1])).await.unwrap(), 0);
        drop(client);
    });
}

#[test]
fn counters_and_closing_work_without_a_connection() {
    smol::block_on(async {
        let (client, peer) = connected(|options| options.reconnect = Some(never_again())).await;
        let mut events = client.subscribe(&[]);
        drop(peer);
        assert!(matches!(soon("the loss", events.next()).await, Some(Event::ConnectionLost)));
        assert_eq!(soon("the counters", client.stats()).await.unwrap().reconnects, 0);
        soon("the end", client.close()).await;
        assert!(soon("the end", events.next()).await.is_none());
    });
}

#[test]
fn a_blocked_halt_ends_when_no_fresh_connection_is_made() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.protocol.stop_patience = flamingo_protocol_core::time::Duration::from_millis(50);
        options.reconnect = Some(never_again());
        let (client, mut stalled) = connected_to(&listener, options).await;
        drop(listener);
        let workflow = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
        let upload = client.send_with_payload(workflow, vec![7; 32 * 1024 * 1024]);
        let script = async {
            stalled.expect(CommandCode::CAMERA_WORK_FLOW_START).await;
            client.halt(1).await
        };
        let (upload, halted) = soon("both ends", future::zip(upload, script)).await;
        assert!(is_lost(&upload) && is_lost(&halted), "{upload:?} {halted:?}");
    });
}

#[test]
fn only_the_blocked_stop_is_sent_over_the_fresh_connection() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.protocol.stop_patience = flamingo_protocol_core::time::Duration::from_millis(50);
        options.timeout = Duration::from_secs(60);
        let (client, mut stalled) = connected_to(&listener, options).await;
        let mut sent = Box::pin(client.halt(1));
        let halt = future::or(async { Err((&mut sent).await) }, async {
            Ok(stalled.expect(CommandCode::STAGE_HALT).await)
        });
        assert_eq!(halt.await.expect("the HALT on the wire").selector(), 1);
        let workflow = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
        let upload = client.send_with_payload(workflow, vec![7; 32 * 1024 * 1024]);
        let script = async {
            stalled.expect(CommandCode::CAMERA_WORK_FLOW_START).await;
            let fresh = async {
                let mut fresh = Peer::accept(&listener).await;
                let halt = fresh.expect(CommandCode::STAGE_HALT).await;
                assert_eq!(halt.selector(), 2, "the HALT that was sent is not sent again");
                fresh.answer(&halt, 0.0).await;
                fresh.shake_hands().await;
            };
            future::zip(client.halt(2), fresh).await.0
        };
        let all = future::zip(sent, future::zip(upload, script));
        let (sent, (_, blocked)) = soon("the HALTs", all).await;
        assert!(is_lost(&sent), "{sent:?}");
        blocked.unwrap();
    });
}

#[test]
fn an_answer_before_the_end_is_delivered_if_writing_fails() {
    smol::block_on(async {
        let (client, mut driver, mut peer) = opened(|_| {}).await;
        let mut asked =
            Box::pin(client.request(Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD)));
        let query = {
            let run = future::zip(&mut driver, &mut asked);
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
            future::or(async { Err(run.await) }, async { Ok(query.await) })
                .await
                .expect("on the wire")
        };
        // More than is read in one go, then the end: the next write is answered with a reset.
        let len: u32 = 400_000;
        let writing = async {
            peer.write(&answer_to(&query, 0.0).with_payload_len(len)).await;
            peer.write_bytes(&vec![b'x'; len as usize]).await;
            let socket = socket2::SockRef::from(peer.stream.get_ref());
            socket.shutdown(Shutdown::Both).unwrap();
        };
        writing.await;
        let mut more = Vec::new();
        for _ in 0..8 {
            let mut call = Box::pin(client.send(position_of(3)));
            let _ = future::poll_once(&mut call).await;
            more.push(call);
        }
        drop(peer);
        let (answer, ()) = soon("the end", future::zip(asked, driver)).await;
        assert_eq!(answer.expect("the answer came before the end").payload.len(), len as usize);
    });
}

#[test]
fn a_motion_whose_end_may_have_been_displaced_says_so() {
    smol::block_on(async {
        let (client, mut peer) = connected(|options| options.event_capacity = 1).await;
        let mut motion = client.arm(3);
        peer.write(&motion_stopped(3, 1)).await;
        peer.write(&motion_stopped(1, 1)).await;
        let both = async { while client.stats().await.unwrap().events < 2 {} };
        soon("both events", both).await;
        let end = soon("the end of the motion", motion.wait()).await;
        assert!(
            matches!(&end, Err(Error::ConnectionLost { reason, .. }) if reason.contains("missed")),
            "{end:?}"
        );
    });
}

/// Sends `count` bytes there and back between two tasks: every task that is woken meanwhile has run.
async fn rounds(count: usize) {
    let (listener, options) = listen();
    let (near, far) = future::zip(TcpStream::connect(&options.address), listener.accept()).await;
    let (mut near, (mut far, _)) = (near.expect("it listens"), far.expect("it listens"));
    let echo = smol::spawn(async move {
        let mut byte = [0];
        while far.read_exact(&mut byte).await.is_ok() {
            far.write_all(&byte).await.expect("it is open");
        }
    });
    for _ in 0..count {
        near.write_all(&[1]).await.expect("it is open");
        near.read_exact(&mut [0]).await.expect("it is open");
    }
    drop(near);
    echo.await;
}

#[test]
fn the_end_of_the_stream_does_not_spin_a_waiting_client() {
    smol::block_on(async {
        let (client, mut driver, peer) =
            opened(|options| options.reconnect = Some(never_again())).await;
        let polls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&polls);
        let task = smol::spawn(future::poll_fn(move |context| {
            counter.fetch_add(1, Ordering::Relaxed);
            driver.as_mut().poll(context)
        }));
        let mut events = client.subscribe(&[]);
        peer.stream.get_ref().shutdown(Shutdown::Write).expect("it is open");
        let lost = soon("the loss", events.next()).await;
        assert!(matches!(lost, Some(Event::ConnectionLost)), "{lost:?}");
        let before = polls.load(Ordering::Relaxed);
        rounds(500).await;
        let woken = polls.load(Ordering::Relaxed) - before;
        assert!(woken < 20, "it waits for an hour, and was woken {woken} times");
        drop(task);
    });
}

#[test]
fn callers_that_retry_do_not_delay_a_reconnect() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.reconnect = Some(Reconnect::default().delay(Duration::from_millis(1)).jitter(0.0));
        let (client, peer) = connected_to(&listener, options).await;
        let callers: Vec<_> = (0..16)
            .map(|_| {
                let client = client.clone();
                smol::spawn(async move {
                    loop {
                        // Refused at once while there is no connection.
                        let _ = client.request(position_of(1)).await;
                        future::yield_now().await;
                    }
                })
            })
            .collect();
        drop(peer);
        let mut again = Peer::accept(&listener).await;
        soon("the handshake", again.shake_hands()).await;
        drop(callers);
    });
}

fn never_again() -> Reconnect {
    Reconnect::default().delay(Duration::from_secs(3600)).jitter(0.0)
}
