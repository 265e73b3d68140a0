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
pub mod error;
#[cfg(test)]
mod model;
pub mod pump;
pub mod responder;
mod scanner;
pub mod time;
pub mod wire;

pub use connection::{Class, Config, Connection, Ended, Event, Output, Received, Ticket, Transmit};
pub use responder::{Incoming, Responder};
pub use wire::{CommandCode, Flags, Frame, image};
