//! Many clients on one connection to the instrument.

mod control;
pub mod counters;
pub mod router;
pub mod settings;
