//! One turn of the engine on a non-blocking socket: the rules of reading and writing that hold on
//! any runtime. Waiting between two turns is the runtime's part.

use std::io::{ErrorKind, Read, Write};

use flamingo_protocol_core::time::Instant;

use super::engine::Engine;
use crate::clock::Clock;

/// Bytes that are read in one go.
pub const READ_CHUNK: usize = 64 * 1024;
/// Bytes that are written at most before the socket is read again.
const WRITE_CHUNK: usize = 256 * 1024;
/// Reads after which all that had arrived is out of the socket's receive buffer.
const READS_OF_ALL: usize = 64;

/// What a turn has left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Turn {
    /// Something was done and there may be more: take the next turn without waiting, but let other
    /// tasks run first.
    pub busy: bool,
    /// Bytes wait until the socket can be written.
    pub wants_write: bool,
}

/// Does what can be done at once: takes calls, reads, ends what is due, writes. Reads and writes take
/// turns, so neither can keep the other waiting.
///
/// `socket` does not block; `None` while there is no connection. `buffer` is where bytes are read to;
/// [`READ_CHUNK`] is a good length for it.
pub fn turn<S: Read + Write>(
    engine: &mut Engine,
    socket: Option<S>,
    clock: &Clock,
    buffer: &mut [u8],
) -> Turn {
    let more_calls = engine.take_calls(clock.now());
    let mut round = Round { engine, clock, buffer };
    let (mut read, mut wrote, mut wants_write) = (false, false, false);
    let mut socket = socket;
    if let Some(socket) = &mut socket {
        read = round.read(socket);
    }
    let now = clock.now();
    let expired = round.engine.poll_timeout().is_some_and(|due| due <= now);
    if expired {
        // What arrived while the host was slow, or asleep, is in time.
        if let Some(socket) = &mut socket {
            round.read_all(socket);
        }
        round.engine.handle_timeout(now);
    }
    // Last: an answer, an outcome or the end of a grace time may let a waiting frame go.
    if let Some(socket) = &mut socket {
        (wrote, wants_write) = round.write(socket);
    }
    let busy = more_calls || read || expired || wrote || engine.has_action();
    Turn { busy, wants_write }
}

struct Round<'a> {
    engine: &'a mut Engine,
    clock: &'a Clock,
    buffer: &'a mut [u8],
}

impl Round<'_> {
    /// Reads once. Returns whether anything came.
    fn read(&mut self, socket: &mut impl Read) -> bool {
        let result = socket.read(self.buffer);
        let now = self.clock.now();
        match result {
            Ok(0) => self.engine.disconnected(now, "the peer closed it"),
            Ok(count) => {
                self.engine.handle_input(now, Clock::wall(), &self.buffer[..count]);
                return true;
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                _ => self.engine.disconnected(now, &error.to_string()),
            },
        }
        false
    }

    /// Reads all that has arrived so far, and not much more: no peer can keep this going.
    fn read_all(&mut self, socket: &mut impl Read) {
        for _ in 0..READS_OF_ALL {
            if !self.read(socket) {
                break;
            }
        }
    }

    /// Writes until nothing is left, the socket is full, or it is time to read. Returns whether there
    /// may be more to write, and whether that waits for the socket.
    fn write(&mut self, socket: &mut (impl Read + Write)) -> (bool, bool) {
        let mut budget = WRITE_CHUNK;
        while budget > 0 {
            let now: Instant = self.clock.now();
            let Some(bytes) = self.engine.poll_transmit(now) else { return (false, false) };
            let shown = &bytes[..budget.min(bytes.len())];
            let failed = match socket.write(shown) {
                Ok(0) => "it takes no more bytes".into(),
                Ok(written) => {
                    budget -= written;
                    self.engine.transmitted(now, written);
                    continue;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return (false, true),
                    ErrorKind::Interrupted => continue,
                    _ => error.to_string(),
                },
            };
            // What the peer said before it went is still there.
            self.read_all(socket);
            self.engine.disconnected(now, &failed);
        }
        (true, false)
    }
}
