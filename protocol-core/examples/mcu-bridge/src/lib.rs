//! The bridge without its board: what is done with each frame, and how bytes get from the ports to
//! the protocol core and back. No hardware, no interrupts, no logging: it runs in tests on a host.
//!
//! ```text
//!  port 0   instrument ──▶ pump ──▶ Connection ──▶ Desk ──▶ Outlet ──▶ port 1, host: answers
//!              ▲                        ▲            │ └──▶ Outlet ──▶ port 2, push: what nobody asked for
//!              └────────── pump ◀───────┴── request ─┘◀──── pump ◀──── port 1: commands
//! ```
//! The registers are in `board.rs` and the log in `report.rs`, both of the program.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod application;
mod counters;
mod flights;
mod outlet;
mod pump;
#[cfg(test)]
mod tests;
mod upload;

pub use application::{Application, REQUEST_TIMEOUT};
pub use counters::Counters;
pub use outlet::PAYLOAD;
pub use pump::{Bridge, LINE_SILENCE, NotNow, Port, Ports};
pub use upload::UPLOAD;
