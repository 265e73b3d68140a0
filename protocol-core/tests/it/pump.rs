//! The blocking pump: runs the tests of both pumps, see `common/pump_suite.rs`.

#[path = "common/pump_suite.rs"]
mod suite;

use crate::common::port::{Broken, Port};
use flamingo_protocol_core::pump::blocking::{receive, transmit};
use flamingo_protocol_core::{
    pump::{Endpoint, PumpError},
    time::Instant,
};

/// The port fails in the middle of the transmission.
fn transmit_cut_short<E: Endpoint>(port: &mut Port, endpoint: &mut E, now: impl Fn() -> Instant) {
    let cut = transmit(port, endpoint, now, |_, _| &[]);
    assert_eq!(cut, Err(PumpError::Port(Broken)));
}
