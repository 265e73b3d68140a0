//! The events of one read come to the subscribers as one batch: in order, before the answer that
//! followed them, and with one wake-up.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::SystemTime;

use flamingo_protocol_core::{CommandCode, Frame, wire::FRAME_LEN};
use flamingo_runtime_std::{Error, Event, Subscription};
use flamingo_runtime_testkit::peer::{answer_to, motion_stopped, move_to, position_of};

use crate::bench::{Bench, poll};

fn event(number: i32) -> Frame {
    Frame::new(CommandCode::UI_SET_GAUGE_VALUE).with_selector(number)
}

fn read(bench: &mut Bench, frames: &[Frame]) {
    let bytes: Vec<[u8; FRAME_LEN]> = frames.iter().map(Frame::encode).collect();
    bench.engine.handle_input(bench.now, SystemTime::UNIX_EPOCH, bytes.as_flattened());
}

/// The numbers of the events that have come.
fn numbers(events: &mut Subscription) -> Vec<i32> {
    let number = |event| match event {
        Event::Frame(event) => event.frame.selector(),
        other => panic!("expected a frame, got {other:?}"),
    };
    std::iter::from_fn(|| events.try_next()).map(number).collect()
}

/// Looks at a subscription each time when it is woken.
struct Observer {
    events: Mutex<Subscription>,
    seen: Mutex<Vec<Vec<i32>>>,
}

impl Observer {
    fn new(events: Subscription) -> Arc<Self> {
        Arc::new(Self { events: Mutex::new(events), seen: Mutex::default() })
    }

    /// What it has seen at each wake-up.
    fn seen(&self) -> Vec<Vec<i32>> {
        self.seen.lock().unwrap().clone()
    }

    /// Polls a future that is not complete, which wakes this observer then.
    fn wait_for<T>(self: &Arc<Self>, future: &mut (impl Future<Output = T> + Unpin)) {
        let waker = Waker::from(Arc::clone(self));
        assert!(pin!(future).poll(&mut Context::from_waker(&waker)).is_pending());
    }
}

impl Wake for Observer {
    fn wake(self: Arc<Self>) {
        let found = numbers(&mut self.events.lock().unwrap());
        self.seen.lock().unwrap().push(found);
    }
}

#[test]
fn an_answers_caller_finds_the_events_before_it() {
    let (mut bench, client) = Bench::open(|_| {});
    let observer = Observer::new(client.subscribe(&[]));
    let mut asked = Box::pin(client.request(position_of(1)));
    observer.wait_for(&mut asked);
    let query = bench.sent()[0];
    read(&mut bench, &[event(1), event(2), answer_to(&query, 7.0), event(3)]);
    assert_eq!(observer.seen()[0][..2], [1, 2]);
    assert!(poll(&mut asked).expect("the answer").is_ok());
    let later = numbers(&mut observer.events.lock().unwrap());
    assert_eq!([observer.seen().concat(), later].concat(), [1, 2, 3]);
}

#[test]
fn an_ambiguous_end_comes_after_the_events_before_it() {
    let (mut bench, client) = Bench::open(|_| {});
    let observer = Observer::new(client.subscribe(&[CommandCode::UI_SET_GAUGE_VALUE]));
    let (mut first, mut second) = (Box::pin(client.halt(1)), Box::pin(client.halt(1)));
    observer.wait_for(&mut first);
    assert!(poll(&mut second).is_none());
    let halts = bench.sent();
    read(&mut bench, &[event(1), answer_to(&halts[0], 0.0)]);
    assert_eq!(observer.seen()[0], [1]);
    let ended = poll(&mut first).expect("the end of the call");
    assert!(matches!(ended, Err(Error::Ambiguous { .. })), "{ended:?}");
}

#[test]
fn a_batch_wakes_a_waiting_subscriber_once() {
    let (mut bench, client) = Bench::open(|_| {});
    let (mut waiting, later) = (client.subscribe(&[]), client.subscribe(&[]));
    let observer = Observer::new(later);
    observer.wait_for(&mut Box::pin(waiting.next()));
    let all: Vec<i32> = (1..=100).collect();
    let frames: Vec<Frame> = all.iter().map(|number| event(*number)).collect();
    read(&mut bench, &frames);
    assert_eq!(observer.seen(), [&all[..]], "every subscriber has all of it by then");
    assert_eq!(numbers(&mut waiting), all);
    read(&mut bench, &frames);
    assert_eq!(observer.seen().len(), 1, "nobody waits");
}

#[test]
fn a_read_of_any_length_is_delivered_in_order() {
    for capacity in [1, 10, 511, 512, 513, 5000] {
        let (mut bench, client) = Bench::open(|options| options.event_capacity = capacity);
        let mut events = client.subscribe(&[]);
        let all: Vec<i32> = (1..=2000).collect();
        read(&mut bench, &all.iter().map(|number| event(*number)).collect::<Vec<_>>());
        let lost = all.len().saturating_sub(capacity);
        if lost > 0 {
            let lagged = events.try_next();
            assert!(matches!(lagged, Some(Event::Lagged(n)) if n == lost as u64), "{lagged:?}");
        }
        assert_eq!(numbers(&mut events), all[lost..], "{capacity}");
    }
}

#[test]
fn a_command_comes_before_the_events_that_it_causes() {
    let (mut bench, client) = Bench::open(|_| {});
    let codes = [CommandCode::STAGE_POSITION_SET, CommandCode::STAGE_MOTION_STOPPED];
    let mut events = client.subscribe(&codes);
    read(&mut bench, &[motion_stopped(2, 1)]);
    let mut moved = Box::pin(client.request(move_to(1, 7.0)));
    assert!(poll(&mut moved).is_none());
    let command = bench.sent()[0];
    read(&mut bench, &[motion_stopped(1, 1), answer_to(&command, 7.0)]);
    let kinds: Vec<_> = std::iter::from_fn(|| events.try_next())
        .map(|event| match event {
            Event::Frame(event) => (event.frame.code, event.frame.selector()),
            Event::Commanded { frame, .. } => (frame.code, frame.selector()),
            other => panic!("unexpected: {other:?}"),
        })
        .collect();
    let [commanded, stopped] = codes;
    assert_eq!(kinds, [(stopped, 2), (commanded, 1), (stopped, 1)]);
}

#[test]
fn an_answer_that_is_an_event_too_has_one_payload() {
    let (mut bench, client) = Bench::open(|_| {});
    let mut events = client.subscribe(&[]);
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(2);
    let mut asked = Box::pin(client.request(level));
    assert!(poll(&mut asked).is_none());
    let answer = answer_to(&bench.sent()[0], 0.0).with_payload_len(5);
    let bytes = [&answer.encode()[..], b"hello"].concat();
    bench.engine.handle_input(bench.now, SystemTime::UNIX_EPOCH, &bytes[..FRAME_LEN + 2]);
    bench.engine.handle_input(bench.now, SystemTime::UNIX_EPOCH, &bytes[FRAME_LEN + 2..]);
    let answer = poll(&mut asked).expect("the answer").expect("it is one");
    assert!(!answer.proven);
    let Some(Event::Frame(event)) = events.try_next() else { panic!("expected a frame") };
    assert_eq!(
        (&answer.payload[..], answer.payload.as_ptr()),
        (&b"hello"[..], event.payload.as_ptr())
    );
}
