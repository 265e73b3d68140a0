//! One state of the model: the real connection, a device that takes any step that the assumptions
//! allow, and the true origin of every frame.

use std::collections::VecDeque;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use super::situation::{Seen, situation};
use crate::connection::entry::{Entry, Outcome, State, States};
use crate::connection::key::Key;
use crate::{
    Class, Config, Connection, Event, Flags, Frame, Output, Ticket, Transmit,
    time::{Duration, Instant},
};

/// The properties of the device.
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// It marks its pushes, so that they differ from answers.
    pub(super) flags_pushes: bool,
    pub(super) echoes_tokens: bool,
    /// It tags its answers and no other frames.
    pub(super) tags_answers: bool,
    /// It answers all commands in order, not only those of one subsystem.
    pub(super) strict_order: bool,
}

/// How many more of each event may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) requests: u8,
    pub(super) cancels: u8,
    pub(super) pushes: u8,
    pub(super) missing: u8,
    pub(super) doubled: u8,
}

/// A step that may happen next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Ask(usize),
    Cancel(Ticket),
    /// The device answers the oldest command of this queue.
    Answer(usize),
    /// The device will never answer this command.
    Miss(usize),
    /// The device answers this command, and will answer it once more.
    Double(usize),
    Push(usize),
    /// Time passes until a timer is due.
    Wait,
}

/// A command that the device has not answered.
#[derive(Debug, Clone, Copy)]
struct Command {
    ticket: Ticket,
    frame: Frame,
}

/// The state of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    ticket: Ticket,
    outcomes: u8,
    cancelled: bool,
}

pub(super) type Client = Connection<5, 16, 10, 4>;

#[derive(Debug, Clone)]
pub(super) struct World {
    client: Client,
    now: Instant,
    peer: Peer,
    keys: [Frame; 2],
    budget: Budget,
    /// The unanswered commands of each subsystem, oldest first.
    device: Vec<(u32, VecDeque<Command>)>,
    asked: Vec<Asked>,
    /// The search is outside the assumptions. Then it reports a wrong proof instead of failing.
    outside: bool,
}

/// The true origin of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Answer(Ticket),
    Push,
}

impl World {
    pub(super) fn new(config: Config, peer: Peer, keys: [Frame; 2], budget: Budget) -> Self {
        Self {
            client: Client::new(config),
            now: Instant::from_micros(0),
            peer,
            keys,
            budget,
            device: Vec::new(),
            asked: Vec::new(),
            outside: budget.doubled > 0,
        }
    }

    /// All steps that may happen next.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.budget.requests > 0 {
            steps.extend([Step::Ask(0), Step::Ask(1)]);
        }
        if self.budget.cancels > 0 {
            let open = self.asked.iter().filter(|asked| asked.outcomes == 0 && !asked.cancelled);
            steps.extend(open.map(|asked| Step::Cancel(asked.ticket)));
        }
        for queue in 0..self.device.len() {
            steps.push(Step::Answer(queue));
            if self.budget.missing > 0 {
                steps.push(Step::Miss(queue));
            }
            if self.budget.doubled > 0 {
                steps.push(Step::Double(queue));
            }
        }
        if self.budget.pushes > 0 {
            steps.extend([0, 1].into_iter().filter(|key| self.may_push(*key)).map(Step::Push));
        }
        if self.client.poll_timeout().is_some() {
            steps.push(Step::Wait);
        }
        steps
    }

    /// The assumption: a push of a code that is not pushable carries a mark.
    fn may_push(&self, key: usize) -> bool {
        let Peer { flags_pushes, echoes_tokens, tags_answers, .. } = self.peer;
        let told_apart = flags_pushes || echoes_tokens || tags_answers;
        told_apart || self.client.config().pushable(self.keys[key].code)
    }

    /// Takes the step and returns a description of each received frame.
    pub(super) fn take(&mut self, step: Step) -> Vec<Seen> {
        let mut seen = Vec::new();
        match step {
            Step::Ask(key) => {
                self.budget.requests -= 1;
                self.ask(key);
            }
            Step::Cancel(ticket) => {
                self.budget.cancels -= 1;
                self.client.cancel(self.now, ticket);
                for asked in self.asked.iter_mut().filter(|asked| asked.ticket == ticket) {
                    asked.cancelled = true;
                }
            }
            Step::Answer(queue) => seen.push(self.answer(queue)),
            Step::Miss(queue) => {
                self.budget.missing -= 1;
                self.take_command(queue);
            }
            Step::Double(queue) => {
                self.budget.doubled -= 1;
                let command = *self.device[queue].1.front().unwrap();
                seen.push(self.hear(&answer_to(&command.frame), Truth::Answer(command.ticket)));
            }
            Step::Push(key) => {
                self.budget.pushes -= 1;
                seen.push(self.push(key));
            }
            Step::Wait => self.wait(),
        }
        self.write();
        seen
    }

    fn ask(&mut self, key: usize) -> Ticket {
        let deadline = self.now + Duration::from_millis(3000);
        let ticket = self.client.request(self.now, &self.keys[key], deadline).unwrap();
        self.asked.push(Asked { ticket, outcomes: 0, cancelled: false });
        self.write();
        ticket
    }

    fn wait(&mut self) {
        let (due, _) = self.client.poll_timeout().unwrap();
        self.now = self.now.max(due);
        self.client.handle_timeout(self.now);
        self.write();
    }

    fn take_command(&mut self, queue: usize) -> Command {
        let command = self.device[queue].1.pop_front().unwrap();
        self.device.retain(|(_, commands)| !commands.is_empty());
        command
    }

    fn answer(&mut self, queue: usize) -> Seen {
        let command = self.take_command(queue);
        let seen = self.hear(&answer_to(&command.frame), Truth::Answer(command.ticket));
        self.write();
        seen
    }

    fn push(&mut self, key: usize) -> Seen {
        let mut push = answer_to(&self.keys[key]);
        if self.peer.flags_pushes {
            push.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
        }
        self.hear(&push, Truth::Push)
    }

    /// Passes all frames that the client sends to the device, and takes the events.
    fn write(&mut self) {
        loop {
            while let Some(Event::Ended { ticket, .. }) = self.client.poll_event() {
                self.count_outcome(ticket);
            }
            let Some(Transmit::Bytes(bytes)) = self.client.poll_transmit(self.now) else { break };
            let frame = Frame::decode(bytes).unwrap();
            let ticket = self.client.transmitted(self.now, 128).unwrap();
            let subsystem = if self.peer.strict_order { 0 } else { frame.code.subsystem() };
            let command = Command { ticket, frame };
            match self.device.iter_mut().find(|(of, _)| *of == subsystem) {
                Some((_, queue)) => queue.push_back(command),
                None => self.device.push((subsystem, VecDeque::from(vec![command]))),
            }
        }
    }

    fn count_outcome(&mut self, ticket: Ticket) {
        let asked = self.asked.iter_mut().find(|asked| asked.ticket == ticket);
        let asked = asked.expect("only what was asked has an outcome");
        asked.outcomes += 1;
        assert!(asked.outcomes == 1 && !asked.cancelled, "{ticket:?} has more than one outcome");
    }

    /// The client receives a frame. If its class is proven, its true origin must match.
    fn hear(&mut self, frame: &Frame, truth: Truth) -> Seen {
        let mut frame = *frame;
        if !self.peer.echoes_tokens || truth == Truth::Push {
            frame.int32_data[2] = 0;
        }
        if self.peer.tags_answers && truth != Truth::Push {
            frame.flags = frame.flags.with(Flags::ANSWER_TAG);
        }
        let situation = situation(&self.client, Key::of(&frame));
        let bytes = frame.encode();
        let (consumed, output) = self.client.handle_input(self.now, &bytes);
        let Some(Output::Frame(received)) = output else { panic!("a frame comes out") };
        assert_eq!(consumed, 128);
        let true_owner = |ticket| truth == Truth::Answer(ticket);
        let seen = Seen::new(&received.class, situation, truth);
        match received.class {
            Class::Solicited { ticket, proven } => {
                self.check_proof(!proven || true_owner(ticket), truth, ticket);
                if !ticket.is_fence() {
                    self.count_outcome(ticket);
                }
            }
            Class::Late { ticket, proven } => {
                self.check_proof(!proven || true_owner(ticket), truth, ticket);
            }
            Class::Ambiguous { .. } => {}
            Class::Unsolicited { .. } => {
                let lost = matches!(truth, Truth::Answer(ticket) if self.is_open(ticket));
                assert!(!lost || self.outside, "{truth:?} waits for what is said to be nobody's");
            }
        }
        seen
    }

    fn check_proof(&self, holds: bool, truth: Truth, ticket: Ticket) {
        assert!(holds || self.outside, "proven wrong: {truth:?} for {ticket:?}");
    }

    fn is_open(&self, ticket: Ticket) -> bool {
        let of = self.asked.iter().find(|asked| asked.ticket == ticket);
        of.is_some_and(|asked| asked.outcomes == 0 && !asked.cancelled)
    }

    /// Checks the outcomes in a state without further steps.
    pub(super) fn every_request_has_one_outcome(&self) {
        for asked in &self.asked {
            assert!(asked.cancelled || asked.outcomes == 1, "{asked:?} has no outcome");
        }
    }

    /// Checks that the connection recovers: if the device works from here on, each request gets its
    /// own answer.
    pub(super) fn recovers(mut self) {
        self.budget = Budget { requests: 0, cancels: 0, pushes: 0, missing: 0, doubled: 0 };
        for _ in 0..2 {
            self.settle_down();
            for key in [0, 1] {
                self.ask(key);
                self.settle_down();
            }
        }
        for key in [0, 1] {
            let ticket = self.ask(key);
            let own = loop {
                if let Some(queue) = self.queue_of(ticket) {
                    // The commands before it in its queue are answered first, in order.
                    let command = self.take_command(queue);
                    let frame = answer_to(&command.frame);
                    let seen = self.hear(&frame, Truth::Answer(command.ticket));
                    self.write();
                    if command.ticket == ticket {
                        break seen;
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
        let holds =
            |queue: &VecDeque<Command>| queue.iter().any(|command| command.ticket == ticket);
        self.device.iter().position(|(_, queue)| holds(queue))
    }

    /// The device answers every command, and every grace ends.
    fn settle_down(&mut self) {
        loop {
            while !self.device.is_empty() {
                self.answer(0);
            }
            if self.client.poll_timeout().is_none() {
                return;
            }
            self.wait();
        }
    }

    /// A text that is equal for equal states. Times count from now. It leaves out the counters, the
    /// content of free entries, the position of an entry in the table, and the time of an entry
    /// that does not end by time.
    pub(super) fn fingerprint(&self) -> String {
        let on_the_way: Vec<Vec<Ticket>> = self
            .device
            .iter()
            .map(|(_, queue)| queue.iter().map(|command| command.ticket).collect())
            .collect();
        let waiting: Vec<(Ticket, Key)> = self.client.outbox.waiting();
        let table = &self.client.requests.pending;
        let kept = |entry: &&Entry| entry.state != State::Over || entry.outcome != Outcome::None;
        let mut entries: Vec<Entry> = table.entries.iter().filter(kept).copied().collect();
        entries.sort_by_key(|entry| entry.ticket);
        for entry in entries.iter_mut().filter(|entry| !entry.state.is(States::ENDS_BY_TIME)) {
            entry.until = self.now;
        }
        let pending = format!("{entries:?} {:?} {:?}", table.forgotten, table.long_holds);
        let (now, asked) = (self.now.as_micros(), &self.asked);
        let relative = relative_times(&pending, now);
        format!("{:?} {on_the_way:?} {waiting:?} {asked:?} {relative}", self.budget)
    }
}

fn answer_to(command: &Frame) -> Frame {
    let mut answer = *command;
    answer.status = 1;
    answer
}

/// Replaces each `Instant(n)` by n counted from now.
fn relative_times(debug: &str, now: u64) -> String {
    let mut parts = debug.split("Instant(");
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (number, rest) = part.split_once(')').unwrap();
        let micros: u64 = number.parse().unwrap();
        text.push('@');
        text.push_str(&micros.saturating_sub(now).to_string());
        text.push_str(rest);
    }
    text
}
