//! Tests of the C ABI: they call the functions as a C program does, so that Miri can check them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::unnecessary_box_returns)] // memory whose address stays

mod caller;
mod complete;
mod conversation;
mod memory;
mod requests;
mod same_as_core;
mod values;
