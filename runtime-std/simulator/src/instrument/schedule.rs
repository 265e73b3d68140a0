//! Future events in the order of time. What an event does is in the files of the subsystems.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use flamingo_protocol_core::time::Instant;

/// A queue of events by time. Of two events at the same time, the one that was added first comes first.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    heap: BinaryHeap<Entry<T>>,
    added: u64,
}

#[derive(Debug)]
struct Entry<T> {
    due: Instant,
    number: u64,
    event: T,
}

impl<T> Ord for Entry<T> {
    /// The earliest entry is the greatest, because the heap returns the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), added: 0 }
    }
}

impl<T> Schedule<T> {
    pub(crate) fn add(&mut self, due: Instant, event: T) {
        self.heap.push(Entry { due, number: self.added, event });
        self.added += 1;
    }

    /// When the next event is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.due)
    }

    /// Takes the next event that is due by `now`, and when it was due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|entry| (entry.due, entry.event))
    }
}
