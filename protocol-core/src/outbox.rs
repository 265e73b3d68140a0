//! What goes out next. A frame and its payload are never split; HALT and laser-off overtake all
//! that has not begun; a query may overtake another query, an action overtakes nothing of weight.
//!
//! The outbox knows nothing of answers: whether a frame *may* go is asked of the caller.

use heapless::Vec;

use crate::command::{CommandCode, Kind};
use crate::error::Full;
use crate::frame::{FRAME_LEN, Frame};
use crate::key::Key;
use crate::store::take_out;
use crate::ticket::{Ended, Ticket};

/// What to write next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transmit<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The caller's own payload of that ticket, from `offset` on; nothing else may come between.
    Payload {
        /// Which frame's payload.
        ticket: Ticket,
        /// Bytes of it that were written.
        offset: u32,
        /// Bytes of it that were not.
        remaining: u32,
    },
}

/// A frame in the queue.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Outgoing {
    pub(crate) ticket: Ticket,
    pub(crate) frame: Frame,
    /// Whether it only asks: kept, since the search looks at it often.
    query: bool,
    /// A request, whose outcome the pending table tells.
    asked: bool,
    /// It ended without being sent; it stays until that was told.
    pub(crate) ended: Option<Ended>,
}

impl Outgoing {
    /// A frame whose answer a request waits for (`asked`), or none does.
    pub(crate) fn new(ticket: Ticket, frame: Frame, asked: bool) -> Self {
        let query = frame.code.row().is_some_and(|row| row.kind == Kind::Query);
        Self { ticket, frame, query, asked, ended: None }
    }

    /// A frame that overtakes nothing.
    pub(crate) const fn in_order(ticket: Ticket, frame: Frame) -> Self {
        Self { ticket, frame, query: false, asked: false, ended: None }
    }

    /// Whether it makes no difference that this goes before `earlier`.
    fn may_overtake(&self, earlier: &Self) -> bool {
        let apart = self.frame.code.subsystem() != earlier.frame.code.subsystem();
        match (self.query, earlier.query) {
            (true, true) => true,
            (false, false) => false,
            _ => apart,
        }
    }
}

/// The frame whose bytes are going out, or will when the caller writes what it was shown.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Current {
    ticket: Ticket,
    key: Key,
    bytes: [u8; FRAME_LEN],
    payload_len: u32,
    asked: bool,
    /// It came from the lane of the stops.
    stop: bool,
    /// Bytes of frame and payload that were written; 0: something else may still go first.
    written: u64,
}

/// What `transmitted` brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// This frame's first byte was written: it counts as sent.
    pub(crate) started: Option<(Ticket, Key)>,
    /// This frame and its payload are out.
    pub(crate) finished: Option<Ticket>,
}

#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Outbox<const QUEUE: usize, const STOPS: usize> {
    current: Option<Current>,
    stops: Vec<Outgoing, STOPS>,
    fence: Option<Outgoing>,
    queue: Vec<Outgoing, QUEUE>,
    /// A frame that was half out when the connection ended, and nobody else tells of.
    lost: Option<(Ticket, Ended)>,
}

impl<const QUEUE: usize, const STOPS: usize> Outbox<QUEUE, STOPS> {
    pub(crate) const fn new() -> Self {
        Self { current: None, stops: Vec::new(), fence: None, queue: Vec::new(), lost: None }
    }

    pub(crate) fn push(&mut self, item: Outgoing) -> Result<(), Full> {
        self.queue.push(item).map_err(|_| Full::Queue)
    }

    pub(crate) fn push_stop(&mut self, item: Outgoing) -> Result<(), Full> {
        self.stops.push(item).map_err(|_| Full::StopLane)
    }

    pub(crate) fn set_fence(&mut self, item: Outgoing) {
        self.fence = Some(item);
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.queue.is_full()
    }

    pub(crate) fn stop_lane_has_room(&self) -> bool {
        !self.stops.is_full()
    }

    /// Whether a stop is not, or not wholly, out.
    pub(crate) fn stop_waits(&self) -> bool {
        let half_out = self.current.is_some_and(|current| current.stop && current.written > 0);
        half_out || self.stops.iter().any(|stop| stop.ended.is_none())
    }

    /// The frames that have not begun, in the order they were given, without stops and fence.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Outgoing> {
        self.queue.iter().filter(|item| item.ended.is_none())
    }

    /// Ends the queued frames that `doomed` names; they are told by [`Self::take_ended`].
    pub(crate) fn end_waiting(&mut self, ended: Ended, doomed: impl Fn(&Outgoing) -> bool) {
        for item in self.queue.iter_mut().filter(|item| item.ended.is_none()) {
            if doomed(item) {
                item.ended = Some(ended);
            }
        }
    }

    /// Ends all that is not out. [`Self::take_ended`] tells of what was not asked.
    pub(crate) fn end_all(&mut self, ended: Ended) {
        let half_sent = self.current.filter(|current| current.written > 0 && !current.asked);
        self.lost = half_sent.map(|current| (current.ticket, ended)).or(self.lost);
        self.current = None;
        self.fence = None;
        take_out(&mut self.queue, |item| item.ended.is_none() && item.asked);
        self.end_waiting(ended, |_| true);
        take_out(&mut self.stops, |item| item.asked);
        for item in &mut self.stops {
            item.ended = Some(ended);
        }
    }

    /// A frame that ended without being sent, once.
    pub(crate) fn take_ended(&mut self) -> Option<(Ticket, Ended)> {
        if let Some(lost) = self.lost.take() {
            return Some(lost);
        }
        let mut queue = self.queue.iter().chain(&self.stops);
        let told = queue.find_map(|item| item.ended.map(|ended| (item.ticket, ended)))?;
        self.withdraw(told.0);
        Some(told)
    }

    /// Takes a frame back that has not begun. Gives whether it was there.
    pub(crate) fn withdraw(&mut self, ticket: Ticket) -> bool {
        let queued = take_out(&mut self.queue, |item| item.ticket == ticket);
        let stopped = take_out(&mut self.stops, |item| item.ticket == ticket);
        if self.fence.is_some_and(|item| item.ticket == ticket) {
            self.fence = None;
        }
        queued || stopped
    }

    /// Whether a frame or its payload has begun and is not yet out.
    pub(crate) fn half_sent(&self) -> Option<Ticket> {
        self.current.filter(|current| current.written > 0).map(|current| current.ticket)
    }

    /// What to write next; `ready` says which queued frame may go now.
    pub(crate) fn poll(&mut self, ready: impl Fn(&Outgoing) -> bool) -> Option<Transmit<'_>> {
        if self.half_sent().is_none() {
            self.current = self.select(ready).map(|item| Current {
                ticket: item.ticket,
                key: Key::of(&item.frame),
                bytes: item.frame.encode(),
                payload_len: item.frame.payload_len,
                asked: item.asked,
                stop: self.stops.iter().any(|stop| stop.ticket == item.ticket),
                written: 0,
            });
        }
        let current = self.current.as_ref()?;
        let frame_len = FRAME_LEN as u64;
        if current.written < frame_len {
            let from = usize::try_from(current.written).unwrap_or(FRAME_LEN);
            return current.bytes.get(from..).map(Transmit::Bytes);
        }
        let offset = u32::try_from(current.written - frame_len).unwrap_or(u32::MAX);
        let remaining = current.payload_len.saturating_sub(offset);
        Some(Transmit::Payload { ticket: current.ticket, offset, remaining })
    }

    /// Says that `written` bytes of what `poll` showed are out.
    pub(crate) fn transmitted(&mut self, written: usize) -> Progress {
        let mut progress = Progress::default();
        let Some(current) = self.current.as_mut().filter(|_| written > 0) else {
            return progress;
        };
        let started = current.written == 0;
        current.written = current.written.saturating_add(written as u64);
        let (ticket, key) = (current.ticket, current.key);
        if current.written >= FRAME_LEN as u64 + u64::from(current.payload_len) {
            self.current = None;
            progress.finished = Some(ticket);
        }
        if started {
            self.withdraw(ticket);
            progress.started = Some((ticket, key));
        }
        progress
    }

    fn select(&self, ready: impl Fn(&Outgoing) -> bool) -> Option<&Outgoing> {
        let first_ready = || {
            (0..self.queue.len()).zip(self.alive()).find_map(|(at, item)| {
                let mut earlier = self.alive().take(at);
                (earlier.all(|other| item.may_overtake(other)) && ready(item)).then_some(item)
            })
        };
        self.stops
            .iter()
            .find(|stop| stop.ended.is_none())
            .or(self.fence.as_ref())
            .or_else(first_ready)
    }
}

/// Whether a stop cancels a frame that is still queued behind it: a HALT, whatever its axis, all
/// that starts a motion; a laser-off all that may switch that laser on.
pub fn is_cancelled_by(queued: &Frame, stop: &Frame) -> bool {
    let (Some(queued_row), Some(stop_row)) = (queued.code.row(), stop.code.row()) else {
        return false;
    };
    match stop_row.effect {
        crate::Effect::StopsMotion => queued_row.effect.moves(),
        crate::Effect::StopsLight => {
            let same_laser = stop.code == CommandCode::LASER_DISABLE_ALL
                || queued_row.selector == crate::Selector::None
                || queued.selector() == stop.selector();
            queued_row.effect.lights() && same_laser
        }
        _ => false,
    }
}
