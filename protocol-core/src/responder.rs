//! The device's side of a connection: commands come in, answers and pushes go out.
//!
//! It decides nothing about the instrument. It keeps frames whole, and it knows which commands the
//! protocol answers. The client's side is in `connection/`.

use crate::connection::outbox::{Going, Lane, Outbox, Transmit};
use crate::connection::ticket::Ticket;
use crate::error::Full;
use crate::scanner::{Found, Limits, Scanner};
use crate::wire::command::{CallbackFlag, Kind};
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Flags, Frame};

/// An output: what the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Incoming<'a> {
    /// A command. If `frame.payload_len` is not 0, its payload comes next.
    Command {
        /// The command.
        frame: Frame,
        /// Noise bytes that the responder skipped before this command.
        skipped: u32,
    },
    /// A part of the payload of the last command, borrowed from the input.
    Payload {
        /// The bytes; never empty.
        bytes: &'a [u8],
        /// The number of payload bytes that are still to come. 0 marks the end of the payload.
        remaining: u32,
    },
}

/// Whether the instrument answers this command: the client asked for an answer, or the instrument
/// answers this code always. It never answers unknown codes and fire-and-forget commands.
pub fn is_answered(command: &Frame) -> bool {
    let asked = command.flags.contains(Flags::TRIGGER_CALL_BACK);
    let Some(facts) = CommandFacts::known(command.code) else { return false };
    if facts.kind == Kind::Event {
        return asked && facts.selects(); // a client can ask for some events
    }
    let answered = facts.kind != Kind::FireAndForget;
    answered && (asked || facts.callback != CallbackFlag::Needed)
}

/// The device's side of one connection. It has the same contract as
/// [`Connection`](crate::Connection): bytes in, typed outputs out, no I/O.
///
/// `QUEUE` is the number of frames that can wait to be sent, with the frame that is partly sent. If
/// the queue is full, [`push`](Self::push) returns an error.
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
    /// Creates a device that accepts payloads of up to `payload_limit` bytes.
    #[must_use]
    pub const fn new(payload_limit: u32) -> Self {
        Self {
            scanner: Scanner::NEW,
            limits: Limits { payload: payload_limit, clears_upload_echo: false },
            outbox: Outbox::NEW,
            last_ticket: Ticket::NONE,
        }
    }

    /// Takes bytes up to the end of the next output. Returns the number of consumed bytes and the
    /// output. Call it again with the rest until it consumes everything and returns `None`.
    #[cfg_attr(target_os = "none", inline(never))] // if inlined, a device calls memcpy: 918 bytes more flash
    pub fn handle_input<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Incoming<'a>>) {
        match self.scanner.advance(input, self.limits, |_, _| false) {
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

    /// Discards the unfinished input: a part of a command, which counts as noise, or the rest of a
    /// payload. Returns the number of bytes it held and the number of payload bytes that are
    /// missing.
    ///
    /// Use it on a link that does not report when the peer has gone, such as a UART. Call it when
    /// the peer has been silent for too long.
    pub fn abandon_input(&mut self) -> (usize, u32) {
        self.scanner.abandon()
    }

    /// Queues a frame, an answer or a push. If the frame declares a payload, [`Transmit::Payload`]
    /// asks for it under the returned ticket. The device sends the frames in the order of the
    /// calls.
    ///
    /// # Errors
    /// [`Full::Queue`]: first write what [`Self::poll_transmit`] returns.
    pub fn push(&mut self, frame: &Frame) -> Result<Ticket, Full> {
        let ticket = self.last_ticket.next();
        frame.encode_to(self.outbox.push(Going::frame(ticket, Lane::Queue)).ok_or(Full::Queue)?);
        self.last_ticket = ticket;
        Ok(ticket)
    }

    /// Returns what to write next. After the write, call [`Self::transmitted`] with the number of
    /// written bytes before any other call.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.outbox.poll(|_, _| true)
    }

    /// Reports that `written` bytes of the last [`Self::poll_transmit`] are sent. Returns the
    /// ticket of the frame if these bytes complete it, its payload included.
    pub fn transmitted(&mut self, written: usize) -> Option<Ticket> {
        if written == 0 {
            return None;
        }
        let progress = self.outbox.transmitted(written)?;
        progress.finished.then_some(progress.ticket)
    }

    /// The number of frames that are not completely sent, their payloads included.
    pub fn queued(&self) -> usize {
        self.outbox.taken(Lane::Queue)
    }

    /// The number of bytes skipped because they were not part of a command.
    pub const fn noise_bytes(&self) -> u64 {
        self.scanner.noise_bytes()
    }

    /// The number of bytes of an unfinished command, and the number of missing bytes of a payload.
    pub const fn unfinished(&self) -> (usize, u32) {
        (self.scanner.held(), self.scanner.payload_remaining())
    }
}
