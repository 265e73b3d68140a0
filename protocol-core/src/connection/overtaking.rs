//! Which of the caller's own frames may go before others that were queued earlier, and which of them
//! a stop cancels.
//!
//! The places and the lanes are in `outbox.rs`.

use crate::connection::outbox::{Fate, Lane, Outbox, Place};
use crate::wire::command::{CommandCode, Effect};
use crate::wire::facts::CommandFacts;
use crate::wire::frame::Frame;

/// The axes that a command acts on, a bit each.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Axes(u8);

impl Axes {
    pub(crate) const NONE: Self = Self(0);
    const ALL: Self = Self(0xFF);

    /// Of a command with this selector.
    pub(crate) const fn of(facts: &CommandFacts, selector: i32) -> Self {
        match selector {
            1..=4 if facts.acts_on_axis() => Self(1 << selector),
            _ if facts.acts_on_axis() || facts.effect.moves() => Self::ALL,
            _ => Self::NONE,
        }
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn overlap(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Place {
    /// Whether it makes no difference that this goes before `earlier`.
    fn may_overtake(&self, earlier: &Self) -> bool {
        if self.going.query == earlier.going.query {
            return self.going.query;
        }
        self.code().subsystem() != earlier.code().subsystem()
    }
}

impl<const PLACES: usize> Outbox<PLACES> {
    /// The caller's own frames that were queued before this one.
    fn earlier(&self, place: &Place) -> impl Iterator<Item = &Place> {
        let ticket = place.going.ticket;
        self.places().iter().filter(move |other| {
            other.fate == Fate::Alive
                && other.going.lane == Lane::Queue
                && other.going.ticket.is_before(ticket)
        })
    }

    /// The axes for whose motions this waits, or frames that were queued before it.
    fn waits_for(&self, place: &Place) -> Axes {
        let own = if place.going.at_end { place.going.axes } else { Axes::NONE };
        let before = self.earlier(place).filter(|other| other.going.at_end);
        before.fold(own, |axes, other| axes.and(other.going.axes))
    }

    /// Whether all of the caller's own frames are queries: then each overtakes all.
    pub(crate) fn has_queries_alone(&self) -> bool {
        let own = |place: &&Place| place.fate == Fate::Alive && place.going.lane == Lane::Queue;
        self.places().iter().filter(own).all(|place| place.going.query)
    }

    /// Whether it makes no difference that this goes before all that was queued earlier. What waits
    /// for the end of a motion of an axis holds only what acts on the same axis.
    pub(crate) fn overtakes_all(&self, place: &Place) -> bool {
        self.earlier(place).all(|other| {
            let axes = other.going.axes;
            place.may_overtake(other)
                || (!axes.overlap(place.going.axes) && axes.overlap(self.waits_for(other)))
        })
    }
}

/// Whether a stop cancels a frame that is still queued: a HALT, of any axis, everything that starts a
/// motion; a laser-off everything that may switch that laser on; the stop of a workflow or of live
/// images their start.
pub fn is_cancelled_by(queued: &Frame, stop: &Frame) -> bool {
    cancels(stop, queued.code, queued.selector())
}

pub(crate) fn cancels(stop: &Frame, code: CommandCode, selector: i32) -> bool {
    let queued = CommandFacts::of(code);
    match CommandFacts::of(stop.code).effect {
        Effect::StopsMotion => queued.effect.moves(),
        Effect::StopsLight => {
            let same_laser = stop.code == CommandCode::LASER_DISABLE_ALL
                || !queued.selects()
                || selector == stop.selector();
            queued.effect.lights() && same_laser
        }
        Effect::StopsWorkflow => code == CommandCode::CAMERA_WORK_FLOW_START,
        Effect::StopsLiveView => code == CommandCode::CAMERA_LIVE_VIEW_START,
        Effect::None | Effect::Moves | Effect::Lights | Effect::MovesAndLights => false,
    }
}
