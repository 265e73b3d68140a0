#![doc = include_str!("../README.md")]
//!
//! # How it is built
//! [`Client`] is what programs hold; clones of it are the same connection. A caller moves the bytes of its
//! command and its answer itself, between a socket and the state machine of [`protocol`]; the driver does it
//! while no caller waits. Client, [`Subscription`] and [`driver::Driver`] name no runtime; smol is named in
//! `driver/on_smol.rs` and `socket/` only.
//!
//! # Features
//! `smol`, on by default, enables `Client::connect`, `Client::open` and the sockets of `socket`. Without it,
//! smol is not compiled. `blocking` enables `blocking::Client`, for plain threads; it needs no smol. An adapter
//! for another runtime implements [`driver::Runtime`]; `flamingo-tokio` is one.

#[cfg(feature = "blocking")]
pub mod blocking;
mod client;
pub mod clock;
pub mod command_code;
mod command_reader;
pub mod driver;
mod error;
mod event;
mod event_batch;
pub mod events_on_request;
mod fanout;
mod log_rate;
mod message;
mod motion_waiter;
mod options;
mod payload;
pub mod socket;
mod status_rules;
mod waking;

pub use client::Client;
pub use clock::{Clock, ClockStep};
pub use command_reader::{CommandReader, FRAME_PATIENCE, InputError, InputLimits};
pub use driver::{Answer, CoreConnection, Stats, Stopped};
pub use error::Error;
pub use event::{CallId, Event, EventFrame};
pub use fanout::Subscription;
pub use flamingo_protocol_core as protocol;
pub use log_rate::LogRate;
pub use message::{Message, MessageCollector};
pub use motion_waiter::{MotionStopped, MotionWaiter};
pub use options::{Options, Reconnect};
pub use payload::Payload;
pub use status_rules::StatusRules;
