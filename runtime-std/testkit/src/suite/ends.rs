//! How the connection of every client begins and ends.

use std::time::Duration;

use flamingo_protocol_core::{Class, CommandCode, Frame};
use flamingo_runtime_std::{Error, Event, Options, Reconnect, Stopped};
use smol::future;
use smol::io::AsyncReadExt;

use super::hosted::connected;
use super::{Calls, Events, SHORT};
use crate::peer::{Peer, answer_to, is_lost, listen, move_to, position_of, soon};

pub fn a_lost_connection_ends_requests_and_subscriptions<C: Calls>() {
    C::run(async {
        let slow = |options: &mut Options| options.timeout = Duration::from_secs(60);
        let (client, mut peer) = connected::<C>(slow).await;
        let mut events = client.subscribe(&[]);
        let motion = client.arm(1);
        let [x, y] = [1, 2].map(|axis| client.ask(position_of(axis)));
        let script = async {
            peer.read().await;
            peer.read().await;
            drop(peer);
        };
        let all = future::zip(future::zip(x, y), script);
        let ((x, y), ()) = soon("the loss", all).await;
        assert!(is_lost(&x) && is_lost(&y), "{x:?} {y:?}");
        assert!(matches!(events.next().await, Some(Event::ConnectionLost)));
        assert!(events.next().await.is_none(), "without reconnect that is the end");
        assert!(is_lost(&soon("the end of the motion", C::end_of(motion)).await));
        assert!(is_lost(&client.ask(position_of(1)).await));
    });
}

pub fn connecting_again_keeps_subscriptions_and_repeats_nothing<C: Calls>() {
    C::run(async {
        let (listener, mut options) = listen();
        options.reconnect = Some(Reconnect::default().delay(Duration::from_millis(20)));
        let accepted = Peer::accept_and_shake_hands(&listener);
        let (client, mut peer) = future::zip(C::connect(options), accepted).await;
        let client = client.expect("the handshake");
        let mut events = client.subscribe(&[]);
        let again = async {
            peer.expect(CommandCode::STAGE_POSITION_SET).await;
            drop(peer);
            Peer::accept_and_shake_hands(&listener).await
        };
        let (moved, mut peer) = future::zip(client.ask(move_to(1, 5.0)), again).await;
        assert!(is_lost(&moved), "{moved:?}");
        assert!(matches!(events.next().await, Some(Event::ConnectionLost)));
        assert!(matches!(events.next().await, Some(Event::Reconnected)));
        let script = async {
            // The first command after the handshake is the new one, not the lost move.
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.write(&Frame::new(CommandCode::SYSTEM_STATE_IDLE)).await;
            peer.answer(&query, 3.0).await;
            peer
        };
        let (answer, _peer) = future::zip(client.ask(position_of(1)), script).await;
        answer.unwrap();
        let Some(Event::Frame(event)) = events.next().await else { panic!("no frame") };
        assert_eq!(event.frame.code, CommandCode::SYSTEM_STATE_IDLE);
        assert!(matches!(event.class, Class::Unsolicited { ours: false }));
        assert_eq!(client.stats().await.unwrap().reconnects, 1);
    });
}

async fn ends(mut peer: Peer) {
    assert_eq!(soon("the end", peer.stream.read(&mut [0; 1])).await.unwrap(), 0);
}

pub fn closing_ends_the_socket_for_all_clones<C: Calls>() {
    C::run(async {
        let (client, peer) = connected::<C>(|_| {}).await;
        let clone = client.clone();
        let mut events = client.subscribe(&[]);
        client.close().await;
        assert!(is_lost(&clone.ask(position_of(1)).await));
        assert!(events.next().await.is_none());
        ends(peer).await;
    });
}

pub fn the_last_handle_that_is_dropped_ends_the_socket<C: Calls>() {
    C::run(async {
        let (client, mut peer) = connected::<C>(|_| {}).await;
        let mut events = client.subscribe(&[]);
        let clone = client.clone();
        drop(client);
        let script = async {
            let query = peer.read().await;
            peer.answer(&query, 1.0).await;
        };
        let (answer, ()) = future::zip(clone.ask(position_of(1)), script).await;
        answer.unwrap();
        drop(clone);
        ends(peer).await;
        assert!(events.next().await.is_none());
    });
}

pub fn stale_bytes_while_it_settles_are_no_answer<C: Calls>() {
    C::run(async {
        let (listener, mut options) = listen();
        options.settle = SHORT;
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            let stale = answer_to(&Frame::command(CommandCode::SYSTEM_STATE_GET), 99.0);
            peer.write(&stale).await;
            let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            peer.answer(&query, 1.0).await;
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.answer(&query, 2.0).await;
        };
        let asks = async { C::connect(options).await.unwrap().ask(position_of(1)).await };
        let (answer, ()) = future::zip(asks, script).await;
        assert!((answer.unwrap().frame.value - 2.0).abs() < f64::EPSILON);
    });
}

pub fn a_port_that_nobody_listens_on_cannot_be_connected<C: Calls>() {
    C::run(async {
        let (listener, options) = listen();
        drop(listener);
        let client = C::connect(options).await.map(drop);
        assert!(matches!(client, Err(Error::Connect { .. })), "{client:?}");
    });
}

pub fn a_host_without_an_address_cannot_be_resolved<C: Calls>() {
    C::run(async {
        let client = C::connect(Options::new("no-such-host.invalid:53717")).await.map(drop);
        assert!(matches!(client, Err(Error::Resolve { .. })), "{client:?}");
    });
}

pub fn a_peer_that_says_nothing_is_a_timeout<C: Calls>() {
    C::run(async {
        let (listener, mut options) = listen();
        options.timeout = SHORT;
        let (client, _peer) = future::zip(C::connect(options), Peer::accept(&listener)).await;
        let client = client.map(drop);
        assert!(matches!(client, Err(Error::Silent { .. })), "{client:?}");
    });
}

pub fn four_halts_are_the_first_bytes_on_a_fresh_connection<C: Calls>() {
    const AXES: &[i32] = &[1, 2, 3, 4];
    C::run(async {
        let (listener, mut options) = listen();
        options.settle = Duration::from_secs(3600); // a handshake would wait that long
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            for axis in AXES {
                let halt = peer.expect(CommandCode::STAGE_HALT).await;
                assert_eq!(halt.selector(), *axis);
                peer.answer(&halt, 0.0).await;
            }
        };
        let (halted, ()) = future::zip(C::halt_at(options, AXES), script).await;
        let halted = halted.unwrap();
        assert_eq!(halted.len(), 4);
        let is_confirmed = |stopped: &Stopped| matches!(stopped.outcome, Ok(Some(_)));
        assert!(halted.iter().all(is_confirmed), "{halted:?}");
    });
}
