//! Queries that go to the instrument in one write. A stop, a command that acts and a payload are never in a
//! batch: until their first byte is written, a stop can still cancel them or go before them. What a batch
//! holds counts as begun: a stop waits until it is written, as it waits for what the socket holds.

use std::collections::VecDeque;

use flamingo_protocol_core::{Frame, Ticket, Transmit, time::Instant, wire::FRAME_LEN};

use super::Router;
use super::instrument::may_wait_for_next_link;

/// The most queries in one write: 2 KiB, which is little beside what the socket holds.
const MAX_QUERIES: usize = 16;

/// Whole queries that the core counts as sent, and that are not written whole.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// The bytes that were written.
    written: usize,
    /// The commands whose last byte was not written.
    tickets: VecDeque<Ticket>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// The bytes that were not written.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Whether a part of this command was not written.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.tickets.contains(&ticket)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.tickets.clear();
        self.written = 0;
    }

    fn push(&mut self, frame: &[u8; FRAME_LEN], ticket: Ticket) {
        self.bytes.extend_from_slice(frame);
        self.tickets.push_back(ticket);
    }

    /// Takes the next command whose last byte is among those that were written.
    fn next_written(&mut self) -> Option<Ticket> {
        let left = self.bytes.len() - self.written;
        if self.tickets.len() * FRAME_LEN < left + FRAME_LEN {
            return None;
        }
        self.tickets.pop_front()
    }
}

impl Router {
    /// Puts the queries that go out next into the batch, if it is empty.
    pub(super) fn fill_batch(&mut self, now: Instant) {
        if !self.batch.is_empty() {
            return;
        }
        self.batch.clear();
        while self.batch.tickets.len() < MAX_QUERIES {
            let Some(core) = self.core.as_mut() else { return };
            let Some(Transmit::Bytes(bytes)) = core.poll_transmit(now) else { return };
            let Ok(bytes) = <[u8; FRAME_LEN]>::try_from(bytes) else { return };
            if !Frame::decode(&bytes).is_ok_and(|frame| may_wait_for_next_link(&frame)) {
                return;
            }
            // A whole frame without a payload always has a ticket. The number 0 names no command.
            let ticket = core.transmitted(now, FRAME_LEN);
            let ticket = ticket.unwrap_or_else(|| Ticket::from_number(0));
            self.batch.push(&bytes, ticket);
            self.let_next_follow(ticket);
            self.forward_waiting(now);
        }
    }

    /// `count` bytes of the batch were written.
    pub(super) fn wrote_batch(&mut self, now: Instant, count: usize) {
        self.batch.written = (self.batch.written + count).min(self.batch.bytes.len());
        let mut any = false;
        while let Some(ticket) = self.batch.next_written() {
            self.command_written(now, ticket);
            any = true;
        }
        if any {
            self.forward_waiting(now);
        }
    }

    /// The next commands of the clients of this command may follow.
    fn let_next_follow(&mut self, ticket: Ticket) {
        let Some(command) = self.forwarded.get(&ticket) else { return };
        for to in &command.recipients {
            if let Some(client) = self.clients.get_mut(&to.id) {
                client.being_written.take_if(|written| *written == ticket);
            }
        }
    }
}
