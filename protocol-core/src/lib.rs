//! The protocol core for a Flamingo light-sheet microscope. It turns bytes into frames. It
//! classifies every frame as an answer, a late answer or an event, and it reports when a frame is
//! ambiguous.
//!
//! The instrument sends frames of 128 bytes over one TCP stream. Some are answers to commands
//! (*solicited*), others are messages that the client did not ask for (*unsolicited*). An answer
//! repeats the code of its command, and so do many pushes. An answer may come late or never. This
//! crate keeps answers and pushes apart. It is *sans-IO*: no sockets, no clock, no allocation, no
//! `unsafe`, no `std`. It links into any program that can move bytes: smol, Tokio, a C++ GUI, a
//! Cortex-M bridge, a fuzzer.
//!
//! # From a received byte to an answer
//! ```text
//!  the caller reads              the caller writes
//!        │ bytes, time                  ▲ bytes
//!        ▼                              │
//!  1 Connection::handle_input     poll_transmit ◀── outbox: HALT first, then fences,
//!        │                              ▲           then what may go now
//!        ▼                              │
//!  2 scanner: noise │ frame │ payload (borrowed, never stored)
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
//! - The caller passes bytes and [`Instant`](time::Instant)s in and gets typed outputs back.
//!   `consumed` is exact on every return. Any chunking of the same bytes gives the same outputs;
//!   only the payload slices may be cut at other places.
//! - Each request has exactly one outcome: its answer, an [`Event::Ended`], or the caller's own
//!   cancel. The connection delivers each valid frame exactly once, in exactly one [`Class`].
//! - An answer is *proven* if this frame can have no other origin, and *presumed* otherwise. If a
//!   request ends while its answer may still come, it leaves a *tombstone*. The next request with
//!   the same key then waits for a *fence*: the answer to a harmless query proves that the old
//!   answer will not come any more. The connection never takes a late answer for the answer to the
//!   next request.
//! - The connection never splits a header from its payload. HALT and laser-off overtake every frame
//!   that has not begun. HALT cancels the queued commands that start a motion; laser-off cancels
//!   the queued commands that may switch this laser on.
//! - All storage is inline, and const generics set its size. A full store is an error of the call,
//!   before anything is sent. Nothing panics, and the input bounds every loop.
//!
//! The contract holds under three assumptions; a tag or a token makes them unnecessary. The peer
//! sends at most one answer to a request. Answers keep their order within an ordering domain
//! ([`OrderingDomain`](connection::OrderingDomain)). The settings name the codes that the peer also
//! pushes ([`UnmarkedPushes`](connection::UnmarkedPushes)).
//!
//! # Modules
//! - [`connection`]: the client's side, [`Connection`], with its settings, events and rules
//!   ([`classify`](connection::classify()));
//! - [`responder`]: the device's side, [`Responder`];
//! - [`wire`]: [`Frame`], the table of commands ([`TABLE`](wire::TABLE)), and the
//!   [`Assembler`](wire::Assembler) for programs that need frames only;
//! - [`image`]: the image ports; [`pump`]: functions that move bytes between a port and either
//!   side; [`error`]; [`time`].
//!
//! # Features
//! The features are additive: any combination compiles.
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `names` | yes | `CommandCode::name` and `from_name`: about 2 KiB of text |
//! | `embedded-io` | no | `pump::blocking`: moves bytes between a blocking port and an [`Endpoint`](pump::Endpoint) |
//! | `embedded-io-async` | no | `pump::asynchronous`: the same for an async port |
//! | `index` | no | counts of the table of requests: the time for a frame does not grow with it. For hosts: 5 KiB of RAM for each connection |
//! | `defmt` | no | `defmt::Format` for every public type; the core itself never logs |
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod assembler;
mod candidate;
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
