//! The one payload that may be on its way from the host to the instrument. It is kept whole before
//! its frame goes up: if the host stopped in the middle, nothing else could go up behind it, and no
//! HALT either.

use flamingo_protocol_core::{Frame, Ticket};
use heapless::Vec;

/// The longest upload, in bytes. A longer one is refused.
pub const UPLOAD: usize = 4096;

/// What becomes of the payload bytes that the host sends.
#[derive(Debug, Clone, Copy)]
enum Coming {
    /// None are expected.
    Nothing,
    /// They are kept, for this command.
    Kept(Frame),
    /// They are thrown away, and then this command is refused.
    Refused(Frame, &'static str),
    /// They are thrown away: they belong to nothing.
    Ignored,
}

/// How the payload that was coming in has ended.
#[derive(Debug)]
pub(crate) enum Finished {
    /// It is whole: the command may go up.
    Whole(Frame),
    /// The command is to be refused, for this reason.
    Refused(Frame, &'static str),
}

#[derive(Debug)]
pub(crate) struct Upload {
    coming: Coming,
    bytes: Vec<u8, UPLOAD>,
    /// The command whose payload is going up.
    going: Option<Ticket>,
}

impl Upload {
    pub(crate) const fn new() -> Self {
        Self { coming: Coming::Nothing, bytes: Vec::new(), going: None }
    }

    /// This command's payload comes next.
    pub(crate) fn begin(&mut self, frame: &Frame) {
        let length = usize::try_from(frame.payload_len).unwrap_or(usize::MAX);
        self.coming = if length > UPLOAD {
            Coming::Refused(*frame, "upload refused: larger than the bridge may hold")
        } else if self.going.is_some() {
            Coming::Refused(*frame, "upload refused: another one is on its way")
        } else {
            self.bytes.clear();
            Coming::Kept(*frame)
        };
    }

    /// A payload comes that nobody wants.
    pub(crate) fn ignore(&mut self) {
        self.coming = Coming::Ignored;
    }

    /// Some of the payload.
    pub(crate) fn take(&mut self, some: &[u8], remaining: u32) -> Option<Finished> {
        if let Coming::Kept(frame) = self.coming
            && self.bytes.extend_from_slice(some).is_err()
        {
            // It is as long as was declared, so this cannot be; if it were, it would not be whole.
            self.coming = Coming::Refused(frame, "upload refused: longer than it was said to be");
        }
        if remaining > 0 {
            return None;
        }
        self.finish().map(|(frame, why)| match why {
            None => Finished::Whole(frame),
            Some(reason) => Finished::Refused(frame, reason),
        })
    }

    /// The host stopped in the middle of it.
    pub(crate) fn break_off(&mut self) -> Option<Finished> {
        let (frame, _) = self.finish()?;
        Some(Finished::Refused(frame, "upload refused: it broke off"))
    }

    fn finish(&mut self) -> Option<(Frame, Option<&'static str>)> {
        match core::mem::replace(&mut self.coming, Coming::Nothing) {
            Coming::Kept(frame) => Some((frame, None)),
            Coming::Refused(frame, reason) => Some((frame, Some(reason))),
            Coming::Nothing | Coming::Ignored => None,
        }
    }

    /// The command that it belongs to was handed on under that ticket.
    pub(crate) fn goes_up(&mut self, ticket: Ticket) {
        self.going = Some(ticket);
    }

    /// That frame is out, or will never go.
    pub(crate) fn is_out(&mut self, ticket: Ticket) {
        self.going.take_if(|going| *going == ticket);
    }

    /// What is to be written of it next.
    pub(crate) fn from(&self, offset: u32) -> &[u8] {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.bytes.get(offset..).unwrap_or(&[])
    }
}
