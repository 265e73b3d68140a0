//! An hour of traffic on the virtual clock: clients come, go, query, move and halt; the instrument is
//! slow, leaves some commands unanswered, and is lost twice.

use std::collections::{BTreeMap, VecDeque};

use flamingo_protocol_core::time::{Duration, Instant};

use super::harness::*;
use crate::router::{ClientId, RouterOptions};
use crate::settings::{Delivery, Role, WhenLost};

const HOUR: u64 = 3600 * 1000;
const CLIENTS: usize = 8;

struct LongRun {
    harness: Harness,
    rng: fastrand::Rng,
    /// The open commands of each client, oldest first.
    asked: BTreeMap<ClientId, VecDeque<i32>>,
    number: i32,
    answers: u64,
    refused: u64,
    unanswered: u64,
    pushes_sent: u64,
    pushes_received: u64,
}

impl LongRun {
    fn ask(&mut self) {
        let clients: Vec<_> = self.asked.keys().copied().collect();
        let id = clients[self.rng.usize(..clients.len())];
        self.number += 1;
        let axis = self.rng.i32(1..=4);
        let mut command = match self.rng.u32(..20) {
            0 => halt(axis),
            1 => go(axis),
            _ => position(axis),
        };
        command.int32_data[2] = self.number;
        self.asked.get_mut(&id).unwrap().push_back(self.number);
        self.harness.ask(id, &command);
    }

    /// Each frame that a client received answers one of its commands, and each only once.
    fn check(&mut self) {
        let clients: Vec<_> = self.asked.keys().copied().collect();
        for id in clients {
            for frame in self.harness.received(id) {
                let asked = self.asked.get_mut(&id).unwrap();
                let at = asked.iter().position(|number| *number == frame.int32_data[2]);
                let at = at.unwrap_or_else(|| panic!("client {id} never asked {frame}"));
                asked.remove(at);
                if frame.status == 1 { self.answers += 1 } else { self.refused += 1 }
            }
        }
        for frame in self.harness.published_frames() {
            if frame.code == position(1).code {
                self.pushes_received += 1;
                assert_eq!(frame.value, self.pushes_received as f64, "each push once and in order");
            }
        }
    }

    fn serve(&mut self) {
        while !self.harness.commands.is_empty() && self.rng.u32(..8) > 0 {
            if self.rng.u32(..500) == 0 {
                self.harness.commands.remove(0); // never answered
            } else {
                self.harness.answer_next(0.5);
            }
        }
    }

    fn change_clients(&mut self) {
        let oldest = *self.asked.keys().next().unwrap();
        self.harness.leave(oldest);
        let open = self.asked.remove(&oldest).unwrap();
        self.unanswered += open.len() as u64;
        let id = self.harness.client_as(Role::Control, Delivery::Callback);
        self.asked.insert(id, VecDeque::new());
    }

    /// Answers what is open, and checks the totals.
    fn finish(mut self) {
        while self.harness.router.is_busy() {
            while !self.harness.commands.is_empty() {
                self.harness.answer_next(0.5);
            }
            self.check();
            self.harness.pass(ms(1000));
        }
        self.check();
        let open: usize = self.asked.values().map(VecDeque::len).sum();
        self.unanswered += open as u64;
        let all = u64::try_from(self.number).unwrap();
        assert_eq!(self.answers + self.refused + self.unanswered, all);
        assert!(self.answers > all * 9 / 10, "{} of {all} answered", self.answers);
        assert_eq!(self.pushes_received, self.pushes_sent, "no push is lost");
        assert!(
            self.harness.router.remembered_commands() < 1100,
            "{}",
            self.harness.router.remembered_commands()
        );
        println!(
            "{all} commands: {} answered, {} refused, {} never answered; {} pushes",
            self.answers, self.refused, self.unanswered, self.pushes_sent
        );
    }
}

#[test]
fn an_hour_of_traffic_mixes_up_no_answer_and_leaks_nothing() {
    let when_lost = WhenLost::Refusal;
    let mut harness = Harness::new(RouterOptions { echo_actions: false, when_lost, ..options() });
    let asked = (0..CLIENTS).map(|_| (harness.client(), VecDeque::new())).collect();
    let rng = fastrand::Rng::with_seed(4);
    let mut run = LongRun {
        harness,
        rng,
        asked,
        number: 0,
        answers: 0,
        refused: 0,
        unanswered: 0,
        pushes_sent: 0,
        pushes_received: 0,
    };
    let begin: Instant = run.harness.now;
    let mut lost = 0;
    while run.harness.now.since(begin) < Duration::from_millis(HOUR) {
        for _ in 0..run.rng.u32(..4) {
            run.ask();
        }
        run.pushes_sent += 1;
        let value = run.pushes_sent as f64;
        run.harness.instrument_sends(&push(1, value));
        run.serve();
        run.check();
        let passes = ms(run.rng.u64(1..50));
        run.harness.pass(passes);
        let minutes = run.harness.now.since(begin).as_micros() / 60_000_000;
        if minutes / 20 > lost {
            lost += 1;
            run.harness.router.upstream_lost(run.harness.now);
            run.harness.commands.clear();
            run.harness.connect(IDLE);
            run.check();
        }
        if run.rng.u32(..3000) == 0 {
            run.change_clients();
        }
    }
    run.finish();
}
