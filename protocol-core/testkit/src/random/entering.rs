//! The caller's side of a conversation: requests, frames without a request, and cancels; and what the client says
//! at once.

use flamingo_protocol_core::{
    CommandCode, Frame, Ticket,
    connection::{Cancelled, Key, MAX_OWNERS},
    error::{CommandError, Full},
    time::{Duration, Instant},
    wire::{Kind, Selector},
};

use super::conversation::Conversation;
use super::ledger::{End, Life, Out, is_emergency, is_stop};
use super::plan::{any_command, stop};
use super::promise::Promise;

impl Conversation {
    pub(super) fn enter_any(&mut self) {
        let which = self.rng.usize(0..self.plan.commands.len());
        let frame = match self.rng.u32(0..10) {
            0 => any_command(&mut self.rng),
            _ => self.plan.commands[which],
        };
        let asked = self.rng.u32(0..6) > 0;
        self.enter_with(frame, asked);
    }

    pub(super) fn enter_stop(&mut self) {
        let frame = stop(&mut self.rng);
        let asked = self.rng.bool();
        self.enter_with(frame, asked);
    }

    fn enter_with(&mut self, frame: Frame, asked: bool) {
        let fire_and_forget = frame.code.row().is_some_and(|row| row.kind == Kind::FireAndForget);
        let patience = (asked && !fire_and_forget).then(|| self.any_patience());
        self.enter(frame, patience);
    }

    fn any_patience(&mut self) -> Duration {
        let round_trip = self.plan.round_trip;
        let grace = self.plan.config.grace.as_micros();
        Duration::from_micros(match self.rng.u32(0..16) {
            0 => 0,
            1 => round_trip / 2,
            2 => u64::MAX,
            3 => 3 * round_trip,
            4 | 5 => grace.saturating_sub(self.rng.u64(0..=round_trip)),
            6 | 7 => 3_000_000,
            _ => self.rng.u64(round_trip..=20 * round_trip),
        })
    }

    /// Enters a frame: with a patience as a request. Returns its ticket.
    pub(super) fn enter(&mut self, mut frame: Frame, patience: Option<Duration>) -> Option<Ticket> {
        let mark = self.ledger.next_mark();
        frame.hardware_id = mark;
        if let Some(field) = self.plan.config.tokens {
            field.replace(&mut frame, mark % 5);
        }
        let deadline = patience.map(|patience| self.now + patience);
        let result = self.client.enter(self.now, &frame, deadline);
        self.note(|this| {
            let until = deadline.map(|at| at.since(this.now).as_micros());
            format!("enter {mark}: {frame} patience {until:?} -> {result:?}")
        });
        match result {
            Ok(ticket) => {
                self.survey.count(if patience.is_some() { "request" } else { "send" });
                self.entered(ticket, frame, deadline);
                Some(ticket)
            }
            Err(error) => {
                self.refused(&frame, patience.is_some(), &error);
                None
            }
        }
    }

    fn entered(&mut self, ticket: Ticket, frame: Frame, deadline: Option<Instant>) {
        self.check(Promise::Closed, !self.closed, || "a command was taken after the end".into());
        let start = self.plan.first_after.take();
        let next = |last: Ticket| last.number() % 0x7FFF_FFFF + 1;
        let follows = start.is_none_or(|last| ticket.number() == next(last));
        self.check(Promise::OneOutcome, follows, || format!("{ticket:?} is first after {start:?}"));
        let life = Life {
            ticket,
            frame,
            key: Key::of(&frame),
            asked: deadline.is_some(),
            entered: self.now,
            deadline: deadline.unwrap_or(Instant::FAR_FUTURE),
            out: Out::Nothing,
            begun_at: Instant::FAR_FUTURE,
            end: None,
            ended_at: Instant::FAR_FUTURE,
            answer: None,
            late: false,
            ambiguous: false,
            settled: false,
            superseded_by: None,
        };
        let halves = self.current;
        if is_stop(frame.code) {
            for other in self.ledger.recent_mut() {
                // A full table may give up what it knows of an older request for a stop.
                other.settled = true;
                let begun = halves == Some(other.frame.hardware_id);
                if other.queued() && !begun && cancels(&other.frame, &frame) {
                    other.superseded_by = Some(ticket);
                }
            }
        }
        let new = self.ledger.add(life);
        self.check(Promise::OneOutcome, new, || format!("{ticket:?} was given twice"));
    }

    /// A call was refused: what it names must be full, by what the caller knows.
    fn refused(&mut self, frame: &Frame, asked: bool, error: &CommandError) {
        let stops = is_stop(frame.code);
        let emergency = is_emergency(frame.code);
        let alike = |life: &&Life| is_emergency(life.frame.code) == emergency;
        // It counts until its event is taken, also if the rest of a payload came in the meantime.
        let over = |life: &Life| life.begun_at + life.answer_time() <= self.handled;
        let rest = |life: &Life| life.end == Some(End::Answered) && over(life);
        let waits = |life: &&Life| life.asked && (life.end.is_none() || rest(life));
        let has_place = |life: &&Life| match life.out {
            Out::Nothing => life.end.is_none(),
            Out::Begun => true,
            Out::Whole => false,
        };
        let lives = self.ledger.recent().iter().filter(alike);
        let (waiting, queued) =
            (lives.clone().filter(waits).count(), lives.filter(has_place).count());
        // The stop of a workflow or of live images has one place more.
        let more = usize::from(stops);
        let capacity = self.plan.capacity;
        let key = Key::of(frame);
        let of_key =
            self.ledger.recent().iter().filter(|life| life.key == key && life.asked).count();
        let (name, justified) = match error {
            CommandError::Full { what: Full::Requests } => {
                ("refused: requests", asked && !emergency && waiting >= capacity.requests + more)
            }
            CommandError::Full { what: Full::Queue } => {
                ("refused: queue", !emergency && queued >= capacity.queue + more)
            }
            CommandError::Full { what: Full::StopLane } => {
                let enough = emergency && waiting.max(queued) >= capacity.stops;
                ("refused: stops", stops && (enough || of_key >= MAX_OWNERS))
            }
            CommandError::Full { what: Full::Tombstones } => {
                ("refused: tombstones", !stops || of_key >= MAX_OWNERS)
            }
            CommandError::Closed => ("refused: closed", self.closed),
            _ => ("refused: other", false),
        };
        self.survey.count(name);
        self.check(Promise::RefusedWhenFull, justified, || {
            format!("{frame} refused: {error:?} with {waiting} waiting and {queued} queued")
        });
    }

    pub(super) fn cancel_any(&mut self) {
        let lives = &self.ledger.lives;
        if lives.is_empty() {
            return;
        }
        let back = self.rng.usize(0..lives.len().min(12));
        let ticket = lives[lives.len() - 1 - back].ticket;
        self.cancel(ticket);
    }

    /// Cancels, and compares the reply with the truth.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        let reply = self.client.cancel(self.now, ticket);
        let (now, closed) = (self.now, self.closed);
        let Some(life) = self.ledger.get(ticket) else { return };
        let before = life.clone();
        let holds = match reply {
            Cancelled::NotSent => {
                life.end = life.end.or(Some(End::Cancelled));
                life.ended_at = life.ended_at.min(now);
                before.out == Out::Nothing && before.end.is_none() && before.superseded_by.is_none()
            }
            Cancelled::Sent => {
                if before.asked {
                    life.end = life.end.or(Some(End::Cancelled));
                    life.ended_at = life.ended_at.min(now);
                }
                before.out != Out::Nothing && before.end.is_none() && !closed
            }
            Cancelled::Unknown => {
                let unbegun = before.queued() && now < before.deadline;
                let half_sent = !before.asked && before.out == Out::Begun;
                before.end.is_some() || closed || !(unbegun || half_sent)
            }
        };
        self.survey.count(match reply {
            Cancelled::NotSent => "cancel: not sent",
            Cancelled::Sent => "cancel: sent",
            Cancelled::Unknown => "cancel: over",
        });
        self.note(|_| format!("cancel {ticket:?} -> {reply:?}"));
        self.check(Promise::OneOutcome, holds, || format!("cancel {reply:?} of {before:?}"));
    }
}

/// Whether that stop cancels that queued frame, by the rules of the documents, in code of its own.
pub(super) fn cancels(queued: &Frame, stop: &Frame) -> bool {
    use CommandCode as Code;
    let Some(row) = queued.code.row() else { return false };
    match stop.code {
        Code::STAGE_HALT => row.effect.moves(),
        Code::LASER_DISABLE_ALL => row.effect.lights(),
        Code::LASER_DISABLE => {
            let one_laser = row.selector != Selector::None;
            row.effect.lights() && (!one_laser || queued.selector() == stop.selector())
        }
        Code::CAMERA_WORK_FLOW_STOP => queued.code == Code::CAMERA_WORK_FLOW_START,
        Code::CAMERA_LIVE_VIEW_STOP => queued.code == Code::CAMERA_LIVE_VIEW_START,
        _ => false,
    }
}
