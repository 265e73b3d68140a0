//! The core from outside: what needs both ends of a connection, and what compares the documents
//! with the code. One module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::float_cmp, clippy::wildcard_imports)]
#![allow(clippy::duplicate_mod)] // one suite of tests, run by both pumps

mod answers;
mod common;
#[cfg(feature = "defmt")]
mod defmt_format;
#[cfg(feature = "names")]
mod docs;
mod fences;
mod frames;
mod images;
mod messages;
mod no_room;
mod outcomes;
mod panic_free;
mod properties;
#[cfg(feature = "embedded-io")]
mod pump;
#[cfg(feature = "embedded-io-async")]
mod pump_async;
mod responder;
mod sends;
mod stops;
mod upload_echo;
mod wire_properties;
mod writing;
