//! The clients that receive the answer to a command, and which fields of their command the answer repeats.

use std::iter::Chain;

use flamingo_protocol_core::{CommandCode, Frame, wire::Kind};

use super::ClientId;
use super::permissions::expects_answer;

/// A client that receives the answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recipient {
    pub(super) id: ClientId,
    /// Whether it receives the answer. It does not if it did not ask for one, or if another command
    /// answers it.
    pub(super) awaits: bool,
    /// The command is a part of this HALT of all axes, whose answer waits for the other parts.
    pub(super) halt_all: Option<u64>,
    /// The clientID that it used.
    client_id: i32,
    /// Other fields of its command that were not sent.
    unsent: Option<UnsentFields>,
}

/// The fields of a client's stop that do not go to the instrument, and that the answer repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct UnsentFields {
    code: CommandCode,
    hardware_id: i32,
    int32_data: [i32; 3],
}

impl Recipient {
    pub(super) const fn new(id: ClientId, client_id: i32) -> Self {
        Self { id, awaits: true, halt_all: None, client_id, unsent: None }
    }

    /// The client that has sent this stop.
    pub(super) fn of_stop(id: ClientId, stop: &Frame) -> Self {
        let Frame { code, client_id, hardware_id, int32_data, .. } = *stop;
        let unsent = Some(UnsentFields { code, hardware_id, int32_data });
        // What the instrument answers although no answer is expected belongs to its client.
        let never_expected = code.row().is_some_and(|row| row.kind == Kind::FireAndForget);
        let awaits = never_expected || expects_answer(stop);
        Self { id, awaits, halt_all: None, client_id, unsent }
    }

    /// A frame for this client, such as an answer, with the fields of the client's own command.
    pub(super) fn own(&self, frame: &Frame) -> Frame {
        let own = Frame { client_id: self.client_id, ..*frame };
        match self.unsent {
            Some(UnsentFields { code, hardware_id, int32_data }) => {
                Frame { code, hardware_id, int32_data, ..own }
            }
            None => own,
        }
    }
}

/// The clients that receive the answer to one command. As a rule, it is one client, which needs no memory
/// of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Recipients {
    first: Option<Recipient>,
    /// Empty if there is no first one.
    others: Vec<Recipient>,
}

impl Recipients {
    pub(super) const NONE: Self = Self { first: None, others: Vec::new() };

    pub(super) const fn one(to: Recipient) -> Self {
        Self { first: Some(to), others: Vec::new() }
    }

    pub(super) fn push(&mut self, to: Recipient) {
        match self.first {
            None => self.first = Some(to),
            Some(_) => self.others.push(to),
        }
    }

    pub(super) fn first(&self) -> Option<&Recipient> {
        self.first.as_ref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Recipient> {
        self.into_iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Recipient> {
        self.first.iter_mut().chain(&mut self.others)
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&Recipient) -> bool) {
        self.others.retain(&stays);
        self.first.take_if(|first| !stays(first));
        if self.first.is_none() && !self.others.is_empty() {
            self.first = Some(self.others.remove(0));
        }
    }
}

impl IntoIterator for Recipients {
    type Item = Recipient;
    type IntoIter = Chain<std::option::IntoIter<Recipient>, std::vec::IntoIter<Recipient>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

impl<'a> IntoIterator for &'a Recipients {
    type Item = &'a Recipient;
    type IntoIter = Chain<std::option::Iter<'a, Recipient>, std::slice::Iter<'a, Recipient>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.iter().chain(&self.others)
    }
}
