//! Collects the frames of one read that are events, so that a subscriber is locked and woken once for
//! all of them. Their memory is used again: no event without a payload is allocated while its
//! subscribers keep up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::SystemTime;

use flamingo_protocol_core::{Received, wire::FRAME_LEN};

use crate::driver::READ_CHUNK;
use crate::event::{Event, EventFrame};
use crate::fanout::Fanout;
use crate::payload::Payload;
use crate::waking::wake;

/// Events of subscribers that are kept for their memory at most.
const MOST_EARLIER: usize = 4096;
/// Events in a batch: as many as one read can have.
const BATCH: usize = READ_CHUNK / FRAME_LEN;

/// Events that the subscribers do not have yet, in order.
pub(crate) struct EventBatch {
    events: Vec<Event>,
    /// Events of earlier batches, oldest first. One that no subscriber holds becomes a new one.
    earlier: VecDeque<Arc<EventFrame>>,
    /// As many as a subscriber that loses events holds, and a batch.
    most_earlier: usize,
    /// Empty between two batches.
    to_wake: Vec<Waker>,
}

impl EventBatch {
    pub(crate) fn new(fanout: &Fanout) -> Self {
        Self {
            events: Vec::new(),
            earlier: VecDeque::new(),
            most_earlier: fanout.capacity().min(MOST_EARLIER) + BATCH,
            to_wake: Vec::new(),
        }
    }

    /// Adds an event. A full batch goes to the subscribers at once.
    pub(crate) fn push(
        &mut self,
        received: &Received,
        payload: Payload,
        at: SystemTime,
        fanout: &Fanout,
    ) {
        let event = self.shared(received, payload, at);
        self.events.push(Event::Frame(event));
        if self.events.len() == BATCH {
            self.flush(fanout);
        }
    }

    /// Gives all events to the subscribers.
    pub(crate) fn flush(&mut self, fanout: &Fanout) {
        if self.events.is_empty() {
            return;
        }
        fanout.publish_all(&self.events, &mut self.to_wake);
        for event in self.events.drain(..) {
            // A payload is not kept longer than its subscribers need it.
            if let Event::Frame(event) = event
                && event.payload.is_empty()
                && self.earlier.len() < self.most_earlier
            {
                self.earlier.push_back(event);
            }
        }
        self.to_wake.drain(..).for_each(wake);
    }

    /// An event that the subscribers can share, in the memory of an earlier one if one is free.
    fn shared(&mut self, received: &Received, payload: Payload, at: SystemTime) -> Arc<EventFrame> {
        if let Some(mut oldest) = self.earlier.pop_front() {
            if let Some(place) = Arc::get_mut(&mut oldest) {
                // Built first and then moved here, it would take 10 ns more.
                place.frame = received.frame;
                place.payload = payload;
                place.class.clone_from(&received.class);
                place.at = at;
                place.skipped = received.skipped;
                return oldest;
            }
            // A subscriber holds it. An event that is held for too long is not waited for.
            if self.earlier.len() + 1 < self.most_earlier {
                self.earlier.push_front(oldest);
            }
        }
        let Received { frame, class, skipped } = received.clone();
        Arc::new(EventFrame { frame, payload, class, at, skipped })
    }
}
