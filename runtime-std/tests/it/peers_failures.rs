//! Failures of other clients of such instruments, one test each: those that need sockets and
//! subscribers. The others are tests of the protocol core.

use std::net::Shutdown;

use flamingo_protocol_core::{Class, CommandCode, Frame};
use flamingo_runtime_std::Event;
use flamingo_runtime_testkit::peer::{
    self, connected, is_lost, next_frame, position_of, position_push, soon,
};
use smol::future;

fn gauge(number: i32) -> Frame {
    Frame::new(CommandCode::UI_SET_GAUGE_VALUE).with_selector(number)
}

#[test]
fn a_stalled_subscriber_delays_nothing_but_itself() {
    smol::block_on(async {
        let (client, mut peer) = connected(|options| options.event_capacity = 8).await;
        let stalled = client.subscribe(&[]);
        let mut other = client.subscribe(&[CommandCode::SYSTEM_STATE_IDLE]);
        let script = async {
            let query = peer.read().await;
            for number in 0..5000 {
                peer.write(&gauge(number)).await;
            }
            peer.write(&Frame::new(CommandCode::SYSTEM_STATE_IDLE)).await;
            peer.answer(&query, 7.0).await;
        };
        let (answer, ()) = future::zip(client.request(position_of(1)), script).await;
        let answer = answer.expect("an answer behind 5000 events that are not received");
        assert!(answer.proven && answer.frame.value.to_bits() == 7.0_f64.to_bits());
        assert_eq!(next_frame(&mut other).await.frame.code, CommandCode::SYSTEM_STATE_IDLE);
        drop(stalled);
    });
}

#[test]
fn events_are_not_dropped_silently_when_a_queue_is_full() {
    smol::block_on(async {
        let (client, mut peer) = connected(|options| options.event_capacity = 4).await;
        let mut slow = client.subscribe(&[]);
        let script = async {
            let query = peer.read().await;
            for number in 0..100 {
                peer.write(&gauge(number)).await;
            }
            peer.answer(&query, 0.0).await;
        };
        // The answer stands behind the events: when it is here, they are in the queue.
        let (answer, ()) = future::zip(client.request(position_of(1)), script).await;
        answer.expect("an answer");
        let first = soon("the first event", slow.next()).await;
        assert!(matches!(first, Some(Event::Lagged(96))), "{first:?}");
        for number in 96..100 {
            assert_eq!(next_frame(&mut slow).await.frame.selector(), number);
        }
        let stats = client.stats().await.expect("the driver runs");
        assert_eq!((stats.events, stats.events_lost), (100, 96));
        assert_eq!(stats.counters.unsolicited, 100);
    });
}

#[test]
fn a_subscription_takes_no_answer_and_gets_every_push() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let mut positions = client.subscribe(&[CommandCode::STAGE_POSITION_GET]);
        let script = async {
            for round in 0..50 {
                let query = peer.read().await;
                peer.write(&position_push(1, -1.0)).await;
                peer.answer(&query, f64::from(round)).await;
                peer.write(&position_push(1, -2.0)).await;
            }
        };
        let asking = async {
            for round in 0..50 {
                let answer = client.request(position_of(1)).await.expect("an answer");
                assert!(
                    answer.proven && answer.frame.value.to_bits() == f64::from(round).to_bits()
                );
            }
        };
        future::zip(asking, script).await;
        for round in 0..100 {
            let event = next_frame(&mut positions).await;
            assert_eq!(event.class, Class::Unsolicited { ours: false });
            assert!(event.frame.value < 0.0, "an answer was given away in round {round}");
        }
    });
}

#[test]
fn the_end_of_the_stream_ends_the_driver_without_spinning() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let mut events = client.subscribe(&[]);
        let script = async {
            peer.read().await;
            // Only the peer's half: every further read returns 0 bytes at once.
            peer.stream.get_ref().shutdown(Shutdown::Write).expect("it is open");
        };
        let (answer, ()) = future::zip(client.request(position_of(1)), script).await;
        assert!(is_lost(&answer), "{answer:?}");
        let lost = soon("the loss", events.next()).await;
        assert!(matches!(lost, Some(Event::ConnectionLost)), "{lost:?}");
        assert!(soon("the end", events.next()).await.is_none());
        soon("the end of the driver", client.close()).await;
        assert!(peer.stream.get_ref().peer_addr().is_err() || ends(&mut peer).await);
    });
}

/// The client has closed its socket, too.
async fn ends(peer: &mut peer::Peer) -> bool {
    let mut byte = [0];
    let read = smol::io::AsyncReadExt::read(&mut peer.stream, &mut byte);
    matches!(soon("the client's end", read).await, Ok(0) | Err(_))
}
