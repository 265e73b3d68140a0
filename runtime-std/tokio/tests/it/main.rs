//! Tests of the adapter: the suite that every client must pass, on Tokio and on plain threads, what only plain threads
//! can do, the examples, and the size of the crate.

mod examples;
mod on_tokio;
mod plain_threads;
mod size;
