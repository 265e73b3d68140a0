//! The calls that are counted. Each function makes one call of the core. `black_box` and
//! `inline(never)` keep the optimiser from merging it with the code around it and from using its
//! arguments.

use core::hint::black_box;

use flamingo_protocol_core::{
    Config, Connection, Frame, Output, Ticket, Transmit,
    connection::ConfigSource,
    error::{CommandError, DecodeError},
    time::{Duration, Instant},
    wire::{Assembler, FRAME_LEN, Piece},
};

/// Settings that are known at compile time, as in a firmware.
#[derive(Default)]
pub struct Instrument;

impl ConfigSource for Instrument {
    fn config(&self) -> &Config {
        const { &Config::DEFAULT }
    }
}

/// The client's side with four requests in flight.
pub type Client = Connection<4, 12, 9, 4, Instrument>;

#[inline(never)]
pub fn decode(bytes: &[u8]) -> Result<Frame, DecodeError> {
    Frame::decode(black_box(bytes))
}

#[inline(never)]
pub fn encode(frame: &Frame) -> [u8; FRAME_LEN] {
    black_box(frame).encode()
}

#[inline(never)]
pub fn push<'a>(assembler: &mut Assembler, bytes: &'a [u8]) -> (usize, Option<Piece<'a>>) {
    black_box(assembler).push(black_box(bytes))
}

#[inline(never)]
pub fn handle_input<'a>(
    client: &mut Client,
    now: Instant,
    bytes: &'a [u8],
) -> (usize, Option<Output<'a>>) {
    black_box(client).handle_input(now, black_box(bytes))
}

#[inline(never)]
pub fn request(client: &mut Client, now: Instant, query: &Frame) -> Result<Ticket, CommandError> {
    let deadline = now + Duration::from_millis(500);
    black_box(client).request(now, black_box(query), deadline)
}

/// Writes all frames that may go out. Returns the last ticket that is completely sent.
#[inline(never)]
pub fn write_all(client: &mut Client, now: Instant) -> Option<Ticket> {
    let client = black_box(client);
    let mut last = None;
    while let Some(Transmit::Bytes(bytes)) = client.poll_transmit(now) {
        let written = black_box(bytes).len();
        last = client.transmitted(now, written).or(last);
    }
    last
}
