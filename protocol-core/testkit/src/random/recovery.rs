//! After the steps: the stream ends, or all faults stop and the connection must work again.

use flamingo_protocol_core::{
    CommandCode, Ended, Frame, Ticket,
    connection::{Key, OrderingDomain},
    time::{Duration, Instant},
    wire::Kind,
};

use super::conversation::Conversation;
use super::instrument::Origin;
use super::ledger::{End, Out};
use super::plan::{Caller, Ending};
use super::promise::Promise;

/// Right answers in a row that show that polling works.
const ENOUGH: usize = 6;
/// The core counts the frames of one key at a time. After so many frames of others, another key takes
/// its turn.
const TURN: usize = 16;

impl Conversation {
    pub(super) fn finish(&mut self) {
        match self.plan.ending {
            Ending::Eof => return self.end_of_stream(),
            Ending::Drained => {
                self.stop_faults();
                self.drain();
            }
            Ending::Polled => self.stop_faults(),
        }
        if self.broken.is_none() {
            self.poll();
        }
        self.whole_turn();
        self.check_tally();
    }

    /// The wire is free, the caller is prompt and waits for nothing, and the device answers everything in order.
    fn stop_faults(&mut self) {
        let now = self.now;
        self.note(|_| "all faults stop".into());
        self.plan.caller = Caller::Prompt;
        self.blocked_until = now;
        let Self { device, rng, .. } = self;
        device.settle(now, rng);
        self.whole_turn();
        let open: Vec<Ticket> = self
            .ledger
            .lives
            .iter()
            .filter(|life| life.end.is_none())
            .map(|life| life.ticket)
            .collect();
        for ticket in open {
            self.cancel(ticket);
        }
        self.whole_turn();
    }

    /// Lets time pass until nothing can be due: then nothing is.
    fn drain(&mut self) {
        let limit = Instant::from_micros(u64::MAX / 2);
        if self.plan.config.grace.as_micros() > 1 << 40 || self.now > limit {
            return;
        }
        for _ in 0..200 {
            let Some(next) = self.next_moment_or_timer() else { break };
            self.now = self.now.max(next);
            self.whole_turn();
            if self.broken.is_some() {
                return;
            }
        }
        self.survey.count("drained");
        let (requests, owed) = self.client.in_flight();
        let (timer, next) = (self.client.timer(), self.client.next(self.now));
        let idle = requests + owed == 0 && timer.is_none() && next.is_none();
        self.check(Promise::Idle, idle, || {
            format!("{requests} in flight, {owed} owed, timer {timer:?}, next {next:?}")
        });
        let open = |life: &&super::ledger::Life| life.end.is_none() && life.out != Out::Whole;
        let open = self.ledger.lives.iter().find(open).cloned();
        self.check(Promise::OneOutcome, open.is_none(), || format!("has no end: {open:?}"));
    }

    fn next_moment_or_timer(&mut self) -> Option<Instant> {
        let timer = self.client.timer();
        timer.into_iter().chain(self.device.next_at()).min()
    }

    /// Polls one key back to back. Right answers must come soon, and must stay right.
    fn poll(&mut self) {
        let round_trip = self.plan.round_trip;
        let config = self.plan.config;
        let grace = config.grace.as_micros();
        let time_ends = self.now.as_micros() > u64::MAX / 2 || grace > 1 << 40;
        let graces = grace >= 2 * round_trip && config.grace >= config.presumed_grace;
        if time_ends || !graces || !self.plan.proof_holds() {
            return;
        }
        let query = self.polled_query();
        let deadline = match self.rng.u32(0..3) {
            0 => 3 * round_trip,
            1 => 3 * round_trip + self.rng.u64(0..=grace),
            _ => (grace + self.rng.u64(0..=round_trip)).max(3 * round_trip),
        };
        let presumed = config.presumed_grace.as_micros();
        let pushable = config.pushable(query.code);
        if pushable && self.rng.bool() {
            self.push_into_poll(query, deadline);
        }
        let lasting = if pushable { 9 * (round_trip + presumed) + grace } else { 0 };
        let soon = self.now + Duration::from_micros(2 * (grace + deadline) + lasting + round_trip);
        self.note(|_| format!("polls {query} with a deadline of {deadline} µs"));
        let fenced = !pushable
            && presumed > 1_000
            && config.ordering != OrderingDomain::Connection
            && self.has_fence(Key::of(&query), true);
        // If all fences are in doubt, proof comes back when as many frames came as answers may be
        // missing. In one domain for all commands, keys that the table has forgotten may share the
        // bit of a fence: then that is in doubt with them.
        let counted = !pushable
            && presumed > 1_000
            && self.has_fence(Key::of(&query), false)
            && query.code != CommandCode::COMMON_SCOPE_SETTINGS_LOAD;
        let missing = self.ledger.lives.len() + self.fences.len() + ENOUGH;
        let provable = fenced || (counted && missing < 255);
        let proofs = self.survey.of("solicited, proven");
        let mut right = 0;
        for poll in 0..600 {
            match self.poll_once(query, Duration::from_micros(deadline)) {
                Some(true) => right += 1,
                Some(false) => right = 0,
                None => return,
            }
            let proven = !provable || self.survey.of("solicited, proven") > proofs;
            if right >= ENOUGH && proven {
                self.survey.count(match (fenced, provable) {
                    (true, _) => "polling is proven again",
                    (_, true) => "polling is proven again without a fence",
                    _ => "polling is right again",
                });
                return;
            }
            let until = self.now.since(soon).as_micros();
            let more = if fenced { 0 } else { TURN + 2 * missing };
            let in_time = proven || until < 2 * (grace + deadline + presumed) || poll < more;
            self.check(Promise::Recovers, in_time, || format!("{query} without proof"));
            let now = self.now;
            let in_time = right > 0 || now < soon;
            self.check(Promise::Recovers, in_time, || {
                format!("no right answer to {query} until {now:?}")
            });
        }
        self.survey.count("polling was not judged");
    }

    /// The first poll gets a push for its answer.
    fn push_into_poll(&mut self, query: Frame, deadline: u64) {
        self.enter(query, Some(Duration::from_micros(deadline)));
        self.whole_turn();
        let mut push = Frame::new(query.code).with_selector(query.selector()).with_value(-1.0);
        push.status = 1;
        self.survey.count("push into polling");
        self.put(push, Origin::Push);
        self.whole_turn();
    }

    /// Asks once and waits for the end. Returns whether the answer was right; `None` if the conversation ends.
    fn poll_once(&mut self, query: Frame, patience: Duration) -> Option<bool> {
        let Some(ticket) = self.enter(query, Some(patience)) else {
            // A full table: something must end first.
            let next = self.next_moment_or_timer();
            self.now = next.filter(|at| *at > self.now)?;
            self.whole_turn();
            return self.broken.is_none().then_some(false);
        };
        for _ in 0..100 {
            self.whole_turn();
            if self.broken.is_some() {
                return None;
            }
            let life = self.ledger.get(ticket)?;
            if let Some(end) = life.end {
                let answered = end == End::Answered;
                if end == End::Event(Ended::TimedOut { sent: false }) {
                    self.survey.count("polling: ended unsent");
                }
                return Some(answered && self.last_frame_answers(ticket));
            }
            let Some(next) = self.next_moment_or_timer() else {
                self.check(Promise::Idle, false, || format!("{ticket:?} waits for ever"));
                return None;
            };
            self.now = self.now.max(next);
        }
        self.check(Promise::TimeMoves, false, || format!("{ticket:?} does not end"));
        None
    }

    fn last_frame_answers(&self, ticket: Ticket) -> bool {
        let sent = self.heard.checked_sub(1).and_then(|at| self.device.sent.get(at));
        matches!(sent.map(|sent| sent.origin), Some(Origin::Answer { command, .. })
            if self.device.commands[command].ticket == ticket)
    }

    /// A query of the conversation, or one that fits.
    fn polled_query(&mut self) -> Frame {
        let query = |frame: &&Frame| frame.code.row().is_some_and(|row| row.kind == Kind::Query);
        let queries: Vec<Frame> = self.plan.commands.iter().filter(query).copied().collect();
        if queries.is_empty() {
            let code = [
                CommandCode::STAGE_POSITION_GET,
                CommandCode::LASER_LEVEL_GET,
                CommandCode::CAMERA_EXPOSURE_GET,
            ][self.rng.usize(0..3)];
            return Frame::command(code).with_selector(1);
        }
        let query = queries[self.rng.usize(0..queries.len())];
        debug_assert_eq!(Key::of(&query).code, query.code);
        query
    }
}
