//! What will happen when, in the order of time. What it means is in the rooms around.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use flamingo_protocol_core::Instant;

/// Things to come. Of two at the same time, the one that was added first comes first.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
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
    /// The earliest is the greatest, since the heap gives the greatest.
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

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), added: 0 }
    }
}

impl<T> Agenda<T> {
    pub(crate) fn add(&mut self, due: Instant, event: T) {
        self.heap.push(Entry { due, number: self.added, event });
        self.added += 1;
    }

    /// When the next thing happens.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.due)
    }

    /// The next thing that is due by `now`, and when it was due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|entry| (entry.due, entry.event))
    }
}
