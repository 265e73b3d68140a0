//! Every way of talking to the instrument that the race compares, one file each. What they have
//! in common is in `race/strategy.rs` and `race/wire.rs`, and for some of them in `handler.rs` and
//! `receiver.rs`.

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

use super::strategy::{Scene, Strategy};
use super::wire;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Send, then the next 128 bytes are the answer; no listener.
    Synchronous,
    /// The same; the end of a motion is polled for.
    Polling,
    /// The listener activated on the same socket.
    TwoReaders,
    /// A lock for the socket.
    Mutex,
    /// The listener paused during commands.
    Pause,
    /// A socket of its own for events, by the bridge.
    CallbackSocket,
    /// Answers marked by the instrument.
    Tagged,
    /// A number in each command, given back by the instrument.
    Sequence,
    /// One reader, pending by code.
    CodeMatch,
    /// This project.
    Flamingo,
    /// A bare reading thread, to compare the delay of events with.
    Raw,
}

impl Kind {
    /// In the order of the table; without the yardstick.
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

    /// The one of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [&Self::ALL[..], &[Self::Raw]].concat().into_iter().find(|kind| kind.name() == name)
    }

    /// What it is in the analysis.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Synchronous => "option 5: no listener, the next frame is the answer",
            Self::Polling => "option 5: no listener, the end of a motion is polled for",
            Self::TwoReaders => "the race: the listener activated on the same socket",
            Self::Mutex => "option 1: a lock for the socket",
            Self::Pause => "option 2: the listener paused during commands",
            Self::CallbackSocket => "option 3: a socket of its own for unsolicited messages",
            Self::Tagged => "option 4: answers carry a flag, single receiver",
            Self::Sequence => "recommendation B: sequence numbers, single receiver",
            Self::CodeMatch => "the public client today: single receiver, pending by code",
            Self::Flamingo => "this project: single receiver, whose frame it is decided by rules",
            Self::Raw => "yardstick: a thread that only receives",
        }
    }

    /// Whether the instrument must change for it.
    pub(super) fn must_change(self) -> &'static str {
        match self {
            Self::CallbackSocket => "no (a bridge)",
            Self::Tagged => "yes: tag answers",
            Self::Sequence => "yes: echo a number",
            _ => "no",
        }
    }

    /// Whether it needs the bridge between itself and the instrument.
    pub(super) fn needs_bridge(self) -> bool {
        self == Self::CallbackSocket
    }

    /// Whether the instrument must tag its answers.
    pub(super) fn tags(self) -> bool {
        self == Self::Tagged
    }

    /// Whether the instrument must give back the number that a command carries in clientID.
    pub(super) fn numbers(self) -> bool {
        self == Self::Sequence
    }

    /// Connects and starts whatever it needs.
    pub(super) fn start(self, scene: &Scene) -> std::io::Result<Box<dyn Strategy>> {
        Ok(match self {
            Self::Synchronous => Box::new(synchronous::Synchronous::start(scene)?),
            Self::Polling => Box::new(polling::Polling::start(scene)?),
            Self::TwoReaders => Box::new(two_readers::TwoReaders::start(scene)?),
            Self::Mutex => Box::new(mutex::SocketLock::start(scene)?),
            Self::Pause => Box::new(pause::PausedListener::start(scene)?),
            Self::CallbackSocket => Box::new(callback_socket::CallbackSocket::start(scene)?),
            Self::Tagged => Box::new(Receiver::start(scene, tagged::whose)?),
            Self::Sequence => Box::new(sequence::Sequence::start(scene)?),
            Self::CodeMatch => Box::new(Receiver::start(scene, code_match::whose)?),
            Self::Flamingo => Box::new(flamingo::Flamingo::start(scene)?),
            Self::Raw => Box::new(Receiver::start(scene, raw::whose)?),
        })
    }
}

/// Whether a frame can be the answer by what it says of itself: the code, and the axis.
fn fits(frame: &Frame, command: &Frame) -> bool {
    let axis = command.code == CommandCode::STAGE_POSITION_GET;
    frame.code == command.code && (!axis || frame.selector() == command.selector())
}

/// What a thread locks here is whole whenever another one may see it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a listener that takes no bytes can see.
enum Waiting {
    /// There are some.
    Bytes,
    /// None for the read timeout of the socket.
    Nothing,
    /// There will be none any more.
    Over,
}

/// Waits for bytes and leaves them where they are.
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
