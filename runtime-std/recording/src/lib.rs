//! What was on the wire, in a file that Wireshark opens: how it is written, and read again.
//!
//! A recording is a pcapng file of TCP packets as they would have been between client and
//! instrument, one frame each where the timing allows it, with a comment that says whose it is.
//! `recorder/` writes, `capture/` reads; `conversation.rs` decides which answer belongs to which
//! command. The sockets in front of it are the relay's (`relay.rs`) and the bridge's.

mod buffer_pool;
mod comments;

pub mod capture;
pub mod conversation;
mod pcapng;
pub mod recorder;
pub mod relay;
pub mod replay;
mod tcp_flow;
mod vectored_writer;

use std::fmt;

pub use recorder::{Recorder, RecorderOptions, RecorderStatus, Rotation, Tap};

/// Which of the instrument's three ports a connection belongs to. PROTOCOL: sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// Commands, answers and unsolicited messages.
    Control,
    /// Images of the live view.
    Live,
    /// Images of stacks.
    Stack,
}

impl Port {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Control, Self::Live, Self::Stack];

    /// Its name in files, logs and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Live => "live",
            Self::Stack => "stack",
        }
    }

    /// How far it is above the control port.
    pub const fn steps(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// ConnectionInfo connected.
    Client,
    /// ConnectionInfo accepted.
    Instrument,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Instrument,
            Self::Instrument => Self::Client,
        }
    }

    /// Its name in logs and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Instrument => "instrument",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
