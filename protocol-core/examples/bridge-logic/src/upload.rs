//! The upload from the host to the instrument; there is at most one. Its whole payload is stored
//! before its frame is sent. Otherwise a host that stops in the middle would block every later
//! command, even a HALT.

use flamingo_protocol_core::{Frame, Ticket};
use heapless::Vec;

/// The longest upload, in bytes. A longer one is refused.
pub const MAX_UPLOAD: usize = 4096;

/// The use of the payload bytes that the host sends.
#[derive(Debug, Clone, Copy)]
enum State {
    /// No payload is expected.
    Idle,
    /// They are stored for this command.
    Stored(Frame),
    /// They are discarded. At their end this command is refused.
    Refused(Frame, &'static str),
    /// They are discarded. No answer follows.
    Discarded,
}

/// How an upload ended.
#[derive(Debug)]
pub(crate) enum Finished {
    /// The payload is complete: the command can be sent.
    Complete(Frame),
    /// The command must be refused, for this reason.
    Refused(Frame, &'static str),
}

#[derive(Debug)]
pub(crate) struct Upload {
    state: State,
    bytes: Vec<u8, MAX_UPLOAD>,
    /// The command whose payload is being sent.
    sending: Option<Ticket>,
}

impl Upload {
    pub(crate) const fn new() -> Self {
        Self { state: State::Idle, bytes: Vec::new(), sending: None }
    }

    /// The payload of this command follows.
    pub(crate) fn begin(&mut self, frame: &Frame) {
        let length = usize::try_from(frame.payload_len).unwrap_or(usize::MAX);
        self.state = if length > MAX_UPLOAD {
            State::Refused(*frame, "upload refused: larger than the bridge may hold")
        } else if self.sending.is_some() {
            State::Refused(*frame, "upload refused: another one is on its way")
        } else {
            self.bytes.clear();
            State::Stored(*frame)
        };
    }

    /// A payload follows that must be discarded.
    pub(crate) fn discard(&mut self) {
        self.state = State::Discarded;
    }

    /// Takes payload bytes. Returns the upload when it has ended.
    pub(crate) fn receive(&mut self, bytes: &[u8], remaining: u32) -> Option<Finished> {
        if let State::Stored(frame) = self.state
            && self.bytes.extend_from_slice(bytes).is_err()
        {
            // The core gives no more bytes than declared, so this cannot happen.
            self.state = State::Refused(frame, "upload refused: longer than it had declared");
        }
        if remaining > 0 {
            return None;
        }
        self.finish().map(|(frame, refusal)| match refusal {
            None => Finished::Complete(frame),
            Some(reason) => Finished::Refused(frame, reason),
        })
    }

    /// The host stopped in the middle of the payload.
    pub(crate) fn abandon(&mut self) -> Option<Finished> {
        let (frame, _) = self.finish()?;
        Some(Finished::Refused(frame, "upload refused: it broke off"))
    }

    fn finish(&mut self) -> Option<(Frame, Option<&'static str>)> {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Stored(frame) => Some((frame, None)),
            State::Refused(frame, reason) => Some((frame, Some(reason))),
            State::Idle | State::Discarded => None,
        }
    }

    /// The connection has accepted the command of the upload under this ticket.
    pub(crate) fn begin_sending(&mut self, ticket: Ticket) {
        self.sending = Some(ticket);
    }

    /// The frame with this ticket was sent, or will not be sent.
    pub(crate) fn end_sending(&mut self, ticket: Ticket) {
        self.sending.take_if(|sending| *sending == ticket);
    }

    /// The payload from `offset` on.
    pub(crate) fn bytes_from(&self, offset: u32) -> &[u8] {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.bytes.get(offset..).unwrap_or(&[])
    }
}
