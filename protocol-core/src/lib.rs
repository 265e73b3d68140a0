//! The protocol core for a Flamingo light-sheet microscope. It turns bytes into frames and
//! classifies every frame as an answer, a late answer or an event, and reports when it cannot tell.
//!
//! The instrument sends the answers to commands (*solicited*) and messages that nobody asked for
//! (*unsolicited*) as frames of 128 bytes over one TCP stream. An answer repeats the code of its
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
//!  2 scanner: noise │ frame │ payload (lent, never stored)
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
//! - Bytes and [`Instant`](time::Instant)s go in, typed outputs come out. `consumed` is exact on
//!   every return. Any chunking of the same bytes gives the same outputs; only payload slices may
//!   be cut elsewhere.
//! - Each request has exactly one outcome: its answer, an [`Event::Ended`], or the caller's own
//!   cancel. Each valid frame is delivered exactly once, in exactly one [`Class`].
//! - An answer is *proven* if nobody else can have sent that frame, and *presumed* otherwise.
//!   A request that has ended leaves a *tombstone* as long as its answer may still come. The next
//!   request of that key waits until a *fence*, a harmless query, has proven that it will not come
//!   any more. A late answer is never the next request's answer.
//! - A header and its payload are never split. HALT and laser-off overtake everything that has not
//!   begun, and cancel the motions, or the lights, that are queued behind them.
//! - All storage is inline, its size const-generic. Full is an error that the caller sees before
//!   anything is sent. Nothing panics, and every loop is bounded by its input.
//!
//! This holds under three assumptions, which only a tag or a token makes unnecessary: there is at
//! most one answer to a request; answers keep their order within an ordering domain
//! ([`OrderingDomain`](connection::OrderingDomain)); the codes that are also pushed are known
//! ([`UnmarkedPushes`](connection::UnmarkedPushes)).
//!
//! # Modules
//! - [`connection`]: the client's side, [`Connection`], with its settings, events and rules
//!   ([`classify`](connection::classify()));
//! - [`responder`]: the device's side, [`Responder`];
//! - [`wire`]: [`Frame`], the table of commands ([`TABLE`](wire::TABLE)), the
//!   [`Assembler`](wire::Assembler) for programs that want frames only;
//! - [`image`]: the image ports; [`pump`]: bytes between a port and either side; [`error`];
//!   [`time`].
//!
//! # Features
//! They are additive: any combination compiles.
//!
//! | feature | default | gives |
//! |---|---|---|
//! | `names` | yes | `CommandCode::name` and `from_name`: about 2 KiB of text |
//! | `embedded-io` | no | `pump::blocking`: moves bytes between a blocking port and an [`Endpoint`](pump::Endpoint) |
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
