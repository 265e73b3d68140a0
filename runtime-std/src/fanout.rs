//! Unsolicited frames to any number of subscribers. It never blocks the driver: who is slow loses
//! its own oldest events, and is told how many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_channel::{Receiver, Sender};
use flamingo_protocol_core::{Class, CommandCode, Frame};

/// What a subscriber gets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A frame that no request got for certain.
    Frame(EventFrame),
    /// This many events were lost since the last one, because the subscriber was too slow.
    Lagged(u64),
    /// The peer does not answer harmless queries any more.
    Unresponsive,
    /// It answers again.
    Responsive,
    /// The connection is lost; every request in flight has ended.
    ConnectionLost,
    /// There is a new connection.
    Reconnected,
}

/// A frame that was not, or not for certain, the answer to a request: unsolicited, late,
/// ambiguous, or an answer that is only presumed (its request got it too).
#[derive(Debug, Clone)]
pub struct EventFrame {
    /// The frame.
    pub frame: Frame,
    /// Its payload, whole.
    pub payload: Arc<[u8]>,
    /// Whose it is.
    pub class: Class,
    /// When it came, by this host's calendar.
    pub at: SystemTime,
    /// Bytes that were skipped as noise before it.
    pub skipped: u32,
}

struct Subscriber {
    codes: Vec<CommandCode>,
    /// Numbered from 0: a gap is what was lost.
    queue: Sender<(u64, Event)>,
    next: u64,
}

impl Subscriber {
    fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Frame(event) => self.codes.is_empty() || self.codes.contains(&event.frame.code),
            _ => true,
        }
    }
}

/// All subscribers of a client.
pub(crate) struct Fanout {
    /// Held for the length of a push, never across an await.
    /// None: closed.
    subscribers: Mutex<Option<Vec<Subscriber>>>,
    capacity: usize,
    lost: AtomicU64,
}

impl Fanout {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            subscribers: Mutex::new(Some(Vec::new())),
            capacity: capacity.max(1),
            lost: AtomicU64::new(0),
        }
    }

    /// From this call on, events of these codes (of all, if there are none) go to it.
    pub(crate) fn subscribe(&self, codes: &[CommandCode]) -> Subscription {
        self.subscribe_within(codes, self.capacity)
    }

    /// The same with a capacity of at most `most`.
    pub(crate) fn subscribe_within(&self, codes: &[CommandCode], most: usize) -> Subscription {
        let (queue, events) = async_channel::bounded(self.capacity.min(most));
        if let Some(subscribers) = &mut *self.lock() {
            subscribers.retain(|subscriber| !subscriber.queue.is_closed());
            subscribers.push(Subscriber { codes: codes.to_vec(), queue, next: 0 });
        }
        Subscription { events, expected: 0, held: None }
    }

    pub(crate) fn publish(&self, event: &Event) {
        let mut subscribers = self.lock();
        let Some(subscribers) = &mut *subscribers else { return };
        subscribers.retain_mut(|subscriber| {
            if !subscriber.wants(event) {
                return !subscriber.queue.is_closed();
            }
            let number = subscriber.next;
            subscriber.next += 1;
            match subscriber.queue.force_send((number, event.clone())) {
                Ok(None) => true,
                Ok(Some(_displaced)) => {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(_closed) => false,
            }
        });
    }

    /// Events that subscribers lost because they were too slow, all together.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// No event will come any more.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Subscriber>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of events. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    events: Receiver<(u64, Event)>,
    /// The number of the next event, if none is lost.
    expected: u64,
    /// The event behind a gap, while the gap is told.
    held: Option<Event>,
}

impl Subscription {
    /// The next event; `None` when the client is closed. Events that were lost are told before
    /// the ones that came after them.
    ///
    /// Cancel-safe: an event that was not returned is returned by the next call.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        let received = self.events.recv().await.ok()?;
        Some(self.in_order(received))
    }

    /// The next event, if it is already there.
    pub fn try_next(&mut self) -> Option<Event> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        let received = self.events.try_recv().ok()?;
        Some(self.in_order(received))
    }

    /// What was lost before this event is told first.
    fn in_order(&mut self, (number, event): (u64, Event)) -> Event {
        let lost = number - self.expected;
        self.expected = number + 1;
        if lost == 0 {
            return event;
        }
        self.held = Some(event);
        Event::Lagged(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: CommandCode, number: i32) -> Event {
        Event::Frame(EventFrame {
            frame: Frame::new(code).with_selector(number),
            payload: Arc::from([]),
            class: Class::Unsolicited { ours: false },
            at: SystemTime::UNIX_EPOCH,
            skipped: 0,
        })
    }

    fn number(event: Option<Event>) -> i32 {
        let Some(Event::Frame(event)) = event else { panic!("expected a frame, got {event:?}") };
        event.frame.selector()
    }

    const GAUGE: CommandCode = CommandCode::UI_SET_GAUGE_VALUE;

    #[test]
    fn a_slow_subscriber_loses_its_own_oldest_events_and_is_told_how_many() {
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
    fn a_subscriber_that_waits_is_told_of_the_loss_before_what_came_after_it() {
        let fanout = Fanout::new(4);
        let mut events = fanout.subscribe(&[]);
        let mut next = Box::pin(events.next());
        assert!(smol::block_on(smol::future::poll_once(&mut next)).is_none());
        (0..10).for_each(|n| fanout.publish(&event(GAUGE, n)));
        assert!(matches!(smol::block_on(next), Some(Event::Lagged(6))));
        assert_eq!(number(events.try_next()), 6);
        // Lost after the last one that was taken: told behind it.
        (10..12).for_each(|n| fanout.publish(&event(GAUGE, n)));
        assert!(matches!(events.try_next(), Some(Event::Lagged(1))));
        assert_eq!(number(events.try_next()), 8);
    }

    #[test]
    fn subscriptions_that_were_dropped_are_forgotten_even_if_nothing_is_published() {
        let fanout = Fanout::new(2);
        (0..100).for_each(|_| drop(fanout.subscribe(&[])));
        let _last = fanout.subscribe(&[]);
        assert_eq!(fanout.lock().as_ref().map(Vec::len), Some(1));
    }

    #[test]
    fn a_filter_keeps_other_codes_from_displacing_the_wanted_ones() {
        let fanout = Fanout::new(2);
        let mut stops = fanout.subscribe(&[CommandCode::STAGE_MOTION_STOPPED]);
        fanout.publish(&event(CommandCode::STAGE_MOTION_STOPPED, 3));
        (0..100).for_each(|n| fanout.publish(&event(GAUGE, n)));
        assert_eq!(number(stops.try_next()), 3);
        assert!(stops.try_next().is_none());
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
}
