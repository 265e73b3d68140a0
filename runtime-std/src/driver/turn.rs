//! One turn of the engine on a non-blocking socket: the rules of reading and writing that hold on
//! any runtime. Who takes a turn, and when, is `link.rs`.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll, Waker};

use flamingo_protocol_core::time::Instant;

use super::engine::Engine;
use super::link::Socket;
use crate::clock::Clock;

/// Bytes that are read in one go.
pub const READ_CHUNK: usize = 64 * 1024;
/// Bytes that are written at most before the socket is read again.
const WRITE_CHUNK: usize = 256 * 1024;
/// Reads after which all that had arrived is out of the socket's receive buffer.
const READS_OF_ALL: usize = 64;

/// So many times calls are taken before the socket is written.
const MOST_TAKES: usize = 8;

/// The wakers for the two directions of the socket.
pub(super) struct Wakers {
    pub(super) reading: Waker,
    pub(super) writing: Waker,
}

/// A socket, and what the last calls have told about it: no call is made that can give nothing.
pub(super) struct Watched {
    pub(super) socket: Box<dyn Socket>,
    /// The last read filled the buffer: there may be more.
    may_have_more: bool,
    /// The last write was not taken whole.
    is_full: bool,
    early: EarlyReads,
}

impl Watched {
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        Self { socket, may_have_more: false, is_full: false, early: EarlyReads::default() }
    }

    /// Whether a read may give something. If not, the waker is called when that changes.
    fn is_readable(&mut self, waker: &Waker) -> io::Result<bool> {
        if self.may_have_more {
            return Ok(true);
        }
        match self.socket.poll_readable(&mut Context::from_waker(waker)) {
            Poll::Ready(ready) => ready.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// Whether a write may take something. If not, the waker is called when that changes.
    fn is_writable(&mut self, waker: &Waker) -> io::Result<bool> {
        if !self.is_full {
            return Ok(true);
        }
        match self.socket.poll_writable(&mut Context::from_waker(waker)) {
            Poll::Ready(ready) => {
                self.is_full = false;
                ready.map(|()| true)
            }
            Poll::Pending => Ok(false),
        }
    }
}

/// Whether to read at once after a write. With one processor the peer often has answered when the write
/// returns, and a read at once saves the reactor: 8 calls to the operating system less, of 10. With two
/// processors the answer is not there yet. So what the last attempts gave decides.
///
/// To yield the processor after an attempt that gave nothing, or to wait for up to 100 µs, makes the median round trip
/// of one processor longer: 23 to 25 µs instead of 19 µs, and 38 to 65 µs with the driver on another thread.
#[derive(Debug, Default)]
struct EarlyReads {
    /// Writes that are still to be passed over, and how many after the next failure.
    passes: u8,
    next_passes: u8,
}

impl EarlyReads {
    /// Writes that are passed over at most.
    const MOST_PASSES: u8 = 127;
    fn is_promising(&mut self) -> bool {
        let is_promising = self.passes == 0;
        self.passes = self.passes.saturating_sub(1);
        is_promising
    }

    fn learn(&mut self, came: bool) {
        if came {
            (self.next_passes, self.passes) = (0, 0);
        } else {
            self.next_passes = (2 * self.next_passes + 1).min(Self::MOST_PASSES);
            self.passes = self.next_passes;
        }
    }
}

/// What a turn has done.
pub(super) struct Turn {
    /// There may be more to do at once.
    pub(super) is_busy: bool,
    /// A time close to the end of the turn.
    pub(super) now: Instant,
    /// How many calls the last read has answered, if there was one.
    pub(super) answered: Option<usize>,
}

/// Does what can be done at once: takes calls, reads, ends what is due, writes. Reads and writes take
/// turns, so neither can keep the other waiting.
///
/// `socket` is `None` while there is no connection. `buffer` is where bytes are read to.
pub(super) fn turn(
    engine: &mut Engine,
    socket: Option<&mut Watched>,
    wakers: &Wakers,
    clock: &Clock,
    buffer: &mut [u8],
) -> Turn {
    let mut now = clock.now();
    // The core has room for so many stops only: they are written before more calls are taken.
    let more_calls = (0..MOST_TAKES).all(|_| engine.take_calls(now) && !engine.has_unsent_stop());
    let mut round = Round { engine, wakers, clock, buffer };
    let is_due = |engine: &Engine, now| engine.poll_timeout().is_some_and(|due| due <= now);
    let Some(socket) = socket else {
        let expired = is_due(round.engine, now);
        if expired {
            round.engine.handle_timeout(now);
        }
        return Turn { is_busy: more_calls || expired || engine.has_action(), now, answered: None };
    };
    let mut more_to_read = false;
    let mut has_read = false;
    if round.is_readable(socket) {
        (has_read, now) = round.read(socket);
        // Arranges the next wake-up as well.
        more_to_read = round.is_readable(socket);
    }
    let expired = is_due(round.engine, now);
    if expired {
        // What arrived while the host was slow, or asleep, is in time.
        round.read_all(socket);
        round.engine.handle_timeout(now);
    }
    // Last: an answer, an outcome or the end of a grace time may let a waiting frame go.
    let wrote = round.write(socket, now);
    let is_answered = wrote == Wrote::All && socket.early.is_promising() && {
        let (came, later) = round.read(socket);
        now = later;
        socket.early.learn(came);
        has_read |= came;
        came
    };
    let more_to_write = wrote == Wrote::Budget;
    let is_busy = more_calls
        || more_to_read
        || expired
        || more_to_write
        || is_answered
        || engine.has_action();
    let answered = has_read.then(|| engine.take_answered());
    Turn { is_busy, now, answered }
}

/// How writing has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrote {
    /// There was nothing to write.
    Nothing,
    /// All that may go is written.
    All,
    /// The rest waits until the socket takes more, or is lost with it.
    Part,
    /// It is time to read.
    Budget,
}

struct Round<'a> {
    engine: &'a mut Engine,
    wakers: &'a Wakers,
    clock: &'a Clock,
    buffer: &'a mut [u8],
}

impl Round<'_> {
    /// Whether something may have come.
    fn is_readable(&mut self, socket: &mut Watched) -> bool {
        socket.is_readable(&self.wakers.reading).unwrap_or_else(|error| {
            self.engine.disconnected(self.clock.now(), &error.to_string());
            false
        })
    }

    /// Reads once. Returns whether anything came, and the time.
    fn read(&mut self, socket: &mut Watched) -> (bool, Instant) {
        let result = socket.socket.read(self.buffer);
        let now = self.clock.now();
        socket.may_have_more = matches!(result, Ok(count) if count == self.buffer.len());
        match result {
            Ok(0) => self.engine.disconnected(now, "the peer closed it"),
            Ok(count) => {
                self.engine.handle_input(now, Clock::wall(), &self.buffer[..count]);
                return (true, now);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {}
                ErrorKind::Interrupted => socket.may_have_more = true,
                _ => self.engine.disconnected(now, &error.to_string()),
            },
        }
        (false, now)
    }

    /// Reads all that has arrived so far, and not much more: no peer can keep this going.
    fn read_all(&mut self, socket: &mut Watched) {
        for _ in 0..READS_OF_ALL {
            if !self.read(socket).0 {
                break;
            }
        }
    }

    /// Writes until nothing is left, the socket is full, or it is time to read.
    fn write(&mut self, socket: &mut Watched, now: Instant) -> Wrote {
        let mut budget = WRITE_CHUNK;
        while budget > 0 {
            let Some(bytes) = self.engine.poll_transmit(now) else {
                return if budget == WRITE_CHUNK { Wrote::Nothing } else { Wrote::All };
            };
            let shown = &bytes[..budget.min(bytes.len())];
            let failed = match socket.is_writable(&self.wakers.writing) {
                Ok(true) => match socket.socket.write(shown) {
                    Ok(0) => "it takes no more bytes".into(),
                    Ok(written) => {
                        budget -= written;
                        self.engine.transmitted(now, written);
                        continue;
                    }
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock => {
                            socket.is_full = true;
                            continue;
                        }
                        ErrorKind::Interrupted => continue,
                        _ => error.to_string(),
                    },
                },
                Ok(false) => return Wrote::Part,
                Err(error) => error.to_string(),
            };
            // What the peer said before it went is still there.
            self.read_all(socket);
            self.engine.disconnected(now, &failed);
            return Wrote::Part;
        }
        Wrote::Budget
    }
}
