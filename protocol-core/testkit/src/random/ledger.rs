//! What is known about each request and each frame that the caller entered: the truth about what went out, and
//! what the client told about its end.

use std::collections::HashMap;
use std::fmt;

use flamingo_protocol_core::{
    CommandCode, Ended, Frame, Ticket,
    connection::Key,
    time::{Duration, Instant},
    wire::{Effect, Kind, Selector, Timing},
};

/// How much of it is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    /// Nothing.
    Nothing,
    /// The first byte is out.
    Begun,
    /// All of it.
    Whole,
}

/// How it ended, as the client told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its answer came, whole.
    Answered,
    /// An event told it.
    Event(Ended),
    /// The caller cancelled it.
    Cancelled,
    /// Sent, and no answer was asked for.
    Sent,
}

/// One request, or one frame that was sent without one.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools)] // independent facts about a request
pub(super) struct Life {
    /// Its name.
    pub(super) ticket: Ticket,
    /// As the caller gave it.
    pub(super) frame: Frame,
    /// Its key.
    pub(super) key: Key,
    /// A request.
    pub(super) asked: bool,
    /// When the caller entered it.
    pub(super) entered: Instant,
    /// The deadline that the caller gave.
    pub(super) deadline: Instant,
    /// How much is out.
    pub(super) out: Out,
    /// When its first byte went out.
    pub(super) begun_at: Instant,
    /// How it ended.
    pub(super) end: Option<End>,
    /// When the caller learned of the end, or of the presumed answer.
    pub(super) ended_at: Instant,
    /// A frame was told to be its answer: whether it was proven.
    pub(super) answer: Option<bool>,
    /// A frame was told to be its late answer.
    pub(super) late: bool,
    /// A frame was told that may be its answer, or that of another.
    pub(super) ambiguous: bool,
    /// A proven answer to a later command of its domain came.
    pub(super) settled: bool,
    /// The stop that cancelled it, by the rules.
    pub(super) superseded_by: Option<Ticket>,
}

impl Life {
    /// Its whole answer time.
    pub(super) fn answer_time(&self) -> Duration {
        self.deadline.since(self.entered)
    }

    /// The kind of its command; an unknown one counts as an action.
    pub(super) fn kind(&self) -> Kind {
        self.frame.code.row().map_or(Kind::Action, |row| row.kind)
    }

    /// It goes before everything else.
    pub(super) fn stops(&self) -> bool {
        is_stop(self.frame.code)
    }

    /// It is answered at the end of a motion.
    pub(super) fn at_end(&self) -> bool {
        self.frame.code.row().is_some_and(|row| row.timing == Timing::AtEnd)
    }

    /// It acts on the axis of that frame, or may.
    pub(super) fn acts_on_axis_of(&self, other: &Self) -> bool {
        let row = self.frame.code.row();
        let axis = row.is_some_and(|row| row.selector == Selector::Axis);
        if self.kind() == Kind::Action && axis {
            let (one, other) = (self.frame.selector(), other.frame.selector());
            return one == other || !(1..=4).contains(&other);
        }
        row.is_some_and(|row| row.effect.moves())
    }

    /// Nothing of it is out, and it has not ended.
    pub(super) fn queued(&self) -> bool {
        self.out == Out::Nothing && self.end.is_none() && self.superseded_by.is_none()
    }

    /// It waits for an answer on the wire, also if `handle_timeout` was called at `handled`.
    pub(super) fn waits_at(&self, handled: Instant) -> bool {
        let due = self.begun_at + self.answer_time();
        self.waits() && !self.ambiguous && (handled < due || due == Instant::FAR_FUTURE)
    }

    /// It waits for an answer on the wire.
    pub(super) fn waits(&self) -> bool {
        self.asked && self.out != Out::Nothing && self.end.is_none() && self.answer.is_none()
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, frame, out, end, answer, .. } = self;
        let (mark, asked) = (frame.hardware_id, if self.asked { "request" } else { "send" });
        write!(f, "[{mark} {asked} {} {}, {ticket:?}, {out:?}", frame.code, frame.selector())?;
        let (entered, begun) = (self.entered.as_micros(), self.begun_at.as_micros());
        write!(f, ", entered {entered} for {}", self.answer_time().as_micros())?;
        if *out != Out::Nothing {
            write!(f, ", begun {begun}")?;
        }
        write!(f, ", answer {answer:?}, end {end:?} at {}", self.ended_at.as_micros())?;
        write!(f, ", superseded by {:?}]", self.superseded_by)
    }
}

/// HALT or laser-off: nothing holds it.
pub(super) fn is_emergency(code: CommandCode) -> bool {
    let effect = code.row().map_or(Effect::None, |row| row.effect);
    matches!(effect, Effect::StopsMotion | Effect::StopsLight)
}

/// One of the four kinds of stops.
pub(super) fn is_stop(code: CommandCode) -> bool {
    is_emergency(code)
        || matches!(code, CommandCode::CAMERA_WORK_FLOW_STOP | CommandCode::CAMERA_LIVE_VIEW_STOP)
}

/// A fence of the client's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fence {
    /// Its key.
    pub(super) key: Key,
    /// When its first byte went out.
    pub(super) begun_at: Instant,
    /// When its time ended without a proof.
    pub(super) ended_at: Option<Instant>,
    /// Its name, once all of it is out.
    pub(super) ticket: Option<Ticket>,
    /// A frame was told to be its answer.
    pub(super) answered: bool,
}

/// All of them, in the order in which they were entered.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// All of them.
    pub(super) lives: Vec<Life>,
    by_ticket: HashMap<Ticket, usize>,
    /// The first that may not be over.
    first: usize,
}

impl Ledger {
    /// Adds one. Returns whether its ticket is new.
    pub(super) fn add(&mut self, life: Life) -> bool {
        let new = self.by_ticket.insert(life.ticket, self.lives.len()).is_none();
        self.lives.push(life);
        new
    }

    /// The one with that ticket.
    pub(super) fn get(&mut self, ticket: Ticket) -> Option<&mut Life> {
        self.lives.get_mut(*self.by_ticket.get(&ticket)?)
    }

    /// The one with that mark: its place from 1.
    pub(super) fn marked(&mut self, mark: i32) -> Option<&mut Life> {
        self.lives.get_mut(usize::try_from(mark).ok()?.checked_sub(1)?)
    }

    /// The mark of the next.
    pub(super) fn next_mark(&self) -> i32 {
        self.lives.len() as i32 + 1
    }

    /// Those that may still matter: all behind the first that is over for long.
    pub(super) fn recent(&self) -> &[Life] {
        &self.lives[self.first..]
    }

    /// The same, to change.
    pub(super) fn recent_mut(&mut self) -> &mut [Life] {
        &mut self.lives[self.first..]
    }

    /// Forgets all: the connection is a new one.
    pub(super) fn forget_all(&mut self) {
        self.first = self.lives.len();
    }

    /// Forgets those in front that ended before `time`, and that no rule looks at.
    pub(super) fn forget_before(&mut self, time: Instant) {
        let over =
            |life: &Life| life.end.is_some() && life.out != Out::Begun && life.ended_at < time;
        while self.lives.get(self.first).is_some_and(over) {
            self.first += 1;
        }
    }
}
