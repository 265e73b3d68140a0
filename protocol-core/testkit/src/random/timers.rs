//! Time: `handle_timeout` ends what is due and leaves no timer that is due; the timer that is left is early enough
//! for all that the caller knows of; a stop that waits too long is told.

use flamingo_protocol_core::time::Instant;

use super::conversation::Conversation;
use super::ledger::{Life, Out, is_emergency};
use super::promise::Promise;

impl Conversation {
    /// Lets the client end what is due.
    pub(super) fn handle_timeout(&mut self) {
        self.client.handle_timeout(self.now);
        self.handled = self.now;
        let (now, grace) = (self.now, self.plan.config.grace);
        for fence in &mut self.fences {
            if fence.begun_at < now && fence.begun_at + grace <= now {
                fence.ended_at = fence.ended_at.or(Some(now));
            }
        }
        let (timer, now) = (self.client.timer(), self.now);
        let moves = timer.is_none_or(|at| at > now) || now == Instant::FAR_FUTURE;
        self.check(Promise::TimeMoves, moves, || format!("still due at {timer:?}"));
        let late = self.ledger.recent().iter().find(|life| {
            let waits = self.current.is_some() && urgent(life);
            let due = life.entered + self.plan.config.stop_patience;
            let told = self.blocked_told.is_some_and(|told| told >= life.entered);
            waits
                && !told
                && due > now
                && due < Instant::FAR_FUTURE
                && timer.is_none_or(|at| at > due)
        });
        let late = late.cloned();
        self.check(Promise::StopBlocked, late.is_none(), || format!("no timer for {late:?}"));
    }

    /// The timer comes before the end of each request that waits.
    pub(super) fn check_timer(&mut self) {
        let timer = self.client.timer();
        let (now, grace) = (self.handled, self.plan.config.grace);
        let missed = |life: &&Life| {
            let due = match life.out {
                Out::Nothing if life.answer_time().as_micros() == 0 => life.deadline,
                Out::Nothing => life.deadline + grace,
                _ => life.begun_at + life.answer_time(),
            };
            let queued = life.queued() && !life.stops() && now < life.deadline;
            let waits = queued || life.waits();
            let runs = life.asked && waits && due > now && due < Instant::FAR_FUTURE;
            runs && timer.is_none_or(|at| at > due)
        };
        let missed = self.ledger.recent().iter().find(missed).filter(|_| !self.closed).cloned();
        self.check(Promise::AnswerTime, missed.is_none(), || format!("{timer:?} for {missed:?}"));
    }

    pub(super) fn stop_blocked(&mut self) {
        self.survey.count("event: stop blocked");
        self.blocked_told = Some(self.now);
        let waiting = |life: &Life| {
            life.stops()
                && (life.out == Out::Begun || (life.out == Out::Nothing && life.end.is_none()))
        };
        let any = self.ledger.recent().iter().any(waiting);
        self.check(Promise::StopBlocked, any, || "told, but no stop waits".into());
    }

    /// A stop that waits longer than the patience has been told.
    pub(super) fn check_patience(&mut self) {
        let patience = self.plan.config.stop_patience;
        let (handled, told, halves) = (self.handled, self.blocked_told, self.current.is_some());
        let silent = |life: &&Life| {
            let due = life.entered + patience;
            let over = due <= handled && life.entered < handled && due < Instant::FAR_FUTURE;
            urgent(life) && over && told.is_none_or(|told| told < life.entered)
        };
        let silent =
            self.ledger.recent().iter().find(silent).filter(|_| halves && !self.closed).cloned();
        self.check(Promise::StopBlocked, silent.is_none(), || {
            format!("nobody was told of {silent:?}")
        });
    }

    /// A request that is over by time has ended.
    pub(super) fn check_overdue(&mut self) {
        let (handled, grace) = (self.handled, self.plan.config.grace);
        let overdue = |life: &&Life| {
            let (from, end) = match life.out {
                Out::Nothing => (life.entered, life.deadline + grace),
                _ => (life.begun_at, life.begun_at + life.answer_time()),
            };
            let waits = (life.queued() && !life.stops()) || life.waits();
            life.asked && waits && end <= handled && from < handled && end < Instant::FAR_FUTURE
        };
        let overdue = self.ledger.recent().iter().find(overdue).cloned();
        self.check(Promise::AnswerTime, overdue.is_none(), || format!("is over: {overdue:?}"));
    }

    /// Forgets what ended so long ago that no rule looks at it.
    pub(super) fn forget(&mut self) {
        let longest = self.plan.config.grace.max(self.plan.config.presumed_grace);
        let before = self.handled.since(Instant::default() + longest);
        self.ledger.forget_before(Instant::from_micros(before.as_micros()));
    }
}

/// A HALT or laser-off of which nothing is out.
fn urgent(life: &Life) -> bool {
    is_emergency(life.frame.code) && life.queued()
}
