//! The core between two ends on virtual time: chunking, junk, failing peers, properties, corpora.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod corpus;
mod junk;
mod peers_failures;
mod properties;
mod reader_properties;
mod regressions;
mod three_ways;
