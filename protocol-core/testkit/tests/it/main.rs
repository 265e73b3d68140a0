//! Tests of the core through its public API, on virtual time: chunking, junk, peer failures, properties,
//! regressions and fuzz corpora.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod conversations;
mod corpus;
mod junk;
mod peers_failures;
mod properties;
mod reader_properties;
mod regressions;
mod three_ways;
