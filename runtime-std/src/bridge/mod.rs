//! Many clients on one connection to the instrument.
#![allow(dead_code)] // until the router uses them

mod backoff;
mod broadcast;
mod callback;
pub mod counters;
mod door;

mod images;
mod metrics;
mod notify;
mod status;
