//! A stage controller with one axis that speaks the Flamingo protocol, without its board: what it
//! does is `stage`, how bytes come to it and leave it is `pump`, what was lost is told by `report`.
//! All of it runs on a host as well.
//!
//! The registers and interrupts are `board.rs`; the program is `main.rs`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod pump;
pub mod report;
pub mod stage;
