//! What is allocated for each frame once the traffic is steady.

use flamingo_protocol_core::{CommandCode, Frame, time::Instant};

use super::harness::*;
use crate::router::{ClientId, Router, RouterAction, RouterOptions};
use crate::settings::{Delivery, LimitSettings, Role};
use flamingo_runtime_testkit::allocator::allocations;

/// An instrument that answers each frame with the same frame, and clients that read everything.
struct Steady {
    router: Router,
    clients: Vec<ClientId>,
    now: Instant,
    frames: [u8; 4096],
}

impl Steady {
    fn new(clients: usize, delivery: Delivery) -> Self {
        let limits =
            LimitSettings { clients, clients_per_address: clients, ..LimitSettings::default() };
        let Harness { mut router, now, .. } = Harness::new(RouterOptions { limits, ..options() });
        router.compare_nothing();
        let mut open = || router.client_opened(now, "10.0.0.1:1".into(), Role::Control, delivery);
        let clients = (0..clients).map(|_| open()).collect();
        Self { router, clients, now, frames: [0; 4096] }
    }

    /// Each client asks once, and has its answer.
    fn round(&mut self) {
        self.now = self.now + ms(10);
        for nth in 0..self.clients.len() {
            let query = position(1 + nth as i32 % 4).encode();
            self.router.client_input(self.now, self.clients[nth], &query);
        }
        loop {
            let bytes = self.router.upstream_output(self.now);
            if bytes.is_empty() {
                break;
            }
            let count = bytes.len();
            self.frames[..count].copy_from_slice(bytes);
            self.router.upstream_wrote(self.now, count);
            self.router.upstream_input(self.now, &self.frames[..count]);
        }
        assert_eq!(self.router.clients_to_serve(), self.clients);
        for nth in 0..self.clients.len() {
            assert_eq!(self.read(nth), 128);
        }
        if self.router.poll_timeout().is_some_and(|due| due <= self.now) {
            self.router.handle_timeout(self.now);
        }
        assert_eq!(self.router.poll_action(), None);
    }

    /// The client takes what the router has for it. Returns how many bytes.
    fn read(&mut self, nth: usize) -> usize {
        let count = self.router.client_output(self.clients[nth]).len();
        self.router.client_wrote(self.clients[nth], count);
        count
    }

    /// An event comes, and each client takes it.
    fn event(&mut self) {
        self.router.upstream_input(self.now, &push(1, 2.0).encode());
        for nth in 0..self.clients.len() {
            assert_eq!(self.read(nth), 128);
        }
        assert!(matches!(self.router.poll_action(), Some(RouterAction::Publish(_))));
    }
}

#[test]
fn queries_and_answers_allocate_nothing() {
    for clients in [1, 2, 60, 256] {
        let mut steady = Steady::new(clients, Delivery::Callback);
        (0..20).for_each(|_| steady.round());
        let count = allocations(|| (0..10).for_each(|_| steady.round()));
        assert_eq!(count, 0, "{clients} clients");
    }
}

#[test]
fn an_event_is_built_once_for_all_clients() {
    for clients in [1, 60] {
        let mut steady = Steady::new(clients, Delivery::Inline);
        (0..20).for_each(|_| steady.event());
        let count = allocations(|| steady.event());
        assert_eq!(count, 1, "the message that {clients} clients and the callback port share");
    }
}

#[test]
fn an_upload_reaches_the_instrument_without_a_copy() {
    const LENGTH: u32 = 4 << 20;
    let mut steady = Steady::new(1, Delivery::Callback);
    let id = steady.clients[0];
    steady.router.client_input(steady.now, id, &upload(LENGTH).encode());
    let payload = vec![7; LENGTH as usize];
    steady.router.client_input(steady.now, id, &payload);
    assert_eq!(steady.router.upstream_output(steady.now).len(), 128);
    let count = allocations(|| {
        steady.router.upstream_wrote(steady.now, 128);
        assert_eq!(steady.router.upstream_output(steady.now), payload);
        steady.router.upstream_wrote(steady.now, payload.len());
    });
    assert_eq!(count, 0);
    let answer = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE);
    steady.router.upstream_input(steady.now, &answer.encode());
    assert_eq!(steady.read(0), 128);
}
