//! An hour of traffic on the virtual clock: clients that come, go, ask, halt and fall silent, an
//! instrument that is slow, mute now and then, and lost twice.

use std::collections::{BTreeMap, VecDeque};

use flamingo_protocol_core::{Duration, Instant};

use super::harness::*;
use crate::router::{ClientId, Options};
use crate::settings::{Delivery, Role};

const HOUR: u64 = 3600 * 1000;
const CLIENTS: usize = 8;

struct Hour {
    lab: Lab,
    rng: fastrand::Rng,
    /// What each client has asked and was not told yet, oldest first.
    asked: BTreeMap<ClientId, VecDeque<i32>>,
    number: i32,
    answers: u64,
    refused: u64,
    unanswered: u64,
    pushed: u64,
    heard: u64,
}

impl Hour {
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
        command.int32_data[1] = self.number;
        self.asked.get_mut(&id).unwrap().push_back(self.number);
        self.lab.ask(id, &command);
    }

    /// What each client is told is the answer to something that it asked, and each once.
    fn check(&mut self) {
        let clients: Vec<_> = self.asked.keys().copied().collect();
        for id in clients {
            for frame in self.lab.told(id) {
                let asked = self.asked.get_mut(&id).unwrap();
                let at = asked.iter().position(|number| *number == frame.int32_data[1]);
                let at = at.unwrap_or_else(|| panic!("client {id} never asked {frame}"));
                asked.remove(at);
                if frame.status == 1 { self.answers += 1 } else { self.refused += 1 }
            }
        }
        for frame in self.lab.messages() {
            if frame.code == position(1).code {
                self.heard += 1;
                assert_eq!(frame.value, self.heard as f64, "each push once and in order");
            }
        }
    }

    fn serve(&mut self) {
        while !self.lab.commands.is_empty() && self.rng.u32(..8) > 0 {
            if self.rng.u32(..500) == 0 {
                self.lab.commands.remove(0); // never answered
            } else {
                self.lab.answer_next(0.5);
            }
        }
    }

    fn change_clients(&mut self) {
        let oldest = *self.asked.keys().next().unwrap();
        self.lab.leave(oldest);
        let open = self.asked.remove(&oldest).unwrap();
        self.unanswered += open.len() as u64;
        let id = self.lab.client_as(Role::Control, Delivery::Callback);
        self.asked.insert(id, VecDeque::new());
    }
}

#[test]
fn in_an_hour_of_traffic_nobody_gets_anothers_answer_and_nothing_piles_up() {
    let mut lab = Lab::new(Options { echo_actions: false, ..options() });
    let asked = (0..CLIENTS).map(|_| (lab.client(), VecDeque::new())).collect();
    let rng = fastrand::Rng::with_seed(4);
    let mut hour = Hour {
        lab,
        rng,
        asked,
        number: 0,
        answers: 0,
        refused: 0,
        unanswered: 0,
        pushed: 0,
        heard: 0,
    };
    let begin: Instant = hour.lab.now;
    let mut lost = 0;
    while hour.lab.now.since(begin) < Duration::from_millis(HOUR) {
        for _ in 0..hour.rng.u32(..4) {
            hour.ask();
        }
        hour.pushed += 1;
        let value = hour.pushed as f64;
        hour.lab.say(&push(1, value));
        hour.serve();
        hour.check();
        let passes = ms(hour.rng.u64(1..50));
        hour.lab.pass(passes);
        let minutes = hour.lab.now.since(begin).as_micros() / 60_000_000;
        if minutes / 20 > lost {
            lost += 1;
            hour.lab.router.upstream_lost(hour.lab.now);
            hour.lab.commands.clear();
            hour.lab.connect(IDLE);
            hour.check();
        }
        if hour.rng.u32(..3000) == 0 {
            hour.change_clients();
        }
    }
    while hour.lab.router.is_busy() {
        while !hour.lab.commands.is_empty() {
            hour.lab.answer_next(0.5);
        }
        hour.check();
        hour.lab.pass(ms(1000));
    }
    hour.check();
    let open: usize = hour.asked.values().map(VecDeque::len).sum();
    hour.unanswered += open as u64;
    let all = u64::try_from(hour.number).unwrap();
    assert_eq!(hour.answers + hour.refused + hour.unanswered, all);
    assert!(hour.answers > all * 9 / 10, "{} of {all} answered", hour.answers);
    assert_eq!(hour.heard, hour.pushed, "no push is lost");
    assert!(hour.lab.router.remembered() < 1100, "{}", hour.lab.router.remembered());
    println!(
        "{all} commands: {} answered, {} refused, {} never answered; {} pushes",
        hour.answers, hour.refused, hour.unanswered, hour.pushed
    );
}
