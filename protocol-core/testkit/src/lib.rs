//! Tests of the protocol core from outside, on virtual time: nothing here sleeps, opens a socket
//! or asks for the time, and everything follows from a seed.
//!
//! [`Harness`] holds a client and a device that talk over two [`Link`]s; [`Oracle`] knows what is
//! true and compares. [`reference`](mod@reference) is the naive reader that the core is held
//! against. [`bodies`] are what the fuzzers run, and `tests/corpus.rs` on stable. The tests of
//! one part of the core stay in the core.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc)] // a claim that is broken panics: that is what it is for
#![allow(clippy::cast_possible_truncation)] // fuzz input is cut to size

pub mod bodies;
pub mod device;
pub mod harness;
pub mod junk;
pub mod link;
pub mod ops;
pub mod oracle;
pub mod readers;
pub mod reference;
pub mod stream;

pub use device::Device;
pub use harness::{Harness, Settings};
pub use link::{Faults, Link, Read};
pub use ops::Op;
pub use oracle::{Oracle, Sent, Truth};
