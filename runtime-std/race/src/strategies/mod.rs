//! The strategies that the race compares, one file each. What they have in common is in `strategy.rs` and `wire.rs`, and for
//! some of them in `handler.rs` and `receiver.rs`.

mod callback_socket;
mod code_match;
mod flamingo;
mod handler;
mod mutex;
mod pause;
mod polling;
mod raw;
mod receiver;
mod sequence;
mod synchronous;
mod tagged;
#[cfg(test)]
mod tests;
mod two_readers;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flamingo_protocol_core::{CommandCode, Frame};

use receiver::Receiver;

use super::strategy::{Environment, Strategy};
use super::wire;

/// A strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Send a command, then take the next 128 bytes for the answer. No listener.
    Synchronous,
    /// The same, but poll for the end of a motion.
    Polling,
    /// A listener on the same socket, without coordination.
    TwoReaders,
    /// A lock for the socket.
    Mutex,
    /// A listener that is paused during commands.
    Pause,
    /// A separate socket for events, provided by the bridge.
    CallbackSocket,
    /// The instrument tags its answers.
    Tagged,
    /// The instrument echoes a number of each command.
    Sequence,
    /// One reader; pending queries by code.
    CodeMatch,
    /// The client of this project.
    Flamingo,
    /// A thread that only receives, as a reference for the delay of events.
    Raw,
}

impl Kind {
    /// All but `Raw`, in the order of the table.
    pub(super) const ALL: [Self; 10] = [
        Self::Synchronous,
        Self::Polling,
        Self::TwoReaders,
        Self::Mutex,
        Self::Pause,
        Self::CallbackSocket,
        Self::Tagged,
        Self::Sequence,
        Self::CodeMatch,
        Self::Flamingo,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Synchronous => "synchronous",
            Self::Polling => "polling",
            Self::TwoReaders => "two-readers",
            Self::Mutex => "mutex",
            Self::Pause => "pause",
            Self::CallbackSocket => "callback-socket",
            Self::Tagged => "tagged",
            Self::Sequence => "sequence",
            Self::CodeMatch => "code-match",
            Self::Flamingo => "flamingo",
            Self::Raw => "raw",
        }
    }

    /// The strategy with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [&Self::ALL[..], &[Self::Raw]].concat().into_iter().find(|kind| kind.name() == name)
    }

    /// Its place in the analysis.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Synchronous => "option 5: no listener, the next frame is the answer",
            Self::Polling => "option 5: no listener, polls for the end of a motion",
            Self::TwoReaders => "the race: a listener on the same socket",
            Self::Mutex => "option 1: a lock for the socket",
            Self::Pause => "option 2: the listener is paused during commands",
            Self::CallbackSocket => "option 3: a separate socket for unsolicited messages",
            Self::Tagged => "option 4: answers carry a flag, single receiver",
            Self::Sequence => "recommendation B: sequence numbers, single receiver",
            Self::CodeMatch => "the public client today: single receiver, pending by code",
            Self::Flamingo => "this project: single receiver, rules classify each frame",
            Self::Raw => "reference: a thread that only receives",
        }
    }

    /// Whether the instrument must be changed for it.
    pub(super) fn must_change(self) -> &'static str {
        match self {
            Self::CallbackSocket => "no (a bridge)",
            Self::Tagged => "yes: tag answers",
            Self::Sequence => "yes: echo a number",
            _ => "no",
        }
    }

    /// Whether it connects through the bridge.
    pub(super) fn needs_bridge(self) -> bool {
        self == Self::CallbackSocket
    }

    /// Whether the instrument must tag its answers.
    pub(super) fn tags(self) -> bool {
        self == Self::Tagged
    }

    /// Whether the instrument must echo clientID.
    pub(super) fn numbers(self) -> bool {
        self == Self::Sequence
    }

    /// Connects, and starts the threads that the strategy needs.
    pub(super) fn start(self, environment: &Environment) -> std::io::Result<Box<dyn Strategy>> {
        Ok(match self {
            Self::Synchronous => Box::new(synchronous::Synchronous::start(environment)?),
            Self::Polling => Box::new(polling::Polling::start(environment)?),
            Self::TwoReaders => Box::new(two_readers::TwoReaders::start(environment)?),
            Self::Mutex => Box::new(mutex::SocketLock::start(environment)?),
            Self::Pause => Box::new(pause::PausedListener::start(environment)?),
            Self::CallbackSocket => Box::new(callback_socket::CallbackSocket::start(environment)?),
            Self::Tagged => Box::new(Receiver::start(environment, tagged::owner)?),
            Self::Sequence => Box::new(sequence::Sequence::start(environment)?),
            Self::CodeMatch => Box::new(Receiver::start(environment, code_match::owner)?),
            Self::Flamingo => Box::new(flamingo::Flamingo::start(environment)?),
            Self::Raw => Box::new(Receiver::start(environment, raw::owner)?),
        })
    }
}

/// Whether a frame has the code, and for positions the axis, of a command.
fn fits(frame: &Frame, command: &Frame) -> bool {
    let axis = command.code == CommandCode::STAGE_POSITION_GET;
    frame.code == command.code && (!axis || frame.selector() == command.selector())
}

/// Locks a mutex, even after a panic: all data here is consistent whenever a lock is released.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of waiting for bytes without reading them.
enum Waiting {
    /// There are bytes to read.
    Bytes,
    /// No byte arrived within the read timeout of the socket.
    Nothing,
    /// The connection has ended.
    Over,
}

/// Waits for bytes without reading them.
fn wait_for_bytes(socket: &TcpStream) -> Waiting {
    match socket.peek(&mut [0]) {
        Ok(0) => Waiting::Over,
        Ok(_) => Waiting::Bytes,
        Err(error) if wire::is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {
            Waiting::Nothing
        }
        Err(_) => Waiting::Over,
    }
}
