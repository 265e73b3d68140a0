//! What threads that share a client for plain threads do to each other. The peer is a script on a thread of its own.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flamingo_runtime_std::blocking::Client;
use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_runtime_std::{Error, Event, Options};
use flamingo_runtime_testkit::peer::{Peer, answer_to, is_lost, listen, position_of};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// A time limit that is over before anything else ends the call.
const SHORT: Duration = Duration::from_millis(100);

/// A client, and the thread of its peer, which plays this script after the handshake.
fn connected<F>(
    tune: impl FnOnce(&mut Options),
    script: impl FnOnce(Peer) -> F + Send + 'static,
) -> (Client, JoinHandle<F::Output>)
where
    F: Future,
    F::Output: Send + 'static,
{
    let (listener, mut options) = listen();
    tune(&mut options);
    let peer = thread::spawn(move || {
        smol::block_on(async { script(Peer::accept_and_shake_hands(&listener).await).await })
    });
    (Client::connect(options).expect("the handshake"), peer)
}

/// Answers all queries with their axis until the client is gone, and sends an event after each answer.
async fn answer_all(mut peer: Peer) {
    use smol::io::AsyncReadExt;
    let mut bytes = [0; 128];
    while peer.stream.read_exact(&mut bytes).await.is_ok() {
        let query = Frame::decode(&bytes).expect("a frame");
        let answer = answer_to(&query, f64::from(query.selector())).encode();
        let event = Frame::new(CommandCode::UI_SET_GAUGE_VALUE).encode();
        peer.write_bytes(&[answer, event].concat()).await;
    }
}

fn camera() -> Frame {
    Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET)
}

#[test]
fn threads_that_come_and_go_get_their_own_answers() {
    let (client, peer) = connected(|_| {}, answer_all);
    let mut events = client.subscribe(&[CommandCode::UI_SET_GAUGE_VALUE]);
    thread::scope(|scope| {
        for axis in [1, 2, 3, 4, 1, 2] {
            let client = &client;
            scope.spawn(move || {
                for _ in 0..300 {
                    let answer = client.request(position_of(axis)).expect("an answer");
                    assert!((answer.frame.value - f64::from(axis)).abs() < f64::EPSILON);
                }
            });
        }
    });
    for _ in 0..6 * 300 {
        let event = events.recv_timeout(PATIENCE).expect("each event");
        assert!(matches!(event, Event::Frame(_)), "{event:?}");
    }
    drop(client);
    peer.join().expect("the script");
    assert!(events.recv().is_none());
}

/// While a call waits for long, its thread reads for all, and the time limits of others are kept.
#[test]
fn a_long_call_delays_no_event_and_no_time_limit() {
    let (asked, is_asked) = mpsc::channel();
    let slow = |options: &mut Options| options.timeout = Duration::from_secs(60);
    let (client, peer) = connected(slow, async move |mut peer: Peer| {
        let camera = peer.expect(CommandCode::CAMERA_IMAGE_SIZE_GET).await;
        asked.send(()).expect("the test waits");
        for n in 0..3 {
            peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.write(&Frame::new(CommandCode::SYSTEM_STATE_IDLE).with_selector(n)).await;
        }
        peer.answer(&camera, 1.0).await;
        peer
    });
    let mut events = client.subscribe(&[]);
    thread::scope(|scope| {
        let long = scope.spawn(|| client.request(camera()));
        is_asked.recv_timeout(PATIENCE).expect("it is sent");
        for axis in 1..=3 {
            let short = client.request_within(position_of(axis), SHORT);
            assert!(matches!(short, Err(Error::TimedOut { sent: true, .. })), "{short:?}");
            let event = events.recv_timeout(PATIENCE).expect("the event");
            assert!(matches!(event, Event::Frame(_)), "{event:?}");
        }
        assert!(long.join().expect("it does not panic").is_ok());
    });
    drop(peer.join().expect("the script"));
}

#[test]
fn the_thread_that_handles_events_can_call() {
    let (client, peer) = connected(
        |_| {},
        async |mut peer: Peer| {
            peer.shake_hands().await; // the test listens
            for n in 0..20 {
                peer.write(&Frame::new(CommandCode::SYSTEM_STATE_IDLE).with_selector(n)).await;
                let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
                peer.answer(&query, f64::from(n)).await;
            }
            peer
        },
    );
    let mut events = client.subscribe(&[CommandCode::SYSTEM_STATE_IDLE]);
    client.request(Frame::command(CommandCode::SYSTEM_STATE_GET)).expect("an answer");
    for n in 0..20 {
        let event = events.recv_timeout(PATIENCE).expect("the event");
        let Event::Frame(event) = event else { panic!("{event:?}") };
        assert_eq!(event.frame.selector(), n);
        let answer = client.request(position_of(1)).expect("an answer");
        assert!((answer.frame.value - f64::from(n)).abs() < f64::EPSILON);
    }
    drop(peer.join().expect("the script"));
}

#[test]
fn closing_ends_the_calls_and_waits_of_all_threads() {
    let (asked, is_asked) = mpsc::channel();
    let slow = |options: &mut Options| options.timeout = Duration::from_secs(60);
    let (client, peer) = connected(slow, async move |mut peer: Peer| {
        let _ = (peer.read().await, peer.read().await);
        asked.send(()).expect("the test waits");
        peer
    });
    let mut events = client.subscribe(&[]);
    let mut motion = client.arm(1);
    let calls = [camera(), position_of(1)].map(|query| {
        let client = client.clone();
        thread::spawn(move || client.request(query))
    });
    let waits = (thread::spawn(move || events.recv()), thread::spawn(move || motion.wait()));
    is_asked.recv_timeout(PATIENCE).expect("both are sent");
    client.close();
    for call in calls {
        assert!(is_lost(&call.join().expect("it does not panic")));
    }
    assert!(waits.0.join().expect("it does not panic").is_none());
    assert!(is_lost(&waits.1.join().expect("it does not panic")));
    drop(peer.join().expect("the script"));
}

/// Whether this process has a thread of this name.
#[cfg(target_os = "linux")]
fn has_thread(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    let names = threads.filter_map(|it| std::fs::read_to_string(it.ok()?.path().join("comm")).ok());
    names.into_iter().any(|found| found.trim_end() == name)
}

#[test]
#[cfg(target_os = "linux")]
fn the_thread_of_a_client_ends_with_its_last_handle() {
    let (client, peer) = connected(|_| {}, answer_all);
    let port = client.as_async().address().rsplit(':').next().expect("a port").to_owned();
    let name = format!("flamingo-{port}");
    let clone = client.clone();
    drop(client);
    clone.request(position_of(1)).expect("an answer");
    assert!(has_thread(&name));
    drop(clone);
    peer.join().expect("the script");
    let begin = flamingo_runtime_std::Clock::start();
    while has_thread(&name) {
        assert!(begin.now().as_micros() < 10_000_000, "the thread is still there after 10 s");
        thread::yield_now();
    }
}
