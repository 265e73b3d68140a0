#![doc = include_str!("../../README.md")]
//!
//! # This crate
//!
//! The standard-library side: a thin smol adapter over `flamingo-protocol-core`.
//!
//! One driver task owns the socket and the core's connection; [`Client`] is what programs hold.

pub mod axis;
mod client;
pub mod clock;
mod desk;
mod driver;
mod error;
mod fanout;
pub mod image_file;
mod inbox;
pub mod limits;
pub mod live;
pub mod meaning;
pub mod microscope;
mod options;
pub mod preview;
pub mod scope_settings;
pub mod sections;
mod session;
pub mod socket;
pub mod text;
pub mod units;
pub mod workflow;

pub use axis::Axis;
pub use client::{Client, Motion, MotionEnd};
pub use clock::Clock;
pub use desk::{Answer, Stats};
pub use driver::CoreConnection;
pub use error::Error;
pub use fanout::{Event, EventFrame, OrderNumber, Subscription};
pub use flamingo_protocol_core as core;
pub use options::{Options, Reconnect};

/// The recipes of docs/cookbook.md, so that each of them is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
pub mod cookbook {}
