//! The smol adapter: it moves bytes between a real socket and the state machine of
//! `flamingo-protocol-core`, and nothing else.
//!
//! One driver task owns the socket and the core's connection. [`Client`] is what programs hold: it
//! asks, uploads, sends, stops, and subscribes to events.
//!
//! What the instrument's parts are, and their units, is `flamingo-microscope`.

mod client;
pub mod clock;
pub mod driver;
mod error;
mod fanout;
mod message;
mod options;
pub mod socket;

pub use client::{Client, MotionStopped, MotionWaiter};
pub use clock::Clock;
pub use driver::{Answer, CoreConnection, Stats};
pub use error::Error;
pub use fanout::{CallId, Event, EventFrame, Subscription};
pub use flamingo_protocol_core as protocol;
pub use message::{Message, MessageCollector};
pub use options::{Options, Reconnect};
