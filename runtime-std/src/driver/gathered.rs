//! Queries that go out in one write. What may go, and in which order, is the core's decision. A frame
//! that is gathered counts as sent, so only queries are: a stop can cancel any other command until the
//! first byte of that command is written.

use std::collections::VecDeque;

use flamingo_protocol_core::wire::{FRAME_LEN, Kind};
use flamingo_protocol_core::{Frame, Ticket};

/// Frames that go out in one write at most.
const FRAMES: usize = 64;

/// Frames that have left the core and are not written yet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    /// How many of them are written.
    written: usize,
    /// Where each frame ends.
    ends: VecDeque<(usize, Ticket)>,
}

impl Gathered {
    /// Whether the next bytes that the core gives may be gathered.
    pub(super) fn takes(&self, next: &[u8]) -> bool {
        let asks = |frame: &Frame| frame.code.row().is_some_and(|row| row.kind == Kind::Query);
        let has_room = self.ends.len() < FRAMES && next.len() == FRAME_LEN;
        has_room && Frame::decode(next).is_ok_and(|frame| frame.payload_len == 0 && asks(&frame))
    }

    pub(super) fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
    }

    /// The frame that was pushed last has this ticket.
    pub(super) fn end_frame(&mut self, ticket: Ticket) {
        self.ends.push_back((self.bytes.len(), ticket));
    }

    /// What is to be written.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or(&[])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// This many bytes more are written.
    pub(super) fn written(&mut self, count: usize) {
        self.written += count;
    }

    /// The next frame that is written, but for those that were returned before.
    pub(super) fn next_written(&mut self) -> Option<Ticket> {
        let (end, ticket) = *self.ends.front()?;
        if end > self.written {
            return None;
        }
        self.ends.pop_front();
        if self.ends.is_empty() {
            self.clear();
        }
        Some(ticket)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.written = 0;
    }
}
