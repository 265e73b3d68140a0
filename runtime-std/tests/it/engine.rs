//! The driver's engine without a socket or a timer: every byte and every moment comes from the test.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use flamingo_protocol_core::{CommandCode, Frame, time::Instant, wire::FRAME_LEN};
use flamingo_runtime_std::driver::{Action, Engine, Opening};
use flamingo_runtime_std::{Client, Clock, Error, Event, Options, Reconnect};
use flamingo_runtime_testkit::peer::{answer_to, is_lost, position_of};
use smol::future::{FutureExt, block_on, poll_once};

const SECOND: Duration = Duration::from_secs(1);

/// An engine, and the time that it is told.
struct Bench {
    engine: Engine,
    now: Instant,
}

impl Bench {
    fn new(tune: impl FnOnce(&mut Options)) -> (Self, Opening) {
        let mut options = Options::new("instrument:53717");
        tune(&mut options);
        let clock = Clock::start();
        let (engine, opening) = Engine::new(options, clock);
        // Later than every call of the test, which are called by the real clock.
        (Self { engine, now: Instant::from_micros(1) }, opening)
    }

    /// With the handshake done.
    fn open(tune: impl FnOnce(&mut Options)) -> (Self, Client) {
        let (mut bench, opening) = Self::new(tune);
        assert_eq!(bench.engine.poll_action(), Some(Action::Connect));
        bench.shake_hands();
        let client = block_on(poll_once(&mut Box::pin(opening.client())));
        (bench, client.expect("the handshake is done").expect("it succeeded"))
    }

    fn shake_hands(&mut self) {
        self.engine.connected(self.now);
        self.pass(Duration::from_millis(50));
        let query = self.sent();
        assert_eq!(query.len(), 1);
        assert_eq!(query[0].code, CommandCode::SYSTEM_STATE_GET);
        self.receive(&answer_to(&query[0], 0.0));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time.into();
        self.engine.handle_timeout(self.now);
    }

    fn receive(&mut self, frame: &Frame) {
        self.engine.handle_input(self.now, SystemTime::UNIX_EPOCH, &frame.encode());
    }

    /// The frames that are written, without payloads.
    fn sent(&mut self) -> Vec<Frame> {
        self.engine.take_calls(self.now);
        let mut bytes = Vec::new();
        while let Some(next) = self.engine.poll_transmit(self.now) {
            bytes.extend_from_slice(next);
            let written = next.len();
            self.engine.transmitted(self.now, written);
        }
        bytes.chunks(FRAME_LEN).map(|frame| Frame::decode(frame).expect("a frame")).collect()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.engine.poll_action()).collect()
    }
}

/// Polls a call, which hands it over.
fn poll<T>(call: &mut Pin<Box<impl Future<Output = T>>>) -> Option<T> {
    block_on(poll_once(call))
}

fn every_2_s(options: &mut Options) {
    options.reconnect = Some(Reconnect::default().delay(2 * SECOND).jitter(0.0));
}

#[test]
fn nothing_is_sent_before_the_settling_time_is_over() {
    let (mut bench, _opening) = Bench::new(|_| {});
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connected(bench.now);
    let settled = bench.now + Duration::from_millis(50).into();
    assert_eq!(bench.engine.poll_timeout(), Some(settled));
    bench.pass(Duration::from_millis(49));
    assert!(bench.sent().is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_request_ends_with_its_answer_or_at_its_deadline() {
    let (mut bench, client) = Bench::open(|_| {});
    let mut x = Box::pin(client.request(position_of(1)));
    let mut y = Box::pin(client.request(position_of(2)));
    assert!(poll(&mut x).is_none() && poll(&mut y).is_none());
    let sent = bench.sent();
    assert_eq!(sent.len(), 2);
    bench.receive(&answer_to(&sent[0], 7.5));
    let answer = poll(&mut x).expect("answered").expect("an answer");
    assert!(answer.proven && (answer.frame.value - 7.5).abs() < f64::EPSILON);
    let deadline = bench.engine.poll_timeout().expect("the deadline of the other one");
    bench.engine.handle_timeout(deadline);
    assert!(matches!(poll(&mut y), Some(Err(Error::TimedOut { sent: true, .. }))));
}

#[test]
fn a_silent_peer_is_asked_to_say_what_it_is() {
    let (mut bench, opening) = Bench::new(|_| {});
    let mut client = Box::pin(opening.client());
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connected(bench.now);
    bench.pass(Duration::from_millis(50));
    assert_eq!(bench.sent().len(), 1);
    bench.pass(3 * SECOND);
    assert_eq!(bench.actions(), [Action::ShutdownWrite]);
    assert!(poll(&mut client).is_none());
    bench.pass(Duration::from_millis(300));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: false }, Action::End]);
    assert!(matches!(poll(&mut client), Some(Err(Error::Silent { .. }))));
}

#[test]
fn a_first_attempt_that_fails_is_not_repeated() {
    let (mut bench, opening) = Bench::new(every_2_s);
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connect_failed(bench.now, Error::lost("instrument:53717", "no route"));
    assert_eq!(bench.actions(), [Action::End]);
    assert!(is_lost(&poll(&mut Box::pin(opening.client())).expect("the end")));
}

#[test]
fn a_lost_connection_is_made_again_after_the_delay() {
    let (mut bench, client) = Bench::open(every_2_s);
    let mut events = client.subscribe(&[]);
    let mut asked = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut asked).is_none());
    assert_eq!(bench.sent().len(), 1);
    bench.engine.disconnected(bench.now, "the peer closed it");
    assert!(is_lost(&poll(&mut asked).expect("the end of the request")));
    assert!(matches!(events.try_next(), Some(Event::ConnectionLost)));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: false }]);

    let mut early = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut early).is_none());
    assert!(bench.sent().is_empty());
    assert!(is_lost(&poll(&mut early).expect("nothing is kept to be sent later")));

    bench.pass(2 * SECOND);
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connect_failed(bench.now, Error::lost("instrument:53717", "no route"));
    assert_eq!(bench.engine.poll_timeout(), Some(bench.now + (2 * SECOND).into()));
    bench.pass(2 * SECOND);
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.shake_hands();
    assert!(matches!(events.try_next(), Some(Event::Reconnected)));
}

#[test]
fn a_blocked_stop_goes_first_over_a_fresh_connection() {
    let (mut bench, client) = Bench::open(|options| {
        options.protocol.stop_patience = flamingo_protocol_core::time::Duration::from_millis(100);
    });
    let upload = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
    let mut upload = Box::pin(client.send_with_payload(upload, vec![7; 1000]));
    assert!(poll(&mut upload).is_none());
    bench.engine.take_calls(bench.now);
    assert!(bench.engine.poll_transmit(bench.now).is_some());
    // The socket takes half a frame, and no more.
    bench.engine.transmitted(bench.now, 64);
    let mut halt = Box::pin(client.halt(1));
    assert!(poll(&mut halt).is_none());
    bench.engine.take_calls(bench.now);
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: true }, Action::Connect]);
    assert!(is_lost(&poll(&mut upload).expect("the end of the upload")));

    bench.engine.connected(bench.now);
    let halts = bench.sent();
    assert_eq!(halts.iter().map(|frame| frame.code).collect::<Vec<_>>(), [CommandCode::STAGE_HALT]);
    bench.receive(&answer_to(&halts[0], 0.0));
    assert!(poll(&mut halt).expect("the end of the stop").is_ok());
}

#[test]
fn a_blocked_stop_is_refused_when_nobody_accepts() {
    let (mut bench, client) = Bench::open(|options| {
        options.protocol.stop_patience = flamingo_protocol_core::time::Duration::from_millis(100);
    });
    let mut halt = Box::pin(client.halt(1));
    assert!(poll(&mut halt).is_none());
    bench.engine.take_calls(bench.now);
    assert!(bench.engine.poll_transmit(bench.now).is_some());
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: true }, Action::Connect]);
    bench.engine.connect_failed(bench.now, Error::lost("instrument:53717", "no route"));
    assert!(is_lost(&poll(&mut halt).expect("the end of the stop")));
    assert_eq!(bench.actions(), [Action::End]);
}

#[test]
fn closing_ends_the_engine_and_every_call() {
    let (mut bench, client) = Bench::open(every_2_s);
    let mut asked = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut asked).is_none());
    assert_eq!(bench.sent().len(), 1);
    let mut closing = Box::pin(client.clone().close());
    assert!(poll(&mut closing).is_none());
    bench.engine.take_calls(bench.now);
    assert_eq!(bench.actions(), [Action::End]);
    assert!(is_lost(&poll(&mut asked).expect("the end of the request")));
    drop(bench);
    assert!(poll(&mut closing).is_some());
}

#[test]
fn a_call_wakes_the_engine_once() {
    let (bench, client) = Bench::open(|_| {});
    let mut idle = Box::pin(bench.engine.woken());
    while poll(&mut idle).is_some() {
        idle = Box::pin(bench.engine.woken());
    }
    let calls: Vec<_> = (1..4).map(|axis| client.request(position_of(axis)).boxed()).collect();
    let mut calls = calls;
    for call in &mut calls {
        assert!(block_on(poll_once(call)).is_none());
    }
    assert!(poll(&mut idle).is_some());
    assert!(poll(&mut Box::pin(bench.engine.woken())).is_none());
}
