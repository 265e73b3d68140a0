//! One state of the model: the real connection, a device that takes any step that the assumptions
//! allow, and the true origin of every frame.
//!
//! What must hold in a state and after a step is in `checks.rs` and `recovery.rs`.

use std::rc::Rc;
use std::vec::Vec;

use super::checks::{Asked, Stop, is_stop};
use super::device::{Command, Device, Peer};
use super::setting::{Ask, Budget, Setting, Step};
use super::situation::{Seen, situation};
use crate::connection::key::Key;
use crate::{Class, Connection, Event, Frame, Output, Ticket, Transmit, time::Instant};

/// How the bytes go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Flows,
    /// The next frame will stand still.
    WillStall,
    Stalls,
}

/// A received frame, and the request that got it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) seen: Seen,
    pub(super) answers: Option<Ticket>,
}

/// The true origin of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Answer(Ticket),
    Push,
}

#[derive(Debug, Clone)]
pub(super) struct World<
    const REQUESTS: usize = 5,
    const OWED: usize = 16,
    const QUEUE: usize = 10,
    const STOPS: usize = 4,
> {
    pub(super) setting: Rc<Setting>,
    pub(super) client: Connection<REQUESTS, OWED, QUEUE, STOPS>,
    pub(super) now: Instant,
    pub(super) budget: Budget,
    pub(super) device: Device,
    pub(super) wire: Wire,
    /// The frame that is partly sent, and the number of its bytes that are not sent.
    pub(super) half_sent: Option<(Frame, usize)>,
    /// What was asked and has no outcome yet, in the order in which it was asked.
    pub(super) asked: Vec<Asked>,
    pub(super) stops: Vec<Stop>,
    /// Answers that came out as unsolicited.
    pub(super) told: Vec<Ticket>,
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize>
    World<REQUESTS, OWED, QUEUE, STOPS>
{
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            client: Connection::new(setting.config),
            now: Instant::from_micros(0),
            budget: setting.budget,
            setting: Rc::new(setting),
            device: Device::default(),
            wire: Wire::Flows,
            half_sent: None,
            asked: Vec::new(),
            stops: Vec::new(),
            told: Vec::new(),
        }
    }

    /// All steps that may happen next.
    pub(super) fn steps(&self) -> Vec<Step> {
        if self.budget.overdue > 0 {
            return [Step::Overdue].into();
        }
        let mut steps = Vec::new();
        for (command, ask) in self.setting.commands.iter().enumerate() {
            let left =
                if ask.patience.is_some() { self.budget.requests } else { self.budget.sends };
            if left > 0 && self.has_room(command) {
                steps.push(Step::Ask(command));
            }
            if self.budget.lost > 0 {
                steps.push(Step::Lose(command));
            }
            if self.budget.pushes > 0 && self.may_push(&ask.frame) {
                steps.push(Step::Push(command));
            }
        }
        if self.budget.cancels > 0 {
            let open = self.asked.iter().filter(|asked| asked.patience.is_some());
            steps.extend(open.map(|asked| Step::Cancel(asked.ticket)));
        }
        for queue in 0..self.device.queues() {
            steps.push(Step::Answer(queue));
            if self.budget.missing > 0 {
                steps.push(Step::Miss(queue));
            }
            if self.budget.doubled > 0 {
                steps.push(Step::Double(queue));
            }
        }
        match self.wire {
            Wire::Flows if self.budget.stalls > 0 => steps.push(Step::Stall),
            Wire::Flows => {}
            Wire::WillStall => steps.push(Step::Flow),
            Wire::Stalls => {
                steps.push(Step::Flow);
                steps.extend(self.half_sent.filter(|(_, left)| *left > 1).map(|_| Step::Drip));
            }
        }
        if self.budget.reconnects > 0 {
            steps.push(Step::Reconnect);
        }
        if self.budget.rounds > 0 {
            steps.extend(self.device.commands().map(|command| Step::Round(command.ticket)));
        }
        if self.client.poll_timeout().is_some() {
            steps.push(Step::Wait);
        }
        steps
    }

    /// The assumption: a push of a code that is not pushable carries a mark.
    fn may_push(&self, command: &Frame) -> bool {
        let Peer { flags_pushes, echoes_tokens, tags_answers, .. } = self.setting.peer;
        let told_apart = flags_pushes || echoes_tokens || tags_answers;
        told_apart || self.client.config().pushable(command.code)
    }

    /// Takes the step and returns a description of each received frame.
    pub(super) fn take(&mut self, step: Step) -> Option<Seen> {
        let mut heard = None;
        match step {
            Step::Ask(command) => {
                let left = match self.setting.commands[command].patience {
                    Some(_) => &mut self.budget.requests,
                    None => &mut self.budget.sends,
                };
                *left -= 1;
                self.ask(command);
            }
            Step::Cancel(ticket) => {
                self.budget.cancels -= 1;
                self.client.cancel(self.now, ticket);
                self.is_cancelled(ticket);
            }
            Step::Answer(queue) => heard = Some(self.answer(queue)),
            Step::Miss(queue) => {
                self.budget.missing -= 1;
                self.device.take(queue);
            }
            Step::Double(queue) => {
                self.budget.doubled -= 1;
                let command = self.device.first(queue);
                heard = Some(self.hear_answer(&command));
            }
            Step::Push(command) => {
                self.budget.pushes -= 1;
                let push = self.setting.peer.push(&self.setting.commands[command].frame);
                heard = Some(self.hear(&push, Truth::Push));
            }
            Step::Lose(command) => {
                self.budget.lost -= 1;
                self.ask(command);
                self.every_timer_ends(|world| world.device = Device::default());
            }
            Step::Overdue => {
                self.ask(usize::from(self.setting.budget.overdue - self.budget.overdue));
                self.budget.overdue -= 1;
                self.every_timer_ends(|_| {});
            }
            Step::Stall => {
                self.budget.stalls -= 1;
                self.wire = Wire::WillStall;
            }
            Step::Drip => {
                let (_, left) = self.half_sent.unwrap();
                self.write_some(left - 1);
            }
            Step::Flow => self.wire = Wire::Flows,
            Step::Reconnect => self.reconnect(),
            Step::Round(ticket) => {
                self.budget.rounds -= 1;
                let last = Ticket::from_number(ticket.number() + (1 << 24) - 1);
                self.client = self.client.clone().starting_after(last);
            }
            Step::Wait => self.wait(),
        }
        self.write();
        heard.map(|heard| heard.seen)
    }

    /// A device that repeats tokens may still answer what the connection before has asked.
    fn reconnect(&mut self) {
        self.budget.reconnects -= 1;
        self.client.handle_eof();
        self.write();
        self.every_request_has_one_outcome();
        let client = Connection::new(self.setting.config);
        self.client = client.starting_after(self.client.last_ticket());
        (self.half_sent, self.wire) = (None, Wire::Flows);
        self.stops.clear();
        if self.setting.config.tokens.is_none() {
            self.device = Device::default();
        }
    }

    /// Whether the connection takes this command now.
    pub(super) fn has_room(&self, command: usize) -> bool {
        let Ask { frame, patience } = self.setting.commands[command];
        patience.is_none() || self.client.clone().request(self.now, &frame, self.now).is_ok()
    }

    pub(super) fn ask(&mut self, command: usize) -> Ticket {
        let ask = self.setting.commands[command];
        self.ask_for(ask)
    }

    pub(super) fn ask_for(&mut self, Ask { frame, patience }: Ask) -> Ticket {
        let ticket = match patience {
            Some(patience) => self.client.request(self.now, &frame, self.now + patience),
            None => self.client.send(self.now, &frame),
        };
        let ticket = ticket.unwrap();
        self.asked.push(Asked::new(ticket, frame, patience, self.now, &self.setting.config));
        if is_stop(frame.code) {
            self.a_stop_waits(ticket);
        }
        self.write();
        self.a_stop_has_cancelled(ticket, &frame);
        ticket
    }

    pub(super) fn end_timers(&mut self) {
        let (due, _) = self.client.poll_timeout().unwrap();
        self.now = self.now.max(due);
        self.client.handle_timeout(self.now);
    }

    pub(super) fn wait(&mut self) {
        self.end_timers();
        self.write();
        self.nothing_is_overdue();
    }

    pub(super) fn answer(&mut self, queue: usize) -> Heard {
        let command = self.device.take(queue);
        let heard = self.hear_answer(&command);
        self.write();
        heard
    }

    fn hear_answer(&mut self, command: &Command) -> Heard {
        let answer = self.setting.peer.answer(&command.frame);
        self.hear(&answer, Truth::Answer(command.ticket))
    }

    /// Passes the frames that the client sends to the device, and takes the events.
    pub(super) fn write(&mut self) {
        loop {
            while let Some(event) = self.client.poll_event() {
                match event {
                    Event::Ended { ticket, ended } => self.has_ended(ticket, ended),
                    Event::StopBlocked => self.a_stop_is_told_blocked(),
                    _ => {}
                }
            }
            if self.wire == Wire::WillStall && self.write_some(1) {
                self.wire = Wire::Stalls;
            }
            if self.wire != Wire::Flows || !self.write_some(usize::MAX) {
                return;
            }
        }
    }

    /// Writes at most `most` bytes. Returns whether there was anything to write.
    pub(super) fn write_some(&mut self, most: usize) -> bool {
        let starts = self.half_sent.is_none();
        let (frame, left, shown) = match (self.client.poll_transmit(self.now), self.half_sent) {
            (None, _) => return false,
            (Some(Transmit::Bytes(bytes)), None) => {
                let frame = Frame::decode(bytes).unwrap();
                (frame, bytes.len() + frame.payload_len as usize, bytes.len())
            }
            (Some(Transmit::Bytes(bytes)), Some((frame, left))) => (frame, left, bytes.len()),
            (Some(Transmit::Payload { remaining, .. }), begun) => {
                let (frame, left) = begun.expect("the payload follows its frame");
                (frame, left, remaining as usize)
            }
        };
        let written = shown.min(most);
        self.half_sent = Some((frame, left - written));
        let finished = self.client.transmitted(self.now, written);
        assert_eq!(finished.is_some(), left == written);
        if starts {
            self.has_started(&frame);
        }
        if let Some(ticket) = finished {
            self.half_sent = None;
            self.has_gone_out(ticket);
            let command = Command { ticket, frame, arrived: self.now };
            self.device.receive(self.setting.peer.keeps, command);
        }
        true
    }

    /// The client receives a frame. If its class is proven, its true origin must match.
    pub(super) fn hear(&mut self, frame: &Frame, truth: Truth) -> Heard {
        let situation = situation(&self.client, Key::of(frame));
        let bytes = frame.encode();
        let (consumed, output) = self.client.handle_input(self.now, &bytes);
        let Some(Output::Frame(received)) = output else { panic!("a frame comes out") };
        assert_eq!(consumed, 128);
        let told_before = matches!(truth, Truth::Answer(of) if self.told.contains(&of));
        let seen = Seen::new(&received.class, situation, truth, told_before);
        if let (Class::Unsolicited { .. }, Truth::Answer(of)) = (&received.class, truth) {
            self.told.push(of);
        }
        let answers = self.check_class(&received, truth);
        Heard { seen, answers }
    }
}
