//! Tests of the adapter: the suite that every client must pass, on Tokio, the example, the page that shows
//! examples, and the size of the crate.

mod examples;
mod linking_page;
mod on_tokio;
mod size;
