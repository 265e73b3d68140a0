//! What the bridge reports about itself. `counters.rs` has the numbers, `http_server.rs` serves them
//! over HTTP, `http_client.rs` asks a running bridge for them, `prometheus.rs` and `text_table.rs`
//! print them.

pub(crate) mod counters;
pub(crate) mod http_client;
pub(crate) mod http_server;
mod prometheus;
pub(crate) mod text_table;
