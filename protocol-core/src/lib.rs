//! The protocol core for a Flamingo light-sheet microscope: it turns bytes into frames, and says
//! for each frame *whose it is*.
//!
//! The instrument sends the answers to commands (*solicited*) and messages that nobody asked for
//! (*unsolicited*) as frames of 128 bytes over one TCP stream. An answer echoes the code of its
//! command, and so do many pushes; answers may be late, or never come. This crate keeps them
//! apart. It is *sans-IO*: no sockets, no clock, no allocation, no `unsafe`, no `std`. It links
//! into any program that can move bytes: smol, Tokio, a C++ GUI, a Cortex-M bridge, a fuzzer.
//!
//! # From a received byte to an answer
//! ```text
//!  the caller reads              the caller writes
//!        │ bytes, time                  ▲ bytes
//!        ▼                              │
//!  1 Connection::handle_input     poll_transmit ◀── outbox: HALT first, then fences,
//!        │                              ▲           then what may go now
//!        ▼                              │
//!  2 Assembler: noise │ frame │ payload (lent, never stored)
//!        │                              │
//!        ▼                              │
//!  3 the frame's key: code and selector │
//!        │                              │
//!        ▼                              │
//!  4 classify ◀── the pending table: requests in flight, tombstones of older ones
//!        │
//!        ▼
//!  5 Output: solicited (proven or presumed) │ late │ ambiguous │ unsolicited
//! ```
//!
//! # The contract
//! - Bytes and [`Instant`]s go in, typed outputs come out. `consumed` is exact on every return;
//!   any chunking of the same bytes gives the same outputs, but for where payloads are cut.
//! - Each request has exactly one outcome: its answer, an [`Event::Ended`], or the caller's own
//!   cancel. Each valid frame is delivered exactly once, in exactly one [`Class`].
//! - An answer is *proven* if nobody else can have sent that frame, and *presumed* otherwise.
//!   What is owed for a request that has ended is remembered as a *tombstone*; the next request
//!   of that key waits until a *fence*, a harmless query, has proven that it will not come any
//!   more. A late answer is never the next request's answer.
//! - A header and its payload are never split. HALT and laser-off go before all that has not
//!   begun, and cancel the motions, or the lights, that are queued behind them.
//! - All storage is inline, its size const-generic. Full is an error that the caller sees, before
//!   anything was sent. Nothing panics, and every loop is bounded by what it was given.
//!
//! This holds under three assumptions, which only a tag or a token can do without: there is at
//! most one answer to a request; answers keep their order within an ordering domain
//! ([`Ordering`]); codes that are also pushed are known ([`UnmarkedPushes`]).
//!
//! [`Connection`] is the client's side, [`Responder`] the device's; both are an [`Endpoint`].
//! [`Frame`] and [`TABLE`] are of use on their own, and so is [`ImageReader`] for the image ports.
//!
//! # Features
//! They are additive: any combination compiles.
//!
//! | feature | default | gives |
//! |---|---|---|
//! | `names` | yes | `CommandCode::name` and `from_name`: about 2 KiB of text |
//! | `embedded-io` | no | `pump::blocking`: moves bytes between a blocking port and an [`Endpoint`] |
//! | `embedded-io-async` | no | `pump::asynchronous`: the same for an async port |
//! | `defmt` | no | `defmt::Format` for every public type; the core itself never logs |
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod assembler;
pub mod connection;
mod error;
#[cfg(test)]
mod model;
pub mod pump;
mod responder;
mod scanner;
mod time;
pub mod wire;

pub use assembler::{Assembler, Piece};
pub use connection::Connection;
pub use connection::classify::{
    Candidate, Candidates, Class, Facts, MAX_OWNERS, Owners, Token, Verdict, classify,
};
pub use connection::config::{Config, OnAmbiguous, Ordering, Settings, TokenField, UnmarkedPushes};
pub use connection::counters::Counters;
pub use connection::key::{Key, Order};
pub use connection::outbox::{Transmit, is_cancelled_by};
pub use connection::output::{Event, Output, Reason, Received};
pub use connection::request::Cancelled;
pub use connection::ticket::{Ended, Ticket};
pub use error::{CommandError, DecodeError, Full, TextError};
pub use pump::Endpoint;
#[cfg(any(feature = "embedded-io", feature = "embedded-io-async"))]
pub use pump::PumpError;
pub use responder::{Incoming, Responder, is_answered};
pub use time::{Duration, Instant};
pub use wire::command::{
    CallbackFlag, CommandCode, Effect, Kind, Payload, Pushed, Row, Selector, TABLE, Timing,
};
pub use wire::frame::{Flags, Frame};
pub use wire::image::{
    HEADER_LEN, ImageError, ImageHeader, ImagePiece, ImageReader, MAX_IMAGE, OPTION_IMAGE_DATA,
};
pub use wire::layout::{
    BUFFER_LEN, CMD_END, CMD_START, END_MARKER, FIELDS, FRAME_LEN, Field, MAX_PAYLOAD, START_MARKER,
};
