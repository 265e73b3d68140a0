//! The async pump: runs the tests of both pumps, see `common/pump_suite.rs`.

#[path = "common/pump_suite.rs"]
mod suite;

use crate::common::port::{Broken, Port};
use flamingo_protocol_core::{
    Ticket,
    pump::{Endpoint, PumpError, asynchronous},
    time::Instant,
};
use futures_lite::future::{block_on, poll_once};

fn receive<E: Endpoint>(
    port: &mut Port,
    endpoint: &mut E,
    now: impl Fn() -> Instant,
    scratch: &mut [u8],
    each: impl FnMut(E::Output<'_>),
) -> Result<usize, PumpError<Broken>> {
    block_on(asynchronous::receive(port, endpoint, now, scratch, each))
}

fn transmit<'p, E: Endpoint>(
    port: &mut Port,
    endpoint: &mut E,
    now: impl Fn() -> Instant,
    payload: impl FnMut(Ticket, u32) -> &'p [u8],
) -> Result<Option<Ticket>, PumpError<Broken>> {
    block_on(asynchronous::transmit(port, endpoint, now, payload))
}

/// Drops the future while the port waits.
fn transmit_cut_short<E: Endpoint>(port: &mut Port, endpoint: &mut E, now: impl Fn() -> Instant) {
    port.waits = true;
    block_on(async {
        let mut cut = Box::pin(asynchronous::transmit(port, endpoint, now, |_, _| &[]));
        for _ in 0..10 {
            assert!(poll_once(&mut cut).await.is_none(), "the port waits for ever");
        }
    });
}
