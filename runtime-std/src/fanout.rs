//! Unsolicited frames to any number of subscribers. It never blocks the driver: who is slow loses
//! its own oldest events, and is told how many.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_channel::{Receiver, Sender};
use flamingo_protocol_core::{Class, CommandCode, Frame};

/// Payload bytes that may wait for one subscriber, unless a single event has more.
const MOST_BYTES: usize = 64 * 1024 * 1024;

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
    /// This client gives a command that starts or stops a motion to the instrument: in the order
    /// in which they take effect, before anything that comes of it. Only a subscription that
    /// names the code of the command gets it.
    Commanded {
        /// The command.
        frame: Frame,
        /// Which one it is.
        call: CallId,
    },
}

/// Identifies a call of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CallId(pub(crate) u64);

/// A frame that was not, or not for certain, the answer to a request: unsolicited, late,
/// ambiguous, or an answer that is only presumed (its request got it too).
#[derive(Clone)]
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

/// What waits for a subscriber. Its lock is held for a push or a pop, never across an await.
#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    payload_bytes: usize,
    /// Lost since that was last told; all of them before the ones that still wait.
    lost: u64,
}

impl Queue {
    /// Gives how many old ones had to go.
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
    /// Told that something waits; one word is enough.
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
    /// Held for the length of a push, never across an await. None: no event will come any more.
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

    /// From this call on, events of these codes (of all, if there are none) go to it.
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
                // Full: it was told already.
                let _ = subscriber.wake.try_send(());
            }
            !subscriber.wake.is_closed()
        });
    }

    /// Events that subscribers lost because they were too slow, all together.
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
    /// The next event; `None` when the client is closed. Events that were lost are told before
    /// the ones that came after them.
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
        assert_eq!(lock(&fanout.subscribers).as_ref().map(Vec::len), Some(1));
    }

    #[test]
    fn no_event_overtakes_the_word_of_those_that_were_lost_before_it() {
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
