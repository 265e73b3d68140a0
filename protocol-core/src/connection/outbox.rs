//! What goes out next. A frame and its payload are never split. A stop overtakes everything that has
//! not begun. What else may overtake what is `overtaking.rs`.
//!
//! The outbox knows nothing of answers: it asks the caller whether a frame *may* go.

use crate::connection::overtaking::{Axes, cancels};
use crate::connection::pending::FEW;
use crate::connection::request::Cancelled;
use crate::connection::ticket::{Ended, Ticket};
use crate::time::{Duration, Instant};
use crate::wire::command::CommandCode;
use crate::wire::frame::Frame;
use crate::wire::layout::{CODE, FRAME_LEN, INT32_DATA_0, PAYLOAD_LEN, word};

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

/// In what order frames go out: those of an earlier lane first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Lane {
    /// HALT and laser-off.
    Stop,
    /// The stop of a workflow or of live images.
    Abort,
    /// A query that the connection itself asks.
    Fence,
    /// The caller's own frames.
    Queue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Fate {
    /// There is no frame in this place.
    Free,
    /// It waits to be sent, or is being sent.
    Alive,
    /// A stop cancelled it. It stays until the caller has taken that outcome.
    Superseded,
    /// The connection is gone and nothing of it was sent. It stays until the caller has taken that
    /// outcome.
    LostUnsent,
    /// The connection is gone and a part of it was sent. It stays as well.
    LostHalfSent,
}

/// What is known of a frame that goes out, but for its bytes.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Going {
    pub(crate) lane: Lane,
    /// It only asks: it may overtake others that only ask.
    pub(crate) query: bool,
    /// A request: the pending table reports its outcome.
    pub(crate) asked: bool,
    pub(crate) ticket: Ticket,
    /// The axes that it acts on.
    pub(crate) axes: Axes,
    /// It may be answered only at the end of a motion.
    pub(crate) at_end: bool,
    /// When a stop counts as blocked, if it is not out by then. `FAR_FUTURE` for other frames.
    pub(crate) due: Instant,
}

impl Going {
    /// A frame that is sent without asking, as far as the order of sending goes: it overtakes nothing.
    pub(crate) const fn frame(ticket: Ticket, lane: Lane) -> Self {
        Self {
            lane,
            query: false,
            asked: false,
            ticket,
            axes: Axes::NONE,
            at_end: false,
            due: Instant::FAR_FUTURE,
        }
    }
}

/// A place for a frame that goes out.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Place {
    pub(crate) fate: Fate,
    pub(crate) going: Going,
    /// A stop that was due and is to be reported as blocked, unless it goes out before.
    blocked: bool,
    /// The stop that cancelled it.
    by: Ticket,
    bytes: [u8; FRAME_LEN],
}

impl Place {
    /// All zero, so that a connection that nothing has happened on takes no flash.
    const FREE: Self = Self {
        fate: Fate::Free,
        going: Going {
            ticket: Ticket::NONE,
            lane: Lane::Stop,
            query: false,
            asked: false,
            axes: Axes::NONE,
            at_end: false,
            due: Instant::from_micros(0),
        },
        blocked: false,
        by: Ticket::NONE,
        bytes: [0; FRAME_LEN],
    };

    pub(crate) fn code(&self) -> CommandCode {
        CommandCode(word(&self.bytes, CODE))
    }

    pub(crate) fn selector(&self) -> i32 {
        word(&self.bytes, INT32_DATA_0) as i32
    }
}

/// How far a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) ticket: Ticket,
    pub(crate) code: CommandCode,
    pub(crate) selector: i32,
    /// The length of its payload.
    pub(crate) uploads: u32,
    /// Its first byte was written: it counts as sent.
    pub(crate) started: bool,
    /// It and its payload are out.
    pub(crate) finished: bool,
}

/// A place, counted from 1; 0 is none. (That takes one check where an `Option` takes two.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Which(usize);

impl Which {
    const NONE: Self = Self(0);

    const fn at(at: usize) -> Self {
        Self(at.wrapping_add(1))
    }

    /// Beyond all places if there is none.
    const fn index(self) -> usize {
        self.0.wrapping_sub(1)
    }
}

/// Room for `PLACES` frames.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Outbox<const PLACES: usize> {
    /// In no order; free ones too.
    places: [Place; PLACES],
    /// All places from here on are free.
    end: usize,
    /// Where the frame is whose bytes are going out, or will when the caller writes what it was
    /// shown.
    current: Which,
    /// Bytes of it that were written; 0: something else may still go first.
    written: usize,
    /// Bytes of its payload that were written.
    offset: u32,
}

impl<const PLACES: usize> Outbox<PLACES> {
    /// Nothing has happened yet: all zero.
    pub(crate) const NEW: Self =
        Self { places: [Place::FREE; PLACES], end: 0, current: Which::NONE, written: 0, offset: 0 };

    /// The places that are looked at: all that are taken, and some that are free. Few places are all
    /// looked at: to leave some out takes 240 bytes of flash. Of 81 places, to look at all takes
    /// 340 ns more for a turn on x86-64.
    pub(crate) fn places(&self) -> &[Place] {
        if PLACES > FEW { self.places.get(..self.end).unwrap_or_default() } else { &self.places }
    }

    fn places_mut(&mut self) -> &mut [Place] {
        if PLACES > FEW {
            self.places.get_mut(..self.end).unwrap_or_default()
        } else {
            &mut self.places
        }
    }

    /// How many places the frames of a lane take, those that ended and were not told included.
    #[cfg_attr(target_os = "none", inline(never))] // inlined, a client takes 54 bytes more flash
    pub(crate) fn taken(&self, lane: Lane) -> usize {
        self.places().iter().fold(0, |number, place| {
            let taken = place.fate != Fate::Free && place.going.lane == lane;
            number.wrapping_add(usize::from(taken))
        })
    }

    /// Gives a frame a place, if there is a free one: its bytes are to be written there.
    pub(crate) fn push(&mut self, going: Going) -> Option<&mut [u8; FRAME_LEN]> {
        let mut places = self.places.iter_mut().enumerate();
        let (at, place) = places.find(|(_, place)| place.fate == Fate::Free)?;
        if PLACES > FEW {
            self.end = self.end.max(at.wrapping_add(1));
        }
        (place.fate, place.going, place.blocked) = (Fate::Alive, going, false);
        Some(&mut place.bytes)
    }

    /// Ends the frames that wait behind a stop and that it cancels; they are told by
    /// [`Self::take_ended`]. `each` gets their tickets.
    pub(crate) fn supersede(&mut self, by: Ticket, stop: &Frame, mut each: impl FnMut(Ticket)) {
        let begun = self.half_sent();
        for (at, place) in self.places_mut().iter_mut().enumerate() {
            let waits = place.fate == Fate::Alive && place.going.lane == Lane::Queue;
            if waits && begun != Which::at(at) && cancels(stop, place.code(), place.selector()) {
                (place.fate, place.by) = (Fate::Superseded, by);
                each(place.going.ticket);
            }
        }
    }

    /// The connection is gone. [`Self::take_ended`] reports the frames that are no requests.
    pub(crate) fn lose_all(&mut self) {
        let begun = self.half_sent();
        (self.current, self.written, self.offset) = (Which::NONE, 0, 0);
        for (at, place) in self.places_mut().iter_mut().enumerate() {
            if place.fate == Fate::Alive {
                let half_sent = begun == Which::at(at);
                let lost = if half_sent { Fate::LostHalfSent } else { Fate::LostUnsent };
                place.fate = if place.going.asked { Fate::Free } else { lost };
            }
        }
    }

    /// A frame that ended without being sent, once, and how.
    pub(crate) fn take_ended(&mut self) -> Option<(Ticket, Ended)> {
        let ended = |place: &&mut Place| !matches!(place.fate, Fate::Free | Fate::Alive);
        let place = self.places_mut().iter_mut().find(ended)?;
        let ended = match core::mem::replace(&mut place.fate, Fate::Free) {
            Fate::Superseded => Ended::Superseded { by: place.by },
            fate => Ended::ConnectionLost { sent: fate == Fate::LostHalfSent },
        };
        Some((place.going.ticket, ended))
    }

    /// Takes a frame back that has not begun. A request that has begun is the table's business.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Cancelled {
        let begun = self.half_sent();
        for (at, place) in self.places_mut().iter_mut().enumerate() {
            if place.fate != Fate::Alive || place.going.ticket != ticket {
                continue;
            }
            if begun != Which::at(at) {
                place.fate = Fate::Free;
                return Cancelled::NotSent;
            }
            if !place.going.asked {
                return Cancelled::Sent;
            }
        }
        Cancelled::Unknown
    }

    /// When the first of the stops that wait counts as blocked; `FAR_FUTURE` if none waits.
    pub(crate) fn stop_due(&self) -> Instant {
        let alive = self.places().iter().filter(|place| place.fate == Fate::Alive);
        alive.fold(Instant::FAR_FUTURE, |first, place| first.min(place.going.due))
    }

    /// Notes that the stops that are due are blocked, unless the caller holds them: `ready` says
    /// which may go. They are due again after `patience`.
    pub(crate) fn block_stops(
        &mut self,
        now: Instant,
        patience: Duration,
        ready: impl Fn(Ticket) -> bool,
    ) {
        let next = now + patience.max(Duration::from_micros(1));
        for place in self.places_mut() {
            let Going { due, ticket, .. } = place.going;
            if place.fate == Fate::Alive && due <= now && due < Instant::FAR_FUTURE {
                place.blocked = ready(ticket);
                place.going.due = next;
            }
        }
    }

    /// Whether a stop that is not out yet is to be reported as blocked; each time once.
    pub(crate) fn take_blocked(&mut self) -> bool {
        let mut any = false;
        for place in self.places_mut() {
            any |= core::mem::take(&mut place.blocked) && place.fate == Fate::Alive;
        }
        any
    }

    /// Where the frame is that has begun to go out and is not complete.
    #[cfg_attr(target_os = "none", inline(never))] // inlined: 24 bytes more
    fn half_sent(&self) -> Which {
        if self.written > 0 { self.current } else { Which::NONE }
    }

    /// What to write next; `ready` says which frames of [`Lane::Abort`] and [`Lane::Queue`] may go
    /// now.
    pub(crate) fn poll(&mut self, ready: impl Fn(&Self, &Place) -> bool) -> Option<Transmit<'_>> {
        if self.written == 0 {
            self.current = self.select(ready);
        }
        let place = self.places.get(self.current.index())?;
        let bytes = place.bytes.get(self.written..).unwrap_or_default();
        if !bytes.is_empty() {
            return Some(Transmit::Bytes(bytes));
        }
        let remaining = word(&place.bytes, PAYLOAD_LEN).saturating_sub(self.offset);
        Some(Transmit::Payload { ticket: place.going.ticket, offset: self.offset, remaining })
    }

    /// Says that `written` bytes, at least one, of what `poll` showed are out.
    pub(crate) fn transmitted(&mut self, written: usize) -> Option<Progress> {
        let place = self.places.get_mut(self.current.index())?;
        let started = self.written == 0;
        if self.written < FRAME_LEN {
            self.written = self.written.saturating_add(written).min(FRAME_LEN);
        } else {
            let written = u32::try_from(written).unwrap_or(u32::MAX);
            self.offset = self.offset.saturating_add(written);
        }
        let finished = self.written == FRAME_LEN && self.offset >= word(&place.bytes, PAYLOAD_LEN);
        if finished {
            place.fate = Fate::Free;
            (self.current, self.written, self.offset) = (Which::NONE, 0, 0);
        }
        let (ticket, code, selector) = (place.going.ticket, place.code(), place.selector());
        let uploads = word(&place.bytes, PAYLOAD_LEN);
        Some(Progress { ticket, code, selector, uploads, started, finished })
    }

    fn select(&mut self, ready: impl Fn(&Self, &Place) -> bool) -> Which {
        let mut chosen: Option<(usize, &Place)> = None;
        let mut end = 0;
        for (at, place) in self.places().iter().enumerate() {
            let Going { ticket, lane, .. } = place.going;
            if place.fate != Fate::Free {
                end = at.wrapping_add(1);
            }
            let first = chosen.is_none_or(|(_, chosen)| {
                let same = lane == chosen.going.lane && ticket.is_before(chosen.going.ticket);
                same || lane < chosen.going.lane
            });
            let may_go = || matches!(lane, Lane::Stop | Lane::Fence) || ready(self, place);
            if place.fate == Fate::Alive && first && may_go() {
                chosen = Some((at, place));
            }
        }
        let chosen = chosen.map_or(Which::NONE, |(at, _)| Which::at(at));
        if PLACES > FEW {
            self.end = end;
        }
        chosen
    }
}
