//! The commands of one client that wait for the instrument, in order, and what is counted of them. Which of
//! them has its turn is in `turns.rs`.

use std::collections::VecDeque;

use super::client::Command;
use super::permissions::is_answered_at_end;

/// The commands of one client that were accepted and not forwarded yet.
#[derive(Debug, Default)]
pub(super) struct WaitingCommands {
    commands: VecDeque<Command>,
    /// How many of them are answered at the end of a motion.
    answered_at_end: usize,
    /// The bytes of their payloads.
    payload_bytes: usize,
}

impl WaitingCommands {
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(super) fn front(&self) -> Option<&Command> {
        self.commands.front()
    }

    pub(super) fn get(&self, position: usize) -> Option<&Command> {
        self.commands.get(position)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter()
    }

    /// Whether one of them is answered at the end of a motion.
    pub(super) fn have_answer_at_end(&self) -> bool {
        self.answered_at_end > 0
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    pub(super) fn push_back(&mut self, command: Command) {
        self.insert(self.commands.len(), command);
    }

    pub(super) fn push_front(&mut self, command: Command) {
        self.insert(0, command);
    }

    pub(super) fn insert(&mut self, position: usize, command: Command) {
        self.answered_at_end += usize::from(is_answered_at_end(&command.frame));
        self.payload_bytes += command.payload.len();
        self.commands.insert(position.min(self.commands.len()), command);
    }

    pub(super) fn remove(&mut self, position: usize) -> Option<Command> {
        let command = self.commands.remove(position)?;
        self.forget(&command);
        Some(command)
    }

    /// Takes out the commands for which `takes` is true, in order.
    pub(super) fn take_if(&mut self, takes: impl Fn(&Command) -> bool) -> VecDeque<Command> {
        if !self.commands.iter().any(&takes) {
            return VecDeque::new();
        }
        let (taken, kept) = std::mem::take(&mut self.commands).into_iter().partition(takes);
        self.commands = kept;
        for command in &taken {
            self.forget(command);
        }
        taken
    }

    fn forget(&mut self, command: &Command) {
        self.answered_at_end -= usize::from(is_answered_at_end(&command.frame));
        self.payload_bytes -= command.payload.len();
    }
}
