//! A stage controller with one axis that uses the Flamingo protocol, without its board. `stage` moves
//! the axis and answers commands, `pump` moves bytes between a port and the stage, and `report` writes
//! the counters of losses as text. All of it also runs on a host.
//!
//! The program adds the registers and interrupts (`board.rs`) and connects the parts (`main.rs`).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod pump;
pub mod report;
pub mod stage;
