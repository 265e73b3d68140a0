//! Tests of the fanout: what a subscriber receives, what it loses, and wakers that are the last of their task.

use std::sync::mpsc;
use std::task::Wake;
use std::time::SystemTime;

use flamingo_protocol_core::{Class, Frame};

use super::*;
use crate::event::EventFrame;
use crate::payload::Payload;

fn event(code: CommandCode, number: i32) -> Event {
    event_with(code, number, Payload::default())
}

fn event_with(code: CommandCode, number: i32, payload: Payload) -> Event {
    Event::Frame(Arc::new(EventFrame {
        frame: Frame::new(code).with_selector(number),
        payload,
        class: Class::Unsolicited { ours: false },
        at: SystemTime::UNIX_EPOCH,
        skipped: 0,
    }))
}

fn number(event: Option<Event>) -> i32 {
    let Some(Event::Frame(event)) = event else { panic!("expected a frame, got {event:?}") };
    event.frame.selector()
}

const GAUGE: CommandCode = CommandCode::UI_SET_GAUGE_VALUE;

#[test]
fn a_slow_subscriber_loses_its_own_oldest_events() {
    let fanout = Fanout::new(4);
    let mut slow = fanout.subscribe(&[]);
    let mut quick = fanout.subscribe(&[]);
    for n in 0..10 {
        fanout.publish(&event(GAUGE, n));
        assert_eq!(number(quick.try_next()), n);
    }
    assert!(matches!(slow.try_next(), Some(Event::Lagged(6))));
    for n in 6..10 {
        assert_eq!(number(slow.try_next()), n);
    }
    assert!(slow.try_next().is_none());
    assert_eq!(fanout.lost(), 6);
}

#[test]
fn a_loss_is_reported_before_what_came_after_it() {
    let fanout = Fanout::new(4);
    let mut events = fanout.subscribe(&[]);
    let mut next = Box::pin(events.next());
    assert!(smol::block_on(smol::future::poll_once(&mut next)).is_none());
    (0..10).for_each(|n| fanout.publish(&event(GAUGE, n)));
    assert!(matches!(smol::block_on(next), Some(Event::Lagged(6))));
    assert_eq!(number(events.try_next()), 6);
    // Lost after the last one that was received: reported behind it.
    (10..12).for_each(|n| fanout.publish(&event(GAUGE, n)));
    assert!(matches!(events.try_next(), Some(Event::Lagged(1))));
    assert_eq!(number(events.try_next()), 8);
}

#[test]
fn dropped_subscriptions_are_forgotten_without_events() {
    let fanout = Fanout::new(2);
    (0..100).for_each(|_| drop(fanout.subscribe(&[])));
    let _last = fanout.subscribe(&[]);
    assert_eq!(lock(&fanout.subscribers).as_ref().map(Vec::len), Some(1));
}

#[test]
fn no_event_overtakes_the_report_of_lost_ones() {
    const EVENTS: i32 = 50_000;
    let fanout = Fanout::new(2);
    let mut events = fanout.subscribe(&[]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..EVENTS).for_each(|n| fanout.publish(&event(GAUGE, n)));
            fanout.close();
        });
        let mut expected = 0;
        while let Some(next) = smol::block_on(events.next()) {
            match next {
                Event::Lagged(lost) => expected += i32::try_from(lost).unwrap(),
                frame => {
                    assert_eq!(number(Some(frame)), expected);
                    expected += 1;
                }
            }
        }
        assert_eq!(expected, EVENTS);
    });
}

#[test]
fn an_event_larger_than_the_limit_is_kept_alone() {
    let fanout = Fanout::new(4);
    let mut events = fanout.subscribe(&[]);
    fanout.publish(&event(GAUGE, 0));
    fanout.publish(&event_with(GAUGE, 1, vec![0; MOST_BYTES + 1].into()));
    assert!(matches!(events.try_next(), Some(Event::Lagged(1))));
    assert_eq!(number(events.try_next()), 1);
}

#[test]
fn other_codes_do_not_displace_the_wanted_ones() {
    let fanout = Fanout::new(2);
    let mut stops = fanout.subscribe(&[CommandCode::STAGE_MOTION_STOPPED]);
    fanout.publish(&event(CommandCode::STAGE_MOTION_STOPPED, 3));
    (0..100).for_each(|n| fanout.publish(&event(GAUGE, n)));
    assert_eq!(number(stops.try_next()), 3);
    assert!(stops.try_next().is_none());
}

/// What is left of a task that had the driver of the connection.
struct LastOfTheDriver(Arc<Fanout>);

impl Wake for LastOfTheDriver {
    fn wake(self: Arc<Self>) {}
}

impl Drop for LastOfTheDriver {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A subscription that a task has waited for of which only its waker is left.
fn waited_for() -> (Arc<Fanout>, Subscription) {
    let fanout = Arc::new(Fanout::new(2));
    let mut events = fanout.subscribe(&[]);
    let last = Waker::from(Arc::new(LastOfTheDriver(Arc::clone(&fanout))));
    assert!(events.poll_next(&Context::from_waker(&last)).is_pending());
    (fanout, events)
}

/// Fails if `action` waits for itself.
fn ends(action: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        action();
        done.send(())
    });
    let ended = is_done.recv_timeout(std::time::Duration::from_secs(20));
    ended.expect("it does not wait for itself");
}

#[test]
fn another_task_can_wait_after_one_that_had_the_driver() {
    ends(|| {
        let (_fanout, mut events) = waited_for();
        let cx = Context::from_waker(Waker::noop());
        assert!(events.poll_next(&cx).is_pending(), "this drops the first task");
        assert!(events.poll_next(&cx).is_ready(), "and with it the driver");
    });
}

#[test]
fn a_subscription_can_follow_one_that_had_the_driver() {
    ends(|| {
        let (fanout, events) = waited_for();
        drop(events);
        assert!(smol::block_on(fanout.subscribe(&[]).next()).is_none());
    });
}

#[test]
fn the_stream_ends_when_the_client_is_closed() {
    let fanout = Fanout::new(2);
    let mut events = fanout.subscribe(&[]);
    fanout.publish(&Event::ConnectionLost);
    fanout.close();
    assert!(matches!(smol::block_on(events.next()), Some(Event::ConnectionLost)));
    assert!(smol::block_on(events.next()).is_none());
}
