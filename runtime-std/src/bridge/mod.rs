//! Many clients on one connection to the instrument.
#![allow(dead_code)] // until the router uses them

mod backoff;
mod broadcast;
mod callback;
mod counters;
mod door;
mod fetch;
mod images;
mod metrics;
mod notify;
mod status;
mod table;

pub use counters::{
    ClientCounters, ClientStatus, FanoutStatus, RelayStatus, Status, UpstreamStatus,
};
pub use fetch::{FetchError, fetch};
pub use table::table;
