//! Clients that share the reactor for plain threads, and threads that wait for any future there.

use std::pin::pin;
use std::thread;
use std::time::Duration;

use flamingo_runtime_std::blocking::Reactor;
use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_runtime_std::{Client, Error, Event, Options};
use flamingo_runtime_testkit::peer::{Peer, answer_to, listen, position_of, soon};
use smol::io::AsyncReadExt;

/// A time limit that is over before anything else ends the call.
const SHORT: Duration = Duration::from_millis(100);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of this reactor, whose peer plays this script on a thread of its own.
fn connected<F: Future>(
    reactor: &Reactor,
    script: impl FnOnce(Peer) -> F + Send + 'static,
) -> (Client, thread::JoinHandle<F::Output>)
where
    F::Output: Send + 'static,
{
    let (listener, options) = listen();
    let peer = thread::spawn(move || {
        smol::block_on(async { script(Peer::accept_and_shake_hands(&listener).await).await })
    });
    (reactor.block_on(reactor.connect(options)).expect("the handshake"), peer)
}

/// Answers each query with its axis, and sends an event after it, until the client is gone.
async fn answer_all(mut peer: Peer) {
    let mut bytes = [0; 128];
    while peer.stream.read_exact(&mut bytes).await.is_ok() {
        let query = Frame::decode(&bytes).expect("a frame");
        let answer = answer_to(&query, f64::from(query.selector())).encode();
        let event = Frame::new(CommandCode::UI_SET_GAUGE_VALUE).encode();
        peer.write_bytes(&[answer, event].concat()).await;
    }
}

#[test]
fn threads_of_two_clients_read_for_each_other() {
    let reactor = Reactor::new().expect("a poller");
    let both = [connected(&reactor, answer_all), connected(&reactor, answer_all)];
    let events = both.each_ref().map(|(client, _)| client.subscribe(&[]));
    thread::scope(|scope| {
        for axis in [1, 2, 3, 4] {
            for (client, _) in &both {
                let reactor = &reactor;
                scope.spawn(move || {
                    for _ in 0..200 {
                        let answer = reactor.block_on(client.request(position_of(axis)));
                        let value = answer.expect("an answer").frame.value;
                        assert!((value - f64::from(axis)).abs() < f64::EPSILON);
                    }
                });
            }
        }
    });
    for mut events in events {
        let all = async {
            for _ in 0..4 * 200 {
                assert!(matches!(events.next().await, Some(Event::Frame(_))));
            }
        };
        reactor.block_on_within(pin!(all), PATIENCE).expect("each event");
    }
    for (client, peer) in both {
        drop(client);
        peer.join().expect("the script");
    }
}

/// No thread waits: the threads of the clients read, one of them for both.
#[test]
fn events_of_two_clients_arrive_while_no_thread_waits() {
    let reactor = Reactor::new().expect("a poller");
    let (first, first_peer) = connected(&reactor, answer_all);
    let (second, second_peer) = connected(&reactor, answer_all);
    for round in 0..20 {
        for client in [&first, &second] {
            let mut events = client.subscribe(&[CommandCode::UI_SET_GAUGE_VALUE]);
            // Polled by another executor, which knows nothing of the reactor.
            smol::block_on(soon("the event", async {
                client.request(position_of(1)).await.expect("an answer");
                assert!(matches!(events.next().await, Some(Event::Frame(_))), "{round}");
            }));
        }
    }
    drop(first);
    first_peer.join().expect("the script");
    // The other one still has a thread that reads.
    smol::block_on(soon("an answer", second.request(position_of(2)))).expect("an answer");
    drop(second);
    second_peer.join().expect("the script");
}

#[test]
fn the_time_limit_of_a_call_is_kept_on_any_executor() {
    let reactor = Reactor::new().expect("a poller");
    let (client, peer) = connected(&reactor, async |mut peer: Peer| {
        peer.expect(CommandCode::STAGE_POSITION_GET).await;
        peer.expect(CommandCode::STAGE_POSITION_GET).await;
        peer
    });
    let short = || client.request_within(position_of(1), SHORT);
    let ended = smol::block_on(soon("the limit", short()));
    assert!(matches!(ended, Err(Error::TimedOut { sent: true, .. })), "{ended:?}");
    let ended = reactor.block_on(short());
    assert!(matches!(ended, Err(Error::TimedOut { sent: true, .. })), "{ended:?}");
    drop(peer.join().expect("the script"));
}

#[test]
fn a_wait_that_was_too_short_goes_on_with_the_next() {
    let reactor = Reactor::new().expect("a poller");
    let (go_on, may_answer) = async_channel::bounded(1);
    let (client, peer) = connected(&reactor, async move |mut peer: Peer| {
        let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
        may_answer.recv().await.expect("the test goes on");
        peer.answer(&query, 7.5).await;
        peer
    });
    let mut call = pin!(client.request_within(position_of(1), PATIENCE));
    assert!(reactor.block_on_within(call.as_mut(), SHORT).is_none());
    go_on.try_send(()).expect("the peer waits");
    let answer = reactor.block_on_within(call, PATIENCE).expect("in time").expect("an answer");
    assert!((answer.frame.value - 7.5).abs() < f64::EPSILON);
    drop(peer.join().expect("the script"));
}

#[test]
fn dropping_the_future_of_connecting_closes_the_socket() {
    let reactor = Reactor::new().expect("a poller");
    let (listener, options) = listen();
    let mut connecting = Box::pin(reactor.connect(options));
    assert!(reactor.block_on_within(connecting.as_mut(), SHORT).is_none(), "nobody answers");
    drop(connecting);
    let end = async {
        let mut peer = Peer::accept(&listener).await;
        let mut bytes = Vec::new();
        // It may end with a reset.
        drop(peer.stream.read_to_end(&mut bytes).await);
    };
    smol::block_on(soon("the end of the connection", end));
}

#[test]
fn a_failure_to_connect_names_the_address() {
    let reactor = Reactor::new().expect("a poller");
    let (listener, options) = listen();
    drop(listener);
    let failed = reactor.block_on(reactor.connect(Options::new(options.address.clone())));
    let Err(Error::Connect { address, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(address, options.address);
}
