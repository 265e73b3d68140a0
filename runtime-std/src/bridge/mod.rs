//! Many clients on one connection to the instrument.

pub mod access;
pub mod settings;
