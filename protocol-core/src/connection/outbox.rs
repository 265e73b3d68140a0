//! What goes out next. A frame and its payload are never split; HALT and laser-off overtake all
//! that has not begun; a query may overtake another query, an action overtakes nothing of weight.
//!
//! The outbox knows nothing of answers: whether a frame *may* go is asked of the caller.

#[cfg(test)]
use crate::connection::key::Key;
use crate::connection::ticket::{Ended, Ticket};
use crate::wire::command::{CommandCode, Effect};
use crate::wire::facts::CommandFacts;
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
    /// A query that the connection itself asks.
    Fence,
    /// The caller's own frames.
    Queue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Fate {
    /// There is no frame in this place.
    Free,
    /// It waits to be sent, or is being sent.
    Alive,
    /// A stop cancelled it. It stays until the caller has taken that outcome.
    Superseded,
    /// The connection is gone. It stays until the caller has taken that outcome.
    Lost,
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
}

/// A place for a frame that goes out.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Place {
    fate: Fate,
    going: Going,
    /// The stop that cancelled it.
    by: Ticket,
    bytes: [u8; FRAME_LEN],
}

impl Place {
    /// All zero, so that a connection that nothing has happened on takes no flash.
    const FREE: Self = Self {
        fate: Fate::Free,
        going: Going { ticket: Ticket::NONE, lane: Lane::Stop, query: false, asked: false },
        by: Ticket::NONE,
        bytes: [0; FRAME_LEN],
    };

    fn code(&self) -> CommandCode {
        CommandCode(word(&self.bytes, CODE))
    }

    fn selector(&self) -> i32 {
        word(&self.bytes, INT32_DATA_0) as i32
    }

    /// Whether it makes no difference that this goes before `earlier`.
    fn may_overtake(&self, earlier: &Self) -> bool {
        if self.going.query == earlier.going.query {
            return self.going.query;
        }
        self.code().subsystem() != earlier.code().subsystem()
    }
}

/// How far a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) ticket: Ticket,
    pub(crate) code: CommandCode,
    pub(crate) selector: i32,
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
        Self { places: [Place::FREE; PLACES], current: Which::NONE, written: 0, offset: 0 };

    /// How many places the frames of a lane take, those that ended and were not told included.
    #[inline(never)] // inlined, a client takes 54 bytes more flash
    pub(crate) fn taken(&self, lane: Lane) -> usize {
        self.places.iter().fold(0, |number, place| {
            let taken = place.fate != Fate::Free && place.going.lane == lane;
            number.wrapping_add(usize::from(taken))
        })
    }

    /// Gives a frame a place, if there is a free one: its bytes are to be written there.
    pub(crate) fn push(&mut self, going: Going) -> Option<&mut [u8; FRAME_LEN]> {
        let place = self.places.iter_mut().find(|place| place.fate == Fate::Free)?;
        (place.fate, place.going) = (Fate::Alive, going);
        Some(&mut place.bytes)
    }

    /// The caller's own frames that have not begun, in the order they were given.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> std::vec::Vec<(Ticket, Key)> {
        let mut waiting = std::vec::Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            let ticket = place.going.ticket;
            let begun = self.half_sent() == Which::at(at);
            if place.fate == Fate::Alive && place.going.lane == Lane::Queue && !begun {
                waiting.push((
                    ticket,
                    Key::new(place.code(), CommandFacts::of(place.code()), place.selector()),
                ));
            }
        }
        waiting.sort_by_key(|(ticket, _)| *ticket);
        waiting
    }

    /// Ends the frames that wait behind a stop and that it cancels; they are told by
    /// [`Self::take_ended`]. `each` gets their tickets.
    pub(crate) fn supersede(&mut self, by: Ticket, stop: &Frame, mut each: impl FnMut(Ticket)) {
        let begun = self.half_sent();
        for (at, place) in self.places.iter_mut().enumerate() {
            let waits = place.fate == Fate::Alive && place.going.lane == Lane::Queue;
            if waits && begun != Which::at(at) && cancels(stop, place.code(), place.selector()) {
                (place.fate, place.by) = (Fate::Superseded, by);
                each(place.going.ticket);
            }
        }
    }

    /// The connection is gone. [`Self::take_ended`] reports the frames that are no requests.
    pub(crate) fn lose_all(&mut self) {
        (self.current, self.written, self.offset) = (Which::NONE, 0, 0);
        for place in &mut self.places {
            if place.fate == Fate::Alive {
                place.fate = if place.going.asked { Fate::Free } else { Fate::Lost };
            }
        }
    }

    /// A frame that ended without being sent, once, and how.
    pub(crate) fn take_ended(&mut self) -> Option<(Ticket, Ended)> {
        let ended = |place: &&mut Place| matches!(place.fate, Fate::Superseded | Fate::Lost);
        let place = self.places.iter_mut().find(ended)?;
        let superseded = place.fate == Fate::Superseded;
        place.fate = Fate::Free;
        let by = place.by;
        let ended = if superseded { Ended::Superseded { by } } else { Ended::ConnectionLost };
        Some((place.going.ticket, ended))
    }

    /// Takes a frame back that has not begun. Gives whether it was there.
    pub(crate) fn withdraw(&mut self, ticket: Ticket) -> bool {
        let begun = self.half_sent();
        for (at, place) in self.places.iter_mut().enumerate() {
            let taken = place.fate != Fate::Free && begun != Which::at(at);
            if taken && place.going.ticket == ticket {
                place.fate = Fate::Free;
                return true;
            }
        }
        false
    }

    /// Where the frame is that has begun to go out and is not complete.
    #[inline(never)] // inlined: 24 bytes more
    fn half_sent(&self) -> Which {
        if self.written > 0 { self.current } else { Which::NONE }
    }

    /// What to write next; `ready` says which of the caller's own frames may go now.
    pub(crate) fn poll(&mut self, ready: impl Fn(Ticket) -> bool) -> Option<Transmit<'_>> {
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
        Some(Progress { ticket, code, selector, started, finished })
    }

    fn select(&self, ready: impl Fn(Ticket) -> bool) -> Which {
        let mut chosen: Option<(usize, &Place)> = None;
        for (at, place) in self.places.iter().enumerate() {
            let Going { ticket, lane, .. } = place.going;
            let first = chosen.is_none_or(|(_, chosen)| {
                let same = lane == chosen.going.lane && ticket.is_before(chosen.going.ticket);
                same || lane < chosen.going.lane
            });
            let may_go = || lane != Lane::Queue || (self.overtakes_all(place) && ready(ticket));
            if place.fate == Fate::Alive && first && may_go() {
                chosen = Some((at, place));
            }
        }
        chosen.map_or(Which::NONE, |(at, _)| Which::at(at))
    }

    /// Whether it makes no difference that this goes before all that was queued earlier.
    fn overtakes_all(&self, place: &Place) -> bool {
        self.places.iter().all(|other| {
            let earlier = other.going.ticket.is_before(place.going.ticket);
            let in_the_way = other.fate == Fate::Alive && other.going.lane == Lane::Queue;
            !(earlier && in_the_way) || place.may_overtake(other)
        })
    }
}

/// Whether a stop cancels a frame that is still queued behind it: a HALT, whatever its axis, all
/// that starts a motion; a laser-off all that may switch that laser on.
pub fn is_cancelled_by(queued: &Frame, stop: &Frame) -> bool {
    cancels(stop, queued.code, queued.selector())
}

fn cancels(stop: &Frame, code: CommandCode, selector: i32) -> bool {
    let (queued, by) = (CommandFacts::of(code), CommandFacts::of(stop.code));
    if by.effect == Effect::StopsMotion {
        return queued.effect.moves();
    }
    let same_laser = stop.code == CommandCode::LASER_DISABLE_ALL
        || !queued.selects()
        || selector == stop.selector();
    by.effect == Effect::StopsLight && queued.effect.lights() && same_laser
}
