//! The bridge without its board: it routes each frame and moves bytes between the ports and the
//! protocol core. It has no hardware, no interrupts and no logging, so its tests run on a host.
//!
//! ```text
//!  port 0   instrument ──▶ pump ──▶ Connection ──▶ Relay ──▶ OutputQueue ──▶ port 1, host: answers
//!              ▲                        ▲            │ └───▶ OutputQueue ──▶ port 2, push: unsolicited frames
//!              └────────── pump ◀───────┴── request ─┘◀───── pump ◀───────── port 1, host: commands
//! ```
//! The program adds the hardware (`board.rs`, `uart_port.rs`) and the log (`log.rs`, `report.rs`).
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod application;
mod counters;
mod in_flight;
mod output_queue;
mod pump;
#[cfg(test)]
mod tests;
mod upload;

pub use application::{Application, REQUEST_TIMEOUT};
pub use counters::Counters;
pub use output_queue::PAYLOAD_BUFFER;
pub use pump::{Bridge, LINE_SILENCE, NotNow, Port, Ports};
pub use upload::MAX_UPLOAD;
