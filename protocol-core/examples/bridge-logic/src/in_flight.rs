//! The requests of the host that have no outcome yet. Their answers need fields of the commands.

use flamingo_protocol_core::{Frame, Ticket};
use heapless::Vec;

/// One request of the host.
#[derive(Debug, Clone, Copy)]
struct Request {
    ticket: Ticket,
    command: Frame,
}

/// Up to `N` requests. `N` is the number that the connection can have.
#[derive(Debug)]
pub(crate) struct InFlight<const N: usize>(Vec<Request, N>);

impl<const N: usize> InFlight<N> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a request. There is room for every request that the connection accepts.
    pub(crate) fn insert(&mut self, ticket: Ticket, command: &Frame) {
        let _ = self.0.push(Request { ticket, command: *command });
    }

    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.0.iter().any(|request| request.ticket == ticket)
    }

    /// Removes a request that has its outcome, and returns its command.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Frame> {
        let at = self.0.iter().position(|request| request.ticket == ticket)?;
        Some(self.0.remove(at).command)
    }

    /// Removes any request.
    pub(crate) fn pop(&mut self) -> Option<(Ticket, Frame)> {
        self.0.pop().map(|request| (request.ticket, request.command))
    }
}
