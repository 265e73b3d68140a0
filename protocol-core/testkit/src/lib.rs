//! Tests of the protocol core through its public API, on virtual time. Nothing here sleeps, opens a socket
//! or, except for [`bench`](mod@bench), reads a clock. All behaviour follows from a seed.
//!
//! [`Harness`] connects a client and a device by two [`Link`]s. [`Oracle`] knows the truth about each frame
//! and checks the client. [`readers`] run each reader of the core over chunks, and
//! [`reference`](mod@reference) has simple readers for comparison. [`bench`](mod@bench) times calls for the benches and
//! prints their figures, [`situations`] are the states that they time. [`bodies`] are the bodies of the fuzz
//! targets; `tests/it/corpus.rs` runs them with stable Rust. Tests of a single module stay in the core.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc)] // a failed check panics on purpose
#![allow(clippy::cast_possible_truncation)] // the values are small

pub mod bench;
pub mod bodies;
pub mod device;
pub mod harness;
pub mod junk;
pub mod link;
pub mod ops;
pub mod oracle;
pub mod random;
pub mod readers;
pub mod reference;
pub mod situations;
pub mod stream;

pub use device::Device;
pub use harness::{Harness, HarnessOptions};
pub use link::{Faults, Link, LinkRead};
pub use ops::Op;
pub use oracle::{Oracle, Sent, Truth};
