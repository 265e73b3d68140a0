//! The bridge without its board: it routes each frame and moves bytes between the ports and the
//! protocol core. It has no hardware, no interrupts and no logging, so its tests run on a host.
//!
//! ```text
//!  port 0   instrument ──▶ pump ──▶ Connection ──▶ Relay ──▶ OutputQueue ──▶ port 1, host: answers
//!              ▲                        ▲            │ └───▶ OutputQueue ──▶ port 2, push: unsolicited frames
//!              └────────── pump ◀───────┴── request ─┘◀───── pump ◀───────── port 1, host: commands
//! ```
//! A firmware adds the ports and the log. `mcu-bridge` calls [`Bridge::poll`] in a loop between interrupts;
//! `embassy-bridge` and `embassy-bridge-usb` run it as a task (feature `tasks`, [`tasks`]).
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod application;
mod commands;
mod counters;
mod in_flight;
mod instrument_watch;
mod output_queue;
mod pump;
mod report;
#[cfg(test)]
mod session_tests;
#[cfg(feature = "tasks")]
pub mod tasks;
#[cfg(all(test, feature = "tasks"))]
mod tasks_tests;
#[cfg(test)]
mod tests;
mod upload;

pub use application::{Application, REQUEST_TIMEOUT};
pub use counters::Counters;
pub use instrument_watch::{PROBE_AFTER, PROBE_TIMEOUT};
pub use output_queue::PAYLOAD_BUFFER;
pub use pump::{Bridge, LINE_SILENCE, Port, Ports, Side};
pub use report::Report;
pub use upload::MAX_UPLOAD;
