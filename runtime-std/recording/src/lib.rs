#![doc = include_str!("../README.md")]

mod buffer_pool;
pub mod capture;
mod comments;
pub mod conversation;
mod pcapng;
pub mod recorder;
mod refusals;
pub mod relay;
mod relay_connection;
pub mod replay;
mod scrub;
mod tcp_flow;
mod vectored_writer;

use std::fmt;

pub use recorder::{
    AnonymizedCopy, Recorder, RecorderOptions, RecorderStatus, Rotation, Tap, anonymize,
};

/// A port of the instrument.
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
    /// All ports, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Control, Self::Live, Self::Stack];

    /// The name of the port in files, logs and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Live => "live",
            Self::Stack => "stack",
        }
    }

    /// The distance from the number of the control port: 0, 1 or 2.
    pub const fn steps(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The most clients of a port of the relay or the replay at a time: 64 on the three ports together.
const fn connection_limit(port: Port) -> usize {
    match port {
        Port::Control => 32,
        Port::Live | Port::Stack => 16,
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The side that connected.
    Client,
    /// The side that accepted.
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

    /// The name of the side in logs and JSON.
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
