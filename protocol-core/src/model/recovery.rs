//! Whether the connection recovers from a state: if the device works from here on, each request
//! gets its own answer, with a pause between two polls and without.

use std::collections::HashSet;
use std::vec::Vec;

use super::checks::is_stop;
use super::fingerprint::Fingerprint;
use super::setting::Budget;
use super::world::{Heard, Wire, World};
use crate::connection::key::Key;
use crate::{
    Ticket,
    time::{Duration, Instant},
};

/// The states from which recovery was checked.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Nothing more goes wrong.
    healed: HashSet<Fingerprint>,
    /// Everything is answered, and every grace is over.
    quiet: HashSet<Fingerprint>,
}

/// How a program polls a device that works.
#[derive(Debug, Clone, Copy)]
pub(super) struct Polling {
    pub(super) round_trip: Duration,
    /// From this time on each poll has its own answer.
    pub(super) within: Duration,
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize>
    World<REQUESTS, OWED, QUEUE, STOPS>
{
    /// Checks what must hold in each state.
    pub(super) fn check(&self, checked: &mut Checked) {
        for frame in &self.setting.passing {
            self.goes_out_at_once(frame);
        }
        let mut healed = self.clone();
        healed.heal();
        if !checked.healed.insert(healed.fingerprint()) {
            return;
        }
        for polling in &self.setting.polling {
            healed.recovers_while_polling(*polling);
        }
        if let Some(polling) = self.setting.proof {
            for command in self.polled() {
                healed.clone().proof_comes_back(&[command], polling);
            }
        }
        if let Some(polling) = self.setting.proof_in_turns {
            let polled: Vec<usize> = self.polled().collect();
            healed.clone().proof_comes_back(&polled, polling);
        }
        healed.recovers(checked);
    }

    /// Nothing goes wrong from here on.
    pub(super) fn heal(&mut self) {
        self.budget = Budget::default();
        self.wire = Wire::Flows;
        self.write();
    }

    /// The commands of the setting that wait for an answer, one of each key.
    fn polled(&self) -> impl Iterator<Item = usize> + use<REQUESTS, OWED, QUEUE, STOPS> {
        let setting = self.setting.clone();
        (0..setting.commands.len()).filter(move |at| {
            let key = |at: usize| Key::of(&setting.commands[at].frame);
            let first = (0..*at).all(|before| key(before) != key(*at));
            first && setting.commands[*at].patience.is_some()
        })
    }

    /// With a pause after each request, in which everything is answered and every grace ends, each
    /// key soon gets its own answers.
    fn recovers(mut self, checked: &mut Checked) {
        self.settle_down();
        if !checked.quiet.insert(self.fingerprint()) {
            return;
        }
        for _ in 0..2 {
            for command in self.polled() {
                self.ask(command);
                self.settle_down();
            }
        }
        for command in self.polled() {
            let ticket = self.ask(command);
            let own = loop {
                if let Some(queue) = self.queue_of(ticket) {
                    // The commands before it in its queue are answered first, in order.
                    let last = self.device.first(queue).ticket == ticket;
                    let heard = self.answer(queue);
                    if last {
                        break heard.seen;
                    }
                } else if self.device.is_empty() {
                    self.wait();
                } else {
                    self.answer(0);
                }
            };
            assert!(own.is_right(), "still shifted: {own}");
            self.settle_down();
        }
    }

    fn queue_of(&self, ticket: Ticket) -> Option<usize> {
        let tickets = |queue: &usize| self.device.queue(*queue).any(|of| of.ticket == ticket);
        (0..self.device.queues()).find(tickets)
    }

    /// The device answers every command, and every grace ends.
    fn settle_down(&mut self) {
        self.every_timer_ends(|world| {
            for answers in 0.. {
                assert!(answers < 1000, "the client asks without end");
                if world.device.is_empty() {
                    return;
                }
                world.answer(0);
            }
        });
    }

    /// All timers end; `each` happens before each of them.
    pub(super) fn every_timer_ends(&mut self, each: impl Fn(&mut Self)) {
        loop {
            each(self);
            if self.client.poll_timeout().is_none() {
                return;
            }
            self.wait();
        }
    }

    /// The program polls these commands in turn, without a pause: each soon has a proven answer.
    fn proof_comes_back(mut self, polled: &[usize], Polling { round_trip, within }: Polling) {
        let healthy = self.now;
        let mut missing = polled.to_vec();
        while !missing.is_empty() {
            for command in polled {
                let proven = |heard: Heard| heard.seen.class == "proven";
                if self.poll(*command, healthy, round_trip).is_some_and(proven) {
                    missing.retain(|of| of != command);
                }
            }
            let spent = self.now.since(healthy);
            assert!(spent <= within, "{spent:?} of polling, and not proven again: {missing:?}");
        }
    }

    /// Without a pause: the program asks again as soon as the last poll has its outcome, and the
    /// device answers after the round trip.
    fn recovers_while_polling(&self, Polling { round_trip, within }: Polling) {
        let polled = self.polled().filter(|at| !is_stop(self.setting.commands[*at].frame.code));
        for command in polled {
            let mut world = self.clone();
            let healthy = world.now;
            while !world.polls_its_own(command, healthy, round_trip) {
                let spent = world.now.since(healthy);
                assert!(spent <= within, "{spent:?} of polling, and not its own answer yet");
            }
        }
    }

    /// Polls once. Returns whether the poll has its own answer and the device owes nothing: then no
    /// older answer is left, and the polls are not shifted.
    pub(super) fn polls_its_own(
        &mut self,
        command: usize,
        healthy: Instant,
        round_trip: Duration,
    ) -> bool {
        let own = self.poll(command, healthy, round_trip);
        own.is_some_and(|own| own.seen.is_right()) && self.device.is_empty()
    }

    /// Asks, and lets time pass until this request has its outcome. Returns its answer.
    pub(super) fn poll(
        &mut self,
        command: usize,
        healthy: Instant,
        round_trip: Duration,
    ) -> Option<Heard> {
        while !self.has_room(command) {
            self.live(healthy, round_trip);
        }
        let ticket = self.ask(command);
        loop {
            let heard = self.live(healthy, round_trip);
            if let Some(heard) = heard.filter(|heard| heard.answers == Some(ticket)) {
                return Some(heard);
            }
            if self.asked.iter().all(|asked| asked.ticket != ticket) {
                return None;
            }
        }
    }

    /// The next thing happens: the device answers, or a timer is due.
    pub(super) fn live(&mut self, healthy: Instant, round_trip: Duration) -> Option<Heard> {
        let answer = self.device.next_answer(healthy, round_trip);
        let timer = self.client.poll_timeout().map(|(due, _)| due);
        match answer {
            Some((due, queue)) if timer.is_none_or(|timer| due <= timer) => {
                self.now = self.now.max(due);
                Some(self.answer(queue))
            }
            _ => {
                assert!(timer.is_some(), "nothing will ever happen");
                self.wait();
                None
            }
        }
    }
}
