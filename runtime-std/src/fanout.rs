//! Distributes events to any number of subscribers, on any runtime. It never blocks the driver: a
//! slow subscriber loses its own oldest events and receives their number. What is an event is decided
//! in `driver/engine.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_channel::{Receiver, Sender};
use flamingo_protocol_core::{Class, CommandCode, Frame};

/// Payload bytes that may wait for one subscriber, unless a single event has more.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What a subscriber receives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A frame that is not the proven answer to a request.
    Frame(EventFrame),
    /// This many events were lost since the last one that was received, because the subscriber was
    /// too slow.
    Lagged(u64),
    /// The peer no longer answers harmless queries.
    Unresponsive,
    /// The peer answers harmless queries again.
    Responsive,
    /// The connection is lost; every request in flight has ended.
    ConnectionLost,
    /// There is a new connection.
    Reconnected,
    /// This client sends a command that starts or stops a motion. These events come in the order in
    /// which the commands take effect, and before any frame that they cause. Only a subscription
    /// that names the code of the command receives them.
    Commanded {
        /// The command.
        frame: Frame,
        /// The number of the call that sends it.
        call: CallId,
    },
}

/// Identifies a call of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CallId(pub(crate) u64);

/// A frame that is not the proven answer to a request: unsolicited, late, ambiguous, or a presumed
/// answer (which its request receives too).
#[derive(Clone)]
pub struct EventFrame {
    /// The frame.
    pub frame: Frame,
    /// Its payload, whole.
    pub payload: Arc<[u8]>,
    /// How the frame was classified.
    pub class: Class,
    /// When the frame arrived, by this host's calendar.
    pub at: SystemTime,
    /// Bytes that were skipped as noise before it.
    pub skipped: u32,
}

/// Without the payload's bytes: there may be millions.
impl fmt::Debug for EventFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventFrame")
            .field("frame", &self.frame)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("class", &self.class)
            .field("at", &self.at)
            .field("skipped", &self.skipped)
            .finish()
    }
}

impl Event {
    fn payload_len(&self) -> usize {
        if let Self::Frame(event) = self { event.payload.len() } else { 0 }
    }
}

/// The events that wait for a subscriber. Its lock is held for a push or a pop, never across an await.
#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    payload_bytes: usize,
    /// Events that were lost and not yet reported; all of them came before the ones that wait.
    lost: u64,
}

impl Queue {
    /// Returns how many old events were dropped.
    fn push(&mut self, event: Event, capacity: usize) -> u64 {
        self.payload_bytes += event.payload_len();
        self.events.push_back(event);
        let mut lost = 0;
        while self.events.len() > capacity
            || (self.payload_bytes > MOST_BYTES && self.events.len() > 1)
        {
            lost += u64::from(self.take_oldest().is_some());
        }
        self.lost += lost;
        lost
    }

    fn pop(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.lost) {
            0 => self.take_oldest(),
            lost => Some(Event::Lagged(lost)),
        }
    }

    fn take_oldest(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.payload_bytes -= event.payload_len();
        Some(event)
    }
}

struct Subscriber {
    codes: Vec<CommandCode>,
    capacity: usize,
    queue: Arc<Mutex<Queue>>,
    /// Receives a message when an event waits; one is enough.
    wake: Sender<()>,
}

impl Subscriber {
    fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Frame(event) => self.codes.is_empty() || self.codes.contains(&event.frame.code),
            Event::Commanded { frame, .. } => self.codes.contains(&frame.code),
            _ => true,
        }
    }
}

/// All subscribers of a client.
pub(crate) struct Fanout {
    /// Its lock is held for a push, never across an await. `None`: no event will come any more.
    subscribers: Mutex<Option<Vec<Subscriber>>>,
    capacity: usize,
    lost: AtomicU64,
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

impl Fanout {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            subscribers: Mutex::new(Some(Vec::new())),
            capacity: capacity.max(1),
            lost: AtomicU64::new(0),
        }
    }

    /// From this call on, events of these codes (of all codes if `codes` is empty) go to it.
    pub(crate) fn subscribe(&self, codes: &[CommandCode]) -> Subscription {
        self.subscribe_within(codes, self.capacity)
    }

    /// The same with a capacity of at most `most`.
    pub(crate) fn subscribe_within(&self, codes: &[CommandCode], most: usize) -> Subscription {
        let (wake, woken) = async_channel::bounded(1);
        let queue = Arc::new(Mutex::new(Queue::default()));
        let subscription = Subscription { queue: Arc::clone(&queue), woken };
        if let Some(subscribers) = &mut *lock(&self.subscribers) {
            subscribers.retain(|subscriber| !subscriber.wake.is_closed());
            let capacity = self.capacity.min(most);
            subscribers.push(Subscriber { codes: codes.to_vec(), capacity, queue, wake });
        }
        subscription
    }

    pub(crate) fn publish(&self, event: &Event) {
        let mut subscribers = lock(&self.subscribers);
        let Some(subscribers) = &mut *subscribers else { return };
        subscribers.retain(|subscriber| {
            if subscriber.wants(event) {
                let lost = lock(&subscriber.queue).push(event.clone(), subscriber.capacity);
                self.lost.fetch_add(lost, Ordering::Relaxed);
                // Full: it has been woken already.
                let _ = subscriber.wake.try_send(());
            }
            !subscriber.wake.is_closed()
        });
    }

    /// Events that all subscribers together have lost because they were too slow.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// No event will come any more.
    pub(crate) fn close(&self) {
        lock(&self.subscribers).take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream of events. Dropping it ends the subscription.
pub struct Subscription {
    queue: Arc<Mutex<Queue>>,
    /// Closed when no event will come any more.
    woken: Receiver<()>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = lock(&self.queue).events.len();
        f.debug_struct("Subscription").field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next event; `None` when the client is closed. [`Event::Lagged`] comes before the events that
    /// arrived after the lost ones.
    ///
    /// Cancel-safe: an event that was not returned is returned by the next call.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.try_next();
            if event.is_some() {
                return event;
            }
            if self.woken.recv().await.is_err() {
                return self.try_next();
            }
        }
    }

    /// The next event, if it is already there.
    pub fn try_next(&mut self) -> Option<Event> {
        lock(&self.queue).pop()
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
        let Event::Frame(mut large) = event(GAUGE, 1) else { unreachable!() };
        large.payload = vec![0; MOST_BYTES + 1].into();
        fanout.publish(&event(GAUGE, 0));
        fanout.publish(&Event::Frame(large));
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
