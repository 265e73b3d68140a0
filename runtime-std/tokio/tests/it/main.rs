//! Tests of the adapter: the suite that every client must pass, on Tokio and on plain threads, what only plain threads
//! can do, the examples, the page that shows them, and the size of the crate.

mod examples;
mod linking_page;
mod on_tokio;
mod plain_threads;
mod sharing;
mod size;
