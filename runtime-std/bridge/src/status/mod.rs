//! The status of a bridge: what the status page shows, and how a program reads it.
//!
//! `counters.rs` holds the numbers. `http_server.rs` serves them as JSON and, through
//! `prometheus.rs`, as metrics; `http_request.rs` decides which requests it answers, and `holders.rs`
//! who may stay connected. `http_client.rs` fetches them from a running bridge, and `text_table.rs`
//! prints them.

mod counters;
mod holders;
mod http_client;
mod http_request;
pub(crate) mod http_server;
mod prometheus;
mod text_table;

pub use counters::{
    BridgeStatus, CallbackStatus, ClientCounters, ClientStatus, ImagePortStatus, UpstreamStatus,
};
pub use http_client::{StatusError, fetch_status};
pub use text_table::status_table;
