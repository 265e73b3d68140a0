//! Helpers for the tests of the crates above the core: a scripted peer, a raw client of a simulated instrument, a
//! typed microscope connected to either, a temporary folder. `bench/` is what the benchmarks share.
//!
//! `firmware/` has the tests that run the firmware of `protocol-core/examples` in QEMU. The virtual clock and the
//! two-ended harness of the core are in `protocol-core/testkit`.
#![allow(missing_docs)] // helpers of tests, named after what they do
#![allow(clippy::missing_panics_doc)] // a helper that panics fails its test

pub mod allocator;
pub mod bench;
pub mod changing_peer;
pub mod folder;
pub mod loopback;
pub mod peer;
pub mod raw_client;
pub mod suite;
pub mod test_microscope;

/// The examples of README.md, so that they are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub mod readme {}

/// The example of protocol-core/README.md, so that it is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../protocol-core/README.md")]
pub mod core_readme {}

/// The recipes of docs/cookbook.md, so that they are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/cookbook.md")]
pub mod cookbook {}
