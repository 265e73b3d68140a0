//! Tests of the core from outside: those that need both ends of a connection, and those that
//! compare the documents with the code. One module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::float_cmp, clippy::wildcard_imports)]
#![allow(clippy::duplicate_mod)] // both pumps include one suite of tests

mod aborts;
mod answers;
mod blocked_stops;
mod cancels;
mod common;
#[cfg(feature = "defmt")]
mod defmt_format;
#[cfg(feature = "names")]
mod docs;
mod fences;
mod frames;
mod grace;
mod images;
mod messages;
mod no_room;
mod outcomes;
mod panic_free;
mod polling;
mod properties;
#[cfg(feature = "embedded-io")]
mod pump;
#[cfg(feature = "embedded-io-async")]
mod pump_async;
mod responder;
mod sends;
mod small_tables;
mod stops;
mod tokens;
mod upload_echo;
mod wire_properties;
mod writing;
