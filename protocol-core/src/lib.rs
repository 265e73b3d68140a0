//! The protocol core for a Flamingo light-sheet microscope.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod assembler;
mod classify;
mod command;
mod config;
mod connection;
mod counters;
mod debts;
mod endpoint;
mod error;
mod frame;
mod image;
mod key;
mod outbox;
mod output;
mod pending;
#[cfg(feature = "embedded-io")]
pub mod pump;
#[cfg(feature = "embedded-io-async")]
pub mod pump_async;
#[cfg(any(feature = "embedded-io", feature = "embedded-io-async"))]
mod pump_error;
mod request;
mod responder;
mod ticket;
mod time;

pub use assembler::{Assembler, Piece};
pub use classify::{Class, Owners};
pub use command::{
    CallbackFlag, CommandCode, Effect, Kind, Payload, Pushed, Row, Selector, TABLE, Timing,
};
pub use config::{Config, OnAmbiguous, Ordering, TokenField, UnmarkedPushes};
pub use connection::Connection;
pub use counters::Counters;
pub use endpoint::Endpoint;
pub use error::{CommandError, DecodeError, Full, TextError};
pub use frame::{
    BUFFER_LEN, CMD_END, CMD_START, END_MARKER, FIELDS, FRAME_LEN, Field, Flags, Frame,
    MAX_PAYLOAD, START_MARKER,
};
pub use image::{
    HEADER_LEN, ImageError, ImageHeader, ImagePiece, ImageReader, MAX_IMAGE, OPTION_IMAGE_DATA,
};
pub use outbox::Transmit;
pub use output::{Event, Output, Reason, Received};
pub use pending::MAX_OWNERS;
#[cfg(any(feature = "embedded-io", feature = "embedded-io-async"))]
pub use pump_error::PumpError;
pub use request::Cancelled;
pub use responder::{Incoming, Responder, is_answered};
pub use ticket::{Ended, Ticket};
pub use time::{Duration, Instant};
