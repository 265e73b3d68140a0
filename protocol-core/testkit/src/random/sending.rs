//! What goes out: the bytes are whole, and each new frame is one that may go now, by what the caller and the wire
//! know. When nothing goes, each queued frame must have a reason.

use flamingo_protocol_core::{
    Frame, Ticket,
    connection::Key,
    time::{Duration, Instant},
    wire::{Kind, Payload},
};

use super::client::Next;
use super::conversation::Conversation;
use super::instrument::{Command, payload_of};
use super::ledger::{End, Fence, Life, Out, is_emergency};
use super::plan::{Caller, Ending};
use super::promise::Promise;

impl Conversation {
    /// Writes what the client has and the wire takes.
    pub(super) fn write(&mut self) {
        for _ in 0..200 {
            if self.broken.is_some() {
                return;
            }
            let next = self.client.next(self.now);
            if self.current.is_none() {
                self.check_choice(next);
            }
            let Some(next) = next else { return };
            let recovering = self.recovering();
            let room = match (self.now < self.blocked_until, self.rng.u32(0..4)) {
                _ if recovering => usize::MAX,
                (true, 0) => 3,
                (true, _) => 0,
                (false, _) => self.plan.write,
            };
            let bytes = self.bytes_of(next);
            let most = bytes.len().min(room);
            let len = if most == 0 || recovering { most } else { self.rng.usize(1..=most) };
            if len > 0 {
                self.begin(next);
                self.deliver(&bytes[..len]);
            } else {
                _ = self.client.written(self.now, 0);
            }
            if len < most || room < bytes.len() || most == 0 {
                return;
            }
        }
    }

    fn bytes_of(&mut self, next: Next) -> Vec<u8> {
        match next {
            Next::Bytes(bytes, len) => bytes[..len].to_vec(),
            Next::Payload(ticket, offset, remaining) => {
                let mark = self.ledger.get(ticket).map_or(0, |life| life.frame.hardware_id);
                let mut payload = payload_of(mark, offset.saturating_add(remaining));
                payload.split_off((offset as usize).min(payload.len()))
            }
        }
    }

    /// The first byte of a frame goes out.
    fn begin(&mut self, next: Next) {
        if self.current.is_some() {
            return;
        }
        let Some(frame) = whole_frame(next) else {
            return self.check(Promise::Whole, false, || format!("begins with {next:?}"));
        };
        self.current = Some(frame.hardware_id);
        let (now, tokens) = (self.now, self.plan.config.tokens);
        let Some(life) = self.ledger.marked(frame.hardware_id) else {
            self.survey.count("fence sent");
            let key = Key::of(&frame);
            self.fences.push(Fence {
                key,
                begun_at: now,
                ended_at: None,
                ticket: None,
                answered: false,
            });
            return self.check(Promise::Whole, tokens.is_none(), || format!("a fence: {frame}"));
        };
        let mut expected = life.frame;
        if let (Some(field), true) = (tokens, life.asked) {
            field.replace(&mut expected, life.ticket.token());
        }
        let ended = life.end.is_some() || life.superseded_by.is_some();
        (life.out, life.begun_at) = (Out::Begun, now);
        let (asked, superseded, what) = (life.asked, life.superseded_by.is_some(), life.clone());
        self.check(Promise::Superseded, !superseded, || format!("goes out: {what:?}"));
        self.check(Promise::OneOutcome, !ended, || format!("goes out after its end: {what:?}"));
        self.check(Promise::Whole, expected == frame, || format!("{frame} instead of {expected}"));
        self.survey.count(if asked { "request begun" } else { "send begun" });
        self.note(|_| format!("begins: {frame}"));
    }

    /// Bytes arrive at the device.
    fn deliver(&mut self, bytes: &[u8]) {
        let told = self.client.written(self.now, bytes.len());
        let read = match self.device.read(bytes) {
            Ok(read) => read,
            Err(error) => return self.check(Promise::Whole, false, || error),
        };
        match (told, read) {
            (Some(ticket), Some((frame, payload))) => self.arrived(ticket, frame, &payload),
            (None, None) => {}
            (told, read) => {
                let complete = read.is_some();
                let what =
                    || format!("transmitted says {told:?}, the frame is complete: {complete}");
                self.check(Promise::Whole, false, what);
            }
        }
    }

    /// A whole command is at the device.
    fn arrived(&mut self, ticket: Ticket, frame: Frame, payload: &[u8]) {
        let mark = frame.hardware_id;
        self.current = None;
        let same = payload == payload_of(mark, frame.payload_len);
        self.check(Promise::Whole, same, || format!("the payload of {frame}"));
        let now = self.now;
        let named = if let Some(life) = self.ledger.marked(mark) {
            life.out = Out::Whole;
            let (asked, name) = (life.asked, life.ticket);
            if !asked {
                let end = life.end.replace(End::Sent);
                life.ended_at = now;
                self.check(Promise::OneOutcome, end.is_none(), || format!("sent after {end:?}"));
            }
            name == ticket
        } else {
            if let Some(fence) = self.fences.last_mut() {
                fence.ticket = Some(ticket);
            }
            ticket.is_fence()
        };
        self.check(Promise::Whole, named, || format!("{frame} went out as {ticket:?}"));
        let (think, answers) = self.fate(&frame);
        self.note(|_| format!("arrived: {frame}, answers {answers} in {} µs", think.as_micros()));
        self.survey.count(if answers { "command arrives" } else { "command that is not answered" });
        if answers && self.may_be_bare(&frame) && self.device.echo(Command { ticket, frame }, now) {
            self.survey.count("echo with the length of an upload");
            self.must_read = true;
            return;
        }
        let Self { device, rng, .. } = self;
        device.take(Command { ticket, frame }, now, think, answers, rng);
    }

    /// The client can know that the length in an echo of this upload is none of a payload: the request waits.
    fn may_be_bare(&mut self, frame: &Frame) -> bool {
        let handled = self.handled;
        let waits =
            self.ledger.marked(frame.hardware_id).is_some_and(|life| life.waits_at(handled));
        let row = frame.code.row();
        let both = row.is_none_or(|row| row.payload == Payload::Both) && frame.payload_len % 2 == 1;
        let prompt =
            self.plan.caller == Caller::Prompt && !self.plan.config.upload_echo_has_payload;
        // Nothing that comes before can be taken for its answer.
        let first = self.device.line.is_empty();
        waits && both && prompt && first && !self.recovering() && self.rng.bool()
    }

    /// How long the answer to a command takes, and whether there is one.
    fn fate(&mut self, frame: &Frame) -> (Duration, bool) {
        let round_trip = self.plan.round_trip;
        let at_end = frame
            .code
            .row()
            .is_some_and(|row| row.timing == flamingo_protocol_core::wire::Timing::AtEnd);
        if self.recovering() {
            return (Duration::from_micros(round_trip), true);
        }
        let late = self.rng.u32(0..100) < self.plan.delays;
        let most = match (late, at_end) {
            (true, _) => 3_000_000,
            (_, true) => 1_000_000,
            _ => round_trip,
        };
        let think = self.rng.u64(most / 2..=most);
        let answers = self.silent == 0 && self.rng.u32(0..100) >= self.plan.losses;
        self.silent = self.silent.saturating_sub(1);
        (Duration::from_micros(think), answers)
    }

    /// Whether the steps are over and all faults have stopped.
    pub(super) fn recovering(&self) -> bool {
        self.step >= self.plan.steps && self.plan.ending != Ending::Eof
    }

    /// No frame is half sent: whether what is chosen, or that nothing is, is right.
    fn check_choice(&mut self, next: Option<Next>) {
        let chosen = next.and_then(whole_frame);
        let life = chosen.and_then(|frame| self.ledger.marked(frame.hardware_id).cloned());
        let stops = life.as_ref().is_some_and(Life::stops);
        let mut broken = None;
        if !stops {
            let free =
                |stop: &&Life| stop.stops() && self.due_to_go(stop) && !self.own_key_holds(stop);
            broken =
                self.ledger.recent().iter().find(free).cloned().map(|stop| {
                    (Promise::StopFirst, format!("{stop:?} waits while {chosen:?} goes"))
                });
        }
        broken = broken.or_else(|| match (&life, chosen) {
            (Some(life), _) => self.goes_too_early(life),
            (None, None) => self.held_without_reason(),
            (None, Some(_)) => None,
        });
        if let Some((promise, what)) = broken {
            self.check(promise, false, || what);
        }
    }

    /// It is queued for certain: no time has ended it.
    fn due_to_go(&self, life: &Life) -> bool {
        life.queued() && !self.closed && (self.now < life.deadline || life.stops())
    }

    /// A request of the same key may hold this one.
    fn own_key_holds(&self, life: &Life) -> bool {
        if is_emergency(life.frame.code) || !life.asked {
            return false;
        }
        let tokens = self.plan.config.tokens.is_some();
        let longest = self.plan.config.grace.max(self.plan.config.presumed_grace);
        let fence = |fence: &Fence| {
            let over = fence.ended_at.is_some_and(|ended| self.is_over(ended, longest));
            // While a fence is under way, it also holds a request whose key is only in doubt.
            let domain = self.domain(life.key.code);
            let same = domain.is_some() && self.domain(fence.key.code) == domain;
            (fence.key == life.key || same) && !fence.answered && !over
        };
        (!life.stops() && self.fences.iter().rev().take(8).any(fence))
            || self.ledger.recent().iter().any(|other| {
                let on_wire = other.asked && other.out != Out::Nothing && other.key == life.key;
                let free = match other.end {
                    None => false,
                    Some(End::Answered) if other.answer == Some(true) => true,
                    // A stop waits only for one that waits.
                    Some(_) if life.stops() => true,
                    Some(_) => tokens || self.is_over(other.ended_at, longest),
                };
                on_wire && !free
            })
    }

    /// Whether `handle_timeout` ended what began then and lasts so long.
    fn is_over(&self, begin: Instant, lasts: Duration) -> bool {
        begin < self.handled && begin + lasts <= self.handled
    }

    /// The requests that take a place in the window: for certain, or perhaps.
    fn in_window(&self, certain: bool) -> usize {
        let grace = self.plan.config.grace;
        let takes = |life: &&Life| {
            if !life.asked || life.stops() || life.at_end() || life.out == Out::Nothing {
                return false;
            }
            let unanswered = life.answer.is_none() && !life.late;
            match life.end {
                None if certain => unanswered && life.waits_at(self.handled),
                None => unanswered,
                Some(_) if certain => {
                    let since = life.begun_at + life.answer_time();
                    let cancelled = life.end == Some(End::Cancelled);
                    let ended = if cancelled { life.ended_at } else { since };
                    unanswered
                        && !life.settled
                        && self.now < ended + grace
                        && since < Instant::FAR_FUTURE
                }
                Some(_) => unanswered && !self.is_over(life.ended_at, grace),
            }
        };
        self.ledger.recent().iter().filter(takes).count()
    }

    /// Nothing goes: the first queued frame that nothing holds.
    fn held_without_reason(&self) -> Option<(Promise, String)> {
        let full = self.in_window(false) >= self.plan.config.window.max(1);
        let lives = self.ledger.recent();
        for life in lives.iter().filter(|life| !life.stops() && self.due_to_go(life)) {
            let behind = |earlier: &&Life| {
                let ahead = earlier.frame.hardware_id < life.frame.hardware_id;
                ahead && earlier.queued() && !earlier.stops() && self.blocks(earlier, life, true)
            };
            let held = life.asked && (full || self.own_key_holds(life));
            if !held && !lives.iter().any(|earlier| behind(&earlier)) {
                return Some((Promise::NotHeld, format!("nothing holds {life:?}")));
            }
        }
        None
    }

    /// Whether a queued frame must not be overtaken by a later one. What waits for the end of a motion lets pass
    /// what does not act on its axis. With `perhaps`, also if it only blocks when a motion has ended untold.
    fn blocks(&self, earlier: &Life, later: &Life, perhaps: bool) -> bool {
        let (one, other) = (earlier.kind() == Kind::Query, later.kind() == Kind::Query);
        let same_subsystem = earlier.frame.code.subsystem() == later.frame.code.subsystem();
        let in_order = if one == other { !one } else { same_subsystem };
        let behind_motion = |motion: &Life| {
            let ahead = motion.frame.hardware_id < earlier.frame.hardware_id;
            let waits = motion.queued() && (!perhaps || self.due_to_go(motion));
            motion.at_end() && ahead && waits && earlier.acts_on_axis_of(motion)
        };
        let motion = earlier.at_end() || self.ledger.recent().iter().any(behind_motion);
        in_order && (!motion || later.acts_on_axis_of(earlier))
    }

    /// It goes now: what shows that it should not.
    fn goes_too_early(&self, life: &Life) -> Option<(Promise, String)> {
        let lives = self.ledger.recent();
        if !is_emergency(life.frame.code) && life.asked {
            // A proof may have ended it, and the event was not taken.
            let untold = |other: &Life| other.settled && self.plan.caller != Caller::Prompt;
            let waits = |other: &Life| other.waits_at(self.handled) && !untold(other);
            let same = |other: &&Life| other.key == life.key && waits(other);
            if let Some(other) = lives.iter().find(same) {
                return Some((Promise::Order, format!("{life:?} beside {other:?}")));
            }
        }
        if let Some(other) = self.must_hold(life) {
            return Some((
                Promise::Order,
                format!("{life:?} while the answer to {other:?} may come"),
            ));
        }
        if life.stops() {
            return None;
        }
        let ahead = |earlier: &&Life| {
            let ahead = earlier.frame.hardware_id < life.frame.hardware_id;
            ahead
                && self.due_to_go(earlier)
                && !earlier.stops()
                && self.blocks(earlier, life, false)
        };
        if let Some(earlier) = lives.iter().find(ahead) {
            return Some((Promise::Order, format!("{life:?} before {earlier:?}")));
        }
        let window = self.plan.config.window.max(1);
        let taken = self.in_window(true);
        (life.asked && taken >= window).then(|| {
            (Promise::Window, format!("{taken} of {window} are on the wire before {life:?}"))
        })
    }
}

/// The frame, if its first byte is next.
fn whole_frame(next: Next) -> Option<Frame> {
    match next {
        Next::Bytes(bytes, 128) => Frame::decode(&bytes).ok(),
        _ => None,
    }
}
