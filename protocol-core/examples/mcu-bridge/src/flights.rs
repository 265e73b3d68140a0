//! What the host asked and has no outcome yet: what is needed to tell it.

use flamingo_protocol_core::{Frame, Ticket};
use heapless::Vec;

/// A request of the host.
#[derive(Debug, Clone, Copy)]
struct Flight {
    ticket: Ticket,
    command: Frame,
}

/// Room for `N`: as many as the core can have.
#[derive(Debug)]
pub(crate) struct Flights<const N: usize>(Vec<Flight, N>);

impl<const N: usize> Flights<N> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Without room it is forgotten: then its answer is told as it came.
    pub(crate) fn begin(&mut self, ticket: Ticket, command: &Frame) {
        let _ = self.0.push(Flight { ticket, command: *command });
    }

    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.0.iter().any(|flight| flight.ticket == ticket)
    }

    /// It has its outcome.
    pub(crate) fn end(&mut self, ticket: Ticket) -> Option<Frame> {
        let at = self.0.iter().position(|flight| flight.ticket == ticket)?;
        Some(self.0.remove(at).command)
    }
}
