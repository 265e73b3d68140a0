//! Distributes events to any number of subscribers, on any runtime. It never blocks the driver: a
//! slow subscriber loses its own oldest events and receives their number. How the frames of one read
//! become one batch is `event_batch.rs`; what is an event is decided in `driver/engine.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use flamingo_protocol_core::CommandCode;

use crate::event::Event;
use crate::waking::wake;

/// Payload bytes that may wait for one subscriber, unless a single event has more.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The events that wait for a subscriber. Its lock is held for a batch or a pop, never across an await.
#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    payload_bytes: usize,
    /// Events that were lost and not yet reported; all of them came before the ones that wait.
    lost: u64,
    /// Of the task that found the queue empty. It is dropped without a lock: it may be the last that is left of a
    /// task, and that task may hold the driver.
    waiting: Option<Waker>,
    /// No event will come any more.
    closed: bool,
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
}

impl Subscriber {
    fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Frame(event) => self.codes.is_empty() || self.codes.contains(&event.frame.code),
            Event::Commanded { frame, .. } => self.codes.contains(&frame.code),
            _ => true,
        }
    }

    /// Takes what it wants. Returns how many old events were dropped.
    fn push(&self, events: &[Event], to_wake: &mut Vec<Waker>) -> u64 {
        let mut wanted = events.iter().filter(|event| self.wants(event)).peekable();
        if wanted.peek().is_none() {
            return 0;
        }
        let mut queue = lock(&self.queue);
        let lost = wanted.map(|event| queue.push(event.clone(), self.capacity)).sum();
        to_wake.extend(queue.waiting.take());
        lost
    }

    /// Its subscription was dropped.
    fn is_gone(&self) -> bool {
        Arc::strong_count(&self.queue) == 1
    }
}

/// All subscribers of a client.
pub(crate) struct Fanout {
    /// Its lock is held for a batch, never across an await. `None`: no event will come any more.
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

    /// How many events may wait for a subscriber.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// From this call on, events of these codes (of all codes if `codes` is empty) go to it.
    pub(crate) fn subscribe(&self, codes: &[CommandCode]) -> Subscription {
        self.subscribe_within(codes, self.capacity)
    }

    /// The same with a capacity of at most `most`.
    pub(crate) fn subscribe_within(&self, codes: &[CommandCode], most: usize) -> Subscription {
        let subscription = Subscription { queue: Arc::default() };
        let queue = Arc::clone(&subscription.queue);
        match &mut *lock(&self.subscribers) {
            Some(subscribers) => {
                subscribers.retain(|subscriber| !subscriber.is_gone());
                let capacity = self.capacity.min(most);
                subscribers.push(Subscriber { codes: codes.to_vec(), capacity, queue });
            }
            None => lock(&queue).closed = true,
        }
        subscription
    }

    /// Gives one event to the subscribers.
    pub(crate) fn publish(&self, event: &Event) {
        let mut to_wake = Vec::new();
        self.publish_all(slice::from_ref(event), &mut to_wake);
        to_wake.into_iter().for_each(wake);
    }

    /// Gives events to the subscribers. Each subscriber is locked once. The caller wakes those that
    /// wait: then every subscriber has the whole batch, and no lock is held.
    pub(crate) fn publish_all(&self, events: &[Event], to_wake: &mut Vec<Waker>) {
        let mut subscribers = lock(&self.subscribers);
        let Some(subscribers) = &mut *subscribers else { return };
        let mut lost = 0;
        subscribers.retain(|subscriber| {
            let stays = !subscriber.is_gone();
            if stays {
                lost += subscriber.push(events, to_wake);
            }
            stays
        });
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// Events that all subscribers together have lost because they were too slow.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// No event will come any more.
    pub(crate) fn close(&self) {
        let subscribers = lock(&self.subscribers).take();
        for subscriber in subscribers.into_iter().flatten() {
            let waiting = {
                let mut queue = lock(&subscriber.queue);
                queue.closed = true;
                queue.waiting.take()
            };
            waiting.into_iter().for_each(wake);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream of events. Dropping it ends the subscription.
pub struct Subscription {
    queue: Arc<Mutex<Queue>>,
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
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.queue);
        let event = queue.pop();
        if event.is_some() || queue.closed {
            return Poll::Ready(event);
        }
        let old = queue.waiting.replace(context.waker().clone());
        drop(queue);
        drop(old);
        Poll::Pending
    }

    /// The next event, if it is already there.
    pub fn try_next(&mut self) -> Option<Event> {
        lock(&self.queue).pop()
    }
}

impl Drop for Subscription {
    /// A waker that stayed would be dropped by the fanout, under its lock.
    fn drop(&mut self) {
        let waiting = lock(&self.queue).waiting.take();
        drop(waiting);
    }
}

#[cfg(test)]
mod tests;
