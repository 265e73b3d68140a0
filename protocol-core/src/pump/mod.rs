//! The trait [`Endpoint`]: either side of a control connection, as a pump uses it. The pumps are in
//! `blocking.rs` and `asynchronous.rs`, their error in `error.rs`.

#[cfg(feature = "embedded-io-async")]
pub mod asynchronous;
#[cfg(feature = "embedded-io")]
pub mod blocking;
#[cfg(any(feature = "embedded-io", feature = "embedded-io-async"))]
mod error;

#[cfg(any(feature = "embedded-io", feature = "embedded-io-async"))]
pub use error::PumpError;

use crate::connection::Connection;
use crate::connection::config::ConfigSource;
use crate::connection::outbox::Transmit;
use crate::connection::output::Output;
use crate::connection::ticket::Ticket;
use crate::responder::{Incoming, Responder};
use crate::time::Instant;

/// The common methods of [`Connection`] and [`Responder`]: bytes in, typed outputs out, bytes out.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame, Responder, pump::Endpoint, time::Instant};
/// let mut device = Responder::<4>::default();
/// let bytes = Frame::command(CommandCode::SYSTEM_STATE_GET).encode();
/// let mut commands = 0;
/// device.deliver(Instant::from_micros(0), &bytes, |_| commands += 1);
/// assert_eq!(commands, 1);
/// ```
pub trait Endpoint {
    /// The type of an output. It may borrow from the input bytes.
    type Output<'a>;

    /// Takes bytes up to the end of the next output. Returns the number of consumed bytes and the
    /// output. If it returns `None`, it has consumed all of `input`.
    fn handle_input<'a>(
        &mut self,
        now: Instant,
        input: &'a [u8],
    ) -> (usize, Option<Self::Output<'a>>);

    /// Returns what to write next.
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>>;

    /// Reports that `written` bytes of the last [`Self::poll_transmit`] are sent. Returns the
    /// ticket of the frame if these bytes complete it.
    fn transmitted(&mut self, now: Instant, written: usize) -> Option<Ticket>;

    /// Reports that the peer will send nothing more. Returns the number of bytes of an incomplete
    /// frame, and the number of missing bytes of a payload.
    fn handle_eof(&mut self) -> (usize, u32);

    /// Takes all of `input` and passes each output to `each`, in order.
    fn deliver<'a>(
        &mut self,
        now: Instant,
        mut input: &'a [u8],
        mut each: impl FnMut(Self::Output<'a>),
    ) {
        while let (consumed, Some(output)) = self.handle_input(now, input) {
            each(output);
            input = input.get(consumed..).unwrap_or(&[]);
        }
    }
}

impl<
    const REQUESTS: usize,
    const OWED: usize,
    const QUEUE: usize,
    const STOPS: usize,
    C: ConfigSource,
> Endpoint for Connection<REQUESTS, OWED, QUEUE, STOPS, C>
{
    type Output<'a> = Output<'a>;

    fn handle_input<'a>(&mut self, now: Instant, input: &'a [u8]) -> (usize, Option<Output<'a>>) {
        self.handle_input(now, input)
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        self.poll_transmit(now)
    }

    fn transmitted(&mut self, now: Instant, written: usize) -> Option<Ticket> {
        self.transmitted(now, written)
    }

    fn handle_eof(&mut self) -> (usize, u32) {
        self.handle_eof()
    }
}

impl<const QUEUE: usize> Endpoint for Responder<QUEUE> {
    type Output<'a> = Incoming<'a>;

    fn handle_input<'a>(&mut self, _: Instant, input: &'a [u8]) -> (usize, Option<Incoming<'a>>) {
        self.handle_input(input)
    }

    fn poll_transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
        self.poll_transmit()
    }

    fn transmitted(&mut self, _: Instant, written: usize) -> Option<Ticket> {
        self.transmitted(written)
    }

    /// Nothing ends: a client that sends nothing more may still read its answers.
    fn handle_eof(&mut self) -> (usize, u32) {
        self.unfinished()
    }
}
