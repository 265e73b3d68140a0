//! What must hold after every step: who gets a frame, how a request ends and when, what may go out
//! before what, and what a stop does.
//!
//! The expectations are written here a second time, in the words of the documents, and not read
//! from the rules of the core. Whether the connection recovers is in `recovery.rs`.

use core::fmt;

use super::setting::{Ask, Budget};
use super::tokens::OWN_VALUE;
use super::world::{Truth, Wire, World};
use crate::connection::entry::{Entry, State, States};
use crate::connection::key::Key;
use crate::wire::command::{Kind, Timing};
use crate::wire::facts::CommandFacts;
use crate::{
    Class, CommandCode, Config, Ended, Frame, Received, Ticket,
    time::{Duration, Instant},
};

/// A request or a sent frame without an outcome.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) ticket: Ticket,
    pub(super) frame: Frame,
    /// How long it waits for its answer; `None`: it does not.
    pub(super) patience: Option<Duration>,
    pub(super) started: bool,
    /// Its deadline is not over before.
    pub(super) earliest: Instant,
    /// It has an outcome at this time.
    pub(super) latest: Instant,
}

/// A stop that is not out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    pub(super) ticket: Ticket,
    /// When the connection tells that it is blocked.
    pub(super) blocked: Instant,
}

/// The commands that stop something: they are never held by a command of another key.
pub(super) fn is_stop(code: CommandCode) -> bool {
    matches!(
        code,
        CommandCode::STAGE_HALT
            | CommandCode::LASER_DISABLE
            | CommandCode::LASER_DISABLE_ALL
            | CommandCode::CAMERA_WORK_FLOW_STOP
            | CommandCode::CAMERA_LIVE_VIEW_STOP
    )
}

/// Whether a queued command is cancelled by that stop.
fn cancels(stop: &Frame, queued: &Frame) -> bool {
    let facts = CommandFacts::of(queued.code);
    match stop.code {
        CommandCode::STAGE_HALT => facts.effect.moves(),
        CommandCode::LASER_DISABLE_ALL => facts.effect.lights(),
        CommandCode::LASER_DISABLE => {
            let same = queued.selector() == stop.selector() || !facts.selects();
            facts.effect.lights() && same
        }
        CommandCode::CAMERA_WORK_FLOW_STOP => queued.code == CommandCode::CAMERA_WORK_FLOW_START,
        CommandCode::CAMERA_LIVE_VIEW_STOP => queued.code == CommandCode::CAMERA_LIVE_VIEW_START,
        _ => false,
    }
}

/// Whether a command may go out before one that was asked earlier and has not started.
fn may_pass(later: &Frame, earlier: &Frame) -> bool {
    let query = |frame: &Frame| CommandFacts::of(frame.code).kind == Kind::Query;
    let at_end = CommandFacts::of(earlier.code).timing == Timing::AtEnd;
    let same_axis =
        CommandFacts::of(later.code).selects() && later.selector() == earlier.selector();
    if is_stop(later.code) || is_stop(earlier.code) {
        return true;
    }
    match (query(later), query(earlier)) {
        (true, true) => true,
        (false, false) => at_end && !same_axis,
        (true, false) if at_end => true,
        _ => later.code.subsystem() != earlier.code.subsystem(),
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, frame, patience, started, earliest, latest } = self;
        let span = (earliest.as_micros() / 1000, latest.as_micros() / 1000);
        write!(
            f,
            "{ticket:?} {frame}, patience {patience:?}, started {started}, ends in {span:?} ms"
        )
    }
}

impl Asked {
    pub(super) fn new(
        ticket: Ticket,
        frame: Frame,
        patience: Option<Duration>,
        now: Instant,
        config: &Config,
    ) -> Self {
        let (earliest, latest) = match patience {
            _ if is_stop(frame.code) => (Instant::FAR_FUTURE, Instant::FAR_FUTURE),
            Some(patience) => (now + patience, now + patience + config.grace),
            None => (now, Instant::FAR_FUTURE),
        };
        Self { ticket, frame, patience, started: false, earliest, latest }
    }

    pub(super) fn is_stop(&self) -> bool {
        is_stop(self.frame.code)
    }
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize>
    World<REQUESTS, OWED, QUEUE, STOPS>
{
    /// Checks the class of a frame against its true origin. Returns the request that it answers.
    pub(super) fn check_class(&mut self, received: &Received, truth: Truth) -> Option<Ticket> {
        let outside = self.setting.outside;
        let prove = |proven: bool, ticket: Ticket| {
            let holds = !proven || truth == Truth::Answer(ticket) || outside;
            assert!(holds, "proven wrong: {truth:?} for {ticket:?}");
        };
        if let Class::Solicited { ticket, .. } | Class::Late { ticket, .. } = received.class {
            let [_, _, value] = received.frame.int32_data;
            let own =
                self.setting.config.tokens.is_none() || value == OWN_VALUE || ticket.is_fence();
            assert!(own, "the program gets the token instead of its own value");
        }
        match received.class {
            Class::Solicited { ticket, proven } => {
                prove(proven, ticket);
                if !ticket.is_fence() {
                    self.take_asked(ticket);
                }
                return Some(ticket);
            }
            Class::Late { ticket, proven } => prove(proven, ticket),
            Class::Ambiguous { .. } => {}
            Class::Unsolicited { .. } => {
                let waits = |ticket| {
                    let mut asked = self.asked.iter();
                    asked.any(|asked| asked.ticket == ticket && asked.patience.is_some())
                };
                let lost = matches!(truth, Truth::Answer(ticket) if waits(ticket));
                assert!(
                    !lost || outside,
                    "{truth:?} waits for an answer that was called unsolicited"
                );
            }
        }
        None
    }

    /// Takes what was asked out of the list: it has its outcome.
    fn take_asked(&mut self, ticket: Ticket) -> Asked {
        let place = self.asked.iter().position(|asked| asked.ticket == ticket);
        let place = place.expect("it was asked, and has no outcome yet");
        self.asked.remove(place)
    }

    /// The program has cancelled a request. That is its outcome.
    pub(super) fn is_cancelled(&mut self, ticket: Ticket) {
        if !self.take_asked(ticket).started {
            self.stops.retain(|stop| stop.ticket != ticket);
        }
    }

    /// Checks how a request ended without an answer.
    pub(super) fn has_ended(&mut self, ticket: Ticket, ended: Ended) {
        let asked = self.take_asked(ticket);
        let now = self.now;
        match ended {
            Ended::TimedOut { sent } => {
                assert_eq!(sent, asked.started, "whether it was sent");
                assert!(sent || !asked.is_stop(), "a stop is withdrawn: {asked:?}");
                assert!(now >= asked.earliest, "before its time is over: {asked:?} at {now:?}");
            }
            Ended::Unanswered => {
                let comes = self.device.holds(ticket) && !self.setting.outside;
                assert!(
                    !comes,
                    "a request that the device will answer ended as unanswered: {asked:?}"
                );
            }
            Ended::Superseded { .. } => assert!(!asked.started, "sent and superseded: {asked:?}"),
            Ended::Ambiguous => {}
            Ended::ConnectionLost { sent } => {
                assert!(self.client.closed, "the connection is not lost");
                assert_eq!(sent, asked.started, "whether it was sent");
            }
            Ended::PayloadStalled { .. } => panic!("no answer has a payload: {asked:?}"),
        }
    }

    /// Checks that each request has its outcome in time.
    pub(super) fn nothing_is_overdue(&self) {
        for asked in &self.asked {
            assert!(self.now < asked.latest, "overdue at {:?}: {asked:?}", self.now);
        }
        let told = self.stops.iter().all(|stop| self.now < stop.blocked);
        assert!(told, "at {:?} it is not told that a stop is blocked", self.now);
    }

    /// Checks the outcomes in a state without further steps.
    pub(super) fn every_request_has_one_outcome(&self) {
        assert!(self.asked.is_empty(), "no outcome: {:?}", self.asked);
    }

    /// The first byte of a frame is out: checks that it may go before what was asked earlier.
    pub(super) fn has_started(&mut self, frame: &Frame) {
        let Some(ticket) = self.ticket_of_the_started(frame) else { return };
        let (now, setting) = (self.now, self.setting.clone());
        for asked in &mut self.asked {
            if asked.ticket == ticket {
                asked.started = true;
                let until = asked.patience.map(|patience| now + patience);
                asked.earliest = until.unwrap_or(now);
                asked.latest = until.unwrap_or(Instant::FAR_FUTURE);
                break;
            }
            let passes = may_pass(frame, &asked.frame) || asked.started;
            assert!(passes, "{frame} goes out before {}", asked.frame);
        }
        let waits = |asked: &&Asked| asked.started && asked.patience.is_some();
        let of_key =
            self.asked.iter().filter(waits).filter(|asked| Key::of(&asked.frame) == Key::of(frame));
        let of_key = of_key.count();
        assert!(of_key < 2 || frame.code == CommandCode::STAGE_HALT, "two {frame} are on the wire");
        let waiting = self.asked.iter().filter(|asked| asked.started && counts(asked)).count();
        assert!(waiting <= setting.config.window, "more than the window");
    }

    /// The ticket of the frame that has started, if it was asked.
    fn ticket_of_the_started(&self, frame: &Frame) -> Option<Ticket> {
        let last = |entry: &&Entry| {
            entry.order == self.client.requests.order && entry.state == State::Sent
        };
        let sent = self.client.requests.pending.entries.iter().find(last);
        if let Some(sent) = sent {
            return Some(sent.ticket).filter(|ticket| !ticket.is_fence());
        }
        let mut asked = self.asked.iter();
        let asked =
            asked.find(|asked| asked.patience.is_none() && !asked.started && asked.frame == *frame);
        Some(asked.expect("what goes out was asked").ticket)
    }

    /// A stop was asked: it must go out, or be told.
    pub(super) fn a_stop_waits(&mut self, ticket: Ticket) {
        let blocked = self.now + self.setting.config.stop_patience;
        self.stops.push(Stop { ticket, blocked });
    }

    /// A frame is out. If nobody waits for an answer, that is its outcome.
    pub(super) fn has_gone_out(&mut self, ticket: Ticket) {
        self.stops.retain(|stop| stop.ticket != ticket);
        self.asked.retain(|asked| asked.ticket != ticket || asked.patience.is_some());
    }

    /// Checks that a stop has ended all that it cancels.
    pub(super) fn a_stop_has_cancelled(&self, stop: Ticket, frame: &Frame) {
        for asked in self.asked.iter().take_while(|asked| asked.ticket != stop) {
            let still_queued = cancels(frame, &asked.frame) && !asked.started;
            assert!(!still_queued, "{} is still queued after {frame}", asked.frame);
        }
    }

    pub(super) fn a_stop_is_told_blocked(&mut self) {
        let next = self.now + self.setting.config.stop_patience;
        let now = self.now;
        let mut due = self.stops.iter_mut().filter(|stop| stop.blocked <= now).peekable();
        assert!(
            due.peek().is_some(),
            "no stop has waited that long, but one is told to be blocked"
        );
        due.for_each(|stop| stop.blocked = next);
    }

    /// Checks that `frame`, asked now, goes out at once, if the window has room for it.
    pub(super) fn goes_out_at_once(&self, frame: &Frame) {
        let mut world = self.clone();
        let missed = self.setting.budget.missing - self.budget.missing;
        let of_window = |frame: &Frame| {
            !is_stop(frame.code) && CommandFacts::of(frame.code).timing == Timing::AtOnce
        };
        let unanswered = self.device.commands().filter(|command| of_window(&command.frame)).count();
        let room = unanswered + usize::from(missed) < self.setting.config.window;
        if self.wire != Wire::Flows || (!room && of_window(frame)) {
            return;
        }
        let entries = &self.client.requests.pending.entries;
        let mut of_key = entries.iter().filter(|entry| entry.key == Key::of(frame));
        if of_key.any(|entry| entry.state.is(States::HOLDS_KEY)) {
            return; // perhaps as a fence
        }
        let blocked = |asked: &Asked| !asked.started && !may_pass(frame, &asked.frame);
        if self.asked.iter().any(blocked) {
            return;
        }
        world.budget = Budget::default();
        let ticket =
            world.ask_for(Ask { frame: *frame, patience: Some(Duration::from_millis(500)) });
        assert!(world.device.holds(ticket), "{frame} is held");
    }
}

fn counts(asked: &Asked) -> bool {
    let at_once = CommandFacts::of(asked.frame.code).timing == Timing::AtOnce;
    at_once && !asked.is_stop() && asked.patience.is_some()
}
