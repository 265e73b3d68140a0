//! Many clients on one connection to the instrument.

mod backoff;
mod broadcast;
mod callback;
mod control;
mod counters;
mod door;
mod fetch;
mod images;
mod metrics;
mod notify;
pub mod router;
pub mod settings;
mod status;
mod table;

pub use counters::{
    ClientCounters, ClientStatus, FanoutStatus, RelayStatus, Status, UpstreamStatus,
};
pub use fetch::{FetchError, fetch};
pub use table::table;
