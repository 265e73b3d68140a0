//! The device's side of a connection: commands come in, answers and pushes go out.
//!
//! It decides nothing about the instrument; it keeps frames whole and answers only what the
//! protocol answers. The client's side is `connection.rs`.

use crate::connection::outbox::{Going, Lane, Outbox, Transmit};
use crate::connection::ticket::Ticket;
use crate::error::Full;
use crate::scanner::{Found, Limits, Scanner};
use crate::wire::command::{CallbackFlag, Kind};
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Flags, Frame};

/// What a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Incoming<'a> {
    /// A command. If `frame.payload_len` is not 0, its payload comes next.
    Command {
        /// The command.
        frame: Frame,
        /// Bytes that were skipped as noise before it.
        skipped: u32,
    },
    /// Some of the payload of the last command, lent from the input.
    Payload {
        /// The bytes; never empty.
        bytes: &'a [u8],
        /// How many are still to come; 0 ends the payload.
        remaining: u32,
    },
}

/// Whether the instrument answers this command at all: it was asked to, or answers anyway.
/// Unknown codes and fire-and-forget commands are never answered.
pub fn is_answered(command: &Frame) -> bool {
    let asked = command.flags.contains(Flags::TRIGGER_CALL_BACK);
    let Some(facts) = CommandFacts::known(command.code) else { return false };
    if facts.kind == Kind::Event {
        return asked && facts.selects(); // some events can be asked for
    }
    let answered = facts.kind != Kind::FireAndForget;
    answered && (asked || facts.callback != CallbackFlag::Needed)
}

/// The device's side of one connection, with the same contract as
/// [`Connection`](crate::Connection): bytes in, typed outputs out, no I/O.
///
/// `QUEUE` frames may be on their way out, the one that is half out included; full is an error of
/// the call.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame, Incoming, Responder, Transmit};
/// let mut device = Responder::<8>::default();
/// let query = Frame::command(CommandCode::SYSTEM_STATE_GET).encode();
/// let (_, Some(Incoming::Command { frame, .. })) = device.handle_input(&query) else { panic!() };
/// let mut answer = frame; // an answer is the command, with its result filled in
/// answer.status = 1;
/// answer.int32_data[0] = CommandCode::SYSTEM_STATE_IDLE.0 as i32;
/// device.push(&answer)?;
/// assert!(matches!(device.poll_transmit(), Some(Transmit::Bytes(bytes)) if bytes.len() == 128));
/// # Ok::<(), flamingo_protocol_core::error::Full>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Responder<const QUEUE: usize = 16> {
    scanner: Scanner,
    limits: Limits,
    outbox: Outbox<QUEUE>,
    last_ticket: Ticket,
}

impl<const QUEUE: usize> Default for Responder<QUEUE> {
    fn default() -> Self {
        Self::new(crate::wire::layout::MAX_PAYLOAD)
    }
}

impl<const QUEUE: usize> Responder<QUEUE> {
    /// A device that takes payloads of up to `payload_limit` bytes.
    #[must_use]
    pub const fn new(payload_limit: u32) -> Self {
        Self {
            scanner: Scanner::NEW,
            limits: Limits { payload: payload_limit, clears_upload_echo: false },
            outbox: Outbox::NEW,
            last_ticket: Ticket::NONE,
        }
    }

    /// Takes bytes up to the end of the next output. Call it again with what was not consumed,
    /// until it consumes everything and gives nothing.
    #[inline(never)] // inlined, a device calls memcpy: 918 bytes more flash
    pub fn handle_input<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Incoming<'a>>) {
        match self.scanner.advance(input, self.limits) {
            (consumed, Some(Found::Frame(found))) => {
                let skipped = found.skipped;
                (consumed, Some(Incoming::Command { frame: found.read(), skipped }))
            }
            (consumed, Some(Found::Payload { bytes, remaining })) => {
                (consumed, Some(Incoming::Payload { bytes, remaining }))
            }
            (consumed, None) => (consumed, None),
        }
    }

    /// Gives up what has begun to come in: half a command, which counts as noise, or the rest of a
    /// payload. Gives how many bytes were held and how many are missing. For a link that does not
    /// tell when the peer has gone, as a UART does not: call it when that was silent for too long.
    pub fn abandon_input(&mut self) -> (usize, u32) {
        self.scanner.abandon()
    }

    /// Queues a frame, answer or push. If it declares a payload, [`Transmit::Payload`] will ask
    /// for it under the ticket. Frames go out in the order they were queued.
    ///
    /// # Errors
    /// [`Full::Queue`]: write what [`Self::poll_transmit`] shows first.
    pub fn push(&mut self, frame: &Frame) -> Result<Ticket, Full> {
        let ticket = self.last_ticket.next();
        let going = Going { ticket, lane: Lane::Queue, query: false, asked: false };
        frame.encode_to(self.outbox.push(going).ok_or(Full::Queue)?);
        self.last_ticket = ticket;
        Ok(ticket)
    }

    /// What to write next. Say with [`Self::transmitted`] how much of it was written before
    /// anything else is called.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.outbox.poll(|_| true)
    }

    /// Says that `written` bytes of what [`Self::poll_transmit`] showed are out. Gives the ticket
    /// of the frame that is out with the last of them, its payload included.
    pub fn transmitted(&mut self, written: usize) -> Option<Ticket> {
        if written == 0 {
            return None;
        }
        let progress = self.outbox.transmitted(written)?;
        progress.finished.then_some(progress.ticket)
    }

    /// Frames that are not wholly out, payload included.
    pub fn queued(&self) -> usize {
        self.outbox.taken(Lane::Queue)
    }

    /// Bytes that were skipped because they were no command.
    pub const fn noise_bytes(&self) -> u64 {
        self.scanner.noise_bytes()
    }

    /// Bytes of an unfinished command, and missing bytes of a payload.
    pub const fn unfinished(&self) -> (usize, u32) {
        (self.scanner.held(), self.scanner.payload_remaining())
    }
}
