//! The device of the model: what it is like, and the commands that it has not answered.
//!
//! It answers at any time, in any order that [`Keeps`] allows, or never. The steps are in
//! `world.rs`.

use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use crate::wire::command::Timing;
use crate::wire::facts::CommandFacts;
use crate::{
    Flags, Frame, Ticket,
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
    pub(super) keeps: Keeps,
}

/// Which answers keep the order of their commands. The answer at the end of a motion keeps none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    Subsystem,
    Connection,
    Nothing,
}

/// A command that the device has not answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command {
    pub(super) ticket: Ticket,
    pub(super) frame: Frame,
    pub(super) arrived: Instant,
}

/// The unanswered commands, in queues: each queue is answered in order. A queue is never empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Device {
    queues: Vec<(u32, VecDeque<Command>)>,
}

impl Device {
    pub(super) fn receive(&mut self, keeps: Keeps, command: Command) {
        let facts = CommandFacts::of(command.frame.code);
        let own = 0x100_0000 | command.ticket.number();
        let queue = match keeps {
            _ if facts.timing == Timing::AtEnd => own,
            Keeps::Subsystem => command.frame.code.subsystem(),
            Keeps::Connection => 0,
            Keeps::Nothing => own,
        };
        match self.queues.iter_mut().find(|(of, _)| *of == queue) {
            Some((_, commands)) => commands.push_back(command),
            None => self.queues.push((queue, VecDeque::from(vec![command]))),
        }
    }

    /// The number of queues.
    pub(super) fn queues(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn queue(&self, queue: usize) -> impl Iterator<Item = &Command> {
        self.queues[queue].1.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    pub(super) fn commands(&self) -> impl Iterator<Item = &Command> {
        self.queues.iter().flat_map(|(_, commands)| commands)
    }

    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.commands().any(|command| command.ticket == ticket)
    }

    /// The oldest command of a queue.
    pub(super) fn first(&self, queue: usize) -> Command {
        self.queues[queue].1[0]
    }

    pub(super) fn take(&mut self, queue: usize) -> Command {
        let command = self.queues[queue].1.pop_front().unwrap();
        self.queues.retain(|(_, commands)| !commands.is_empty());
        command
    }

    /// This command will never be answered.
    pub(super) fn lose(&mut self, ticket: Ticket) {
        for (_, commands) in &mut self.queues {
            commands.retain(|command| command.ticket != ticket);
        }
        self.queues.retain(|(_, commands)| !commands.is_empty());
    }

    /// This command will be answered so much later.
    pub(super) fn delay(&mut self, ticket: Ticket, by: Duration) {
        for command in self.queues.iter_mut().flat_map(|(_, commands)| commands) {
            if command.ticket == ticket {
                command.arrived = command.arrived + by;
            }
        }
    }

    /// When a device that answers after `round_trip`, and since `healthy`, answers next, and from
    /// which queue.
    pub(super) fn next_answer(
        &self,
        healthy: Instant,
        round_trip: Duration,
    ) -> Option<(Instant, usize)> {
        let due = |(queue, (_, commands)): (usize, &(u32, VecDeque<Command>))| {
            (commands[0].arrived.max(healthy) + round_trip, queue)
        };
        self.queues.iter().enumerate().map(due).min()
    }

    /// The tickets of each queue, in an order that does not depend on the past.
    pub(super) fn tickets(&self) -> Vec<Vec<Ticket>> {
        let of = |(_, commands): &(u32, VecDeque<Command>)| {
            commands.iter().map(|command| command.ticket).collect()
        };
        let mut tickets: Vec<Vec<Ticket>> = self.queues.iter().map(of).collect();
        tickets.sort();
        tickets
    }
}

pub(super) fn answer_to(command: &Frame) -> Frame {
    let mut answer = *command;
    answer.status = 1;
    answer
}

impl Peer {
    /// A push of the code of `command`.
    pub(super) fn push(self, command: &Frame) -> Frame {
        let mut push = answer_to(command);
        push.int32_data[2] = 0;
        if self.flags_pushes {
            push.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
        }
        push
    }

    /// The answer to `command`.
    pub(super) fn answer(self, command: &Frame) -> Frame {
        let mut answer = answer_to(command);
        if !self.echoes_tokens {
            answer.int32_data[2] = 0;
        }
        if self.tags_answers {
            answer.flags = answer.flags.with(Flags::ANSWER_TAG);
        }
        answer
    }
}
