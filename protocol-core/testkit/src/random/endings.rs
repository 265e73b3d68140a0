//! What ends: events, timers, and the end of the stream. Each request has one outcome, and it is the true one.

use fastrand::Rng;
use flamingo_protocol_core::{Ended, Event, Ticket};

use super::client::Client;
use super::conversation::Conversation;
use super::entering::cancels;
use super::instrument::Origin;
use super::ledger::{End, Life, Out};
use super::plan::{Peer, Plan};
use super::promise::Promise;

impl Conversation {
    /// Takes all events.
    pub(super) fn take_events(&mut self) {
        for _ in 0..2_000 {
            let Some(event) = self.client.event() else {
                self.check_patience();
                self.check_overdue();
                self.check_timer();
                self.forget();
                return;
            };
            self.note(|_| format!("event {event:?}"));
            match event {
                Event::Ended { ticket, ended } => self.ended(ticket, ended),
                Event::StopBlocked => self.stop_blocked(),
                Event::Unresponsive => self.survey.count("event: unresponsive"),
                Event::Responsive => self.survey.count("event: responsive"),
                _ => {}
            }
        }
        self.check(Promise::TimeMoves, false, || "events do not end".into());
    }

    fn ended(&mut self, ticket: Ticket, ended: Ended) {
        self.survey.count(match ended {
            Ended::TimedOut { sent: true } => "ended: timed out, sent",
            Ended::TimedOut { sent: false } => "ended: timed out, not sent",
            Ended::Unanswered => "ended: unanswered",
            Ended::PayloadStalled { .. } => "ended: payload stalled",
            Ended::Ambiguous => "ended: ambiguous",
            Ended::Superseded { .. } => "ended: superseded",
            Ended::ConnectionLost { .. } => "ended: connection lost",
        });
        let now = self.now;
        let Some(life) = self.ledger.get(ticket) else {
            return self.check(Promise::OneOutcome, false, || {
                format!("nobody ended: {ticket:?} {ended:?}")
            });
        };
        let before = life.clone();
        (life.end, life.ended_at) = (Some(End::Event(ended)), now);
        // The rest of a payload may come when its time is over and the event is not taken.
        let stalled = matches!(ended, Ended::PayloadStalled { .. });
        let over = before.begun_at + before.answer_time() <= self.handled;
        let rest = stalled && over && before.end == Some(End::Answered);
        let first = before.end.is_none() || rest;
        self.check(Promise::OneOutcome, first, || format!("{ended:?} after {before:?}"));
        self.check_ended(&before, ended);
    }

    fn check_ended(&mut self, life: &Life, ended: Ended) {
        let tokens = self.plan.config.tokens.is_some();
        let begun = life.out != Out::Nothing;
        let what = || format!("{ended:?} of {life:?}");
        let (promise, holds) = match ended {
            Ended::TimedOut { sent } => {
                self.check(Promise::StopStays, sent || !life.stops(), what);
                let from = if sent { life.begun_at } else { life.entered };
                let whole = self.handled >= from + life.answer_time();
                self.check(Promise::AnswerTime, whole, what);
                (Promise::OneOutcome, life.asked && sent == begun && life.answer.is_none())
            }
            Ended::Unanswered => {
                self.check(Promise::TokensDecide, !tokens, what);
                let faithful = self.plan.peer == Peer::Faithful;
                let comes = faithful && self.device.still_answers(life.ticket, self.heard);
                (Promise::UnansweredIsTrue, begun && !comes)
            }
            Ended::PayloadStalled { .. } => (Promise::OneOutcome, life.answer.is_some()),
            Ended::Ambiguous => {
                self.check(Promise::TokensDecide, !tokens, what);
                (Promise::OnlyStopsAreAmbiguous, life.stops())
            }
            Ended::Superseded { by } => {
                let stop = self.ledger.get(by).map(|stop| stop.frame);
                let by_rule = stop.is_some_and(|stop| cancels(&life.frame, &stop));
                (Promise::Superseded, by_rule && !begun && life.superseded_by.is_some())
            }
            Ended::ConnectionLost { sent } => (Promise::OneOutcome, self.closed && sent == begun),
        };
        self.check(promise, holds, what);
    }

    /// The stream ends: everything has ended, and nothing is taken any more.
    pub(super) fn end_of_stream(&mut self) {
        if self.rng.bool() {
            self.read();
        }
        self.note(|_| "end of stream".into());
        self.client.eof();
        self.closed = true;
        if self.rng.bool() {
            (0..3).for_each(|_| self.cancel_any());
        }
        self.take_events();
        let open = |life: &&Life| life.end.is_none() && (life.asked || life.out != Out::Whole);
        let open = self.ledger.lives.iter().find(open).cloned();
        self.check(Promise::Closed, open.is_none(), || format!("has no end: {open:?}"));
        let next = self.client.next(self.now);
        self.check(Promise::Closed, next.is_none(), || format!("still writes {next:?}"));
        let (requests, owed) = self.client.in_flight();
        self.check(Promise::Closed, requests + owed == 0, || {
            format!("{requests} in flight, {owed} owed")
        });
        let timer = self.client.timer();
        self.check(Promise::Closed, timer.is_none(), || format!("a timer at {timer:?}"));
        self.enter_any();
        self.check_tally();
        if self.rng.bool() {
            self.connect_again();
        }
    }

    /// The counters agree with what was told.
    pub(super) fn check_tally(&mut self) {
        let counters = self.client.counters();
        let of = |names: &[&str]| names.iter().map(|name| self.survey.of(name)).sum::<u64>();
        let told = [
            of(&["ended: timed out, sent", "ended: timed out, not sent"]),
            of(&["ended: unanswered"]),
            of(&["ended: payload stalled"]),
            of(&["ended: superseded"]),
            of(&["solicited, proven", "solicited, presumed"]),
            of(&["solicited, presumed"]),
            of(&["late, proven", "late, presumed"]),
            of(&["ambiguous"]),
            of(&["unsolicited", "unsolicited, ours"]),
            of(&["fence sent"]),
            of(&["fence sent", "request begun", "send begun"]),
        ];
        let counted = [
            counters.timed_out,
            counters.unanswered,
            counters.payload_stalled,
            counters.superseded,
            counters.solicited,
            counters.presumed,
            counters.late,
            counters.ambiguous,
            counters.unsolicited,
            counters.fences_sent,
            counters.frames_sent,
        ];
        self.check(Promise::Counters, told == counted, || format!("{told:?}, counted {counted:?}"));
    }

    /// A new connection takes the place of the old one, and the device still answers old commands. Old tickets name
    /// nothing.
    fn connect_again(&mut self) {
        let unanswered = self.device.hang_up();
        let last = self.client.last_ticket();
        let cuts = Rng::with_seed(self.rng.u64(..));
        let Plan { capacity, config, twin, .. } = self.plan;
        self.client = Client::new(capacity, config, last, twin, cuts);
        (self.plan.start, self.plan.first_after) = (last, Some(last));
        (self.heard, self.fed, self.closed) = (0, 0, false);
        (self.current, self.blocked_told) = (None, None);
        self.ledger.forget_all();
        self.fences.clear();
        self.payload.clear();
        self.survey.count("connected again");
        self.note(|_| format!("connected again after {last:?}"));
        if config.tokens.is_some() {
            for (frame, payload) in unanswered {
                let at = self.now + self.any_span();
                self.survey.count("answer of an earlier connection");
                self.device.schedule(at, frame, payload, Origin::Stale);
            }
        }
        for _ in 0..15 {
            self.one_step();
            self.turn();
        }
        self.client.eof();
        self.closed = true;
        self.take_events();
    }
}
