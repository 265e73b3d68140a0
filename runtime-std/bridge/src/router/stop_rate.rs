//! The rate of the stops of one client. A stop within the rate goes out at once. Above it, the client
//! has one place for each different stop, which goes out when the rate allows; equal stops that come
//! meanwhile join it. So a client that repeats its stops neither floods the instrument nor takes the
//! places of others. How a stop is sent is in `stops.rs`.

use std::collections::VecDeque;

use flamingo_protocol_core::{CommandCode, Frame, time::Instant};

use super::recipient::{Recipient, Recipients};
use super::stops::{join, must_not_follow};
use super::token_bucket::TokenBucket;
use super::{ClientId, Router};

/// A stop that waits for the rate of its client.
#[derive(Debug)]
pub(super) struct DelayedStop {
    frame: Frame,
    /// The commands of the client that it answers.
    recipients: Recipients,
    /// When the last of them arrived.
    arrived: Instant,
}

/// The rate of the stops of one client, and the stops that wait for it.
#[derive(Debug)]
pub(super) struct StopRate {
    rate: TokenBucket,
    /// In the order of their arrival. No two frames are equal.
    delayed: VecDeque<DelayedStop>,
}

impl StopRate {
    pub(super) fn new(now: Instant, per_second: u32) -> Self {
        Self { rate: TokenBucket::new(now, per_second.into()), delayed: VecDeque::new() }
    }

    /// When the first of the stops that wait may go.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.delayed.is_empty()).then(|| self.rate.holds_at(1))
    }

    /// Whether a stop that waits cancels this command, which came later: the stop must go first.
    pub(super) fn precede(&self, command: &Frame) -> bool {
        self.delayed.iter().any(|stop| must_not_follow(command, &stop.frame))
    }

    /// Whether a stop of this code waits.
    pub(super) fn include(&self, code: CommandCode) -> bool {
        self.delayed.iter().any(|stop| stop.frame.code == code)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.delayed.is_empty()
    }

    /// Takes the stops that may go now.
    fn take_due(&mut self, now: Instant) -> Vec<DelayedStop> {
        let mut due = Vec::new();
        while !self.delayed.is_empty() && self.rate.take(now, 1) {
            due.extend(self.delayed.pop_front());
        }
        due
    }

    /// Takes all stops that wait.
    fn take_all(&mut self) -> Vec<DelayedStop> {
        self.delayed.drain(..).collect()
    }
}

impl Router {
    /// Whether the client may send this stop now. If not, the stop waits for the rate.
    pub(super) fn is_within_stop_rate(
        &mut self,
        now: Instant,
        to: Recipient,
        stop: &Frame,
        arrived: Instant,
    ) -> bool {
        let Some(client) = self.clients.get_mut(&to.id) else { return true };
        let mut delayed = std::mem::take(&mut client.stops.delayed);
        let equal = delayed.iter_mut().find(|delayed| delayed.frame == *stop);
        let (goes, waits) = match equal {
            None if client.stops.rate.take(now, 1) => (true, false),
            None => {
                delayed.push_back(DelayedStop {
                    frame: *stop,
                    recipients: Recipients::one(to),
                    arrived,
                });
                (false, true)
            }
            Some(equal) => {
                equal.arrived = arrived;
                (false, join(&mut equal.recipients, &to, stop, client))
            }
        };
        client.stops.delayed = delayed;
        if waits {
            self.count_awaited(&Recipients::one(to), stop, 1);
        }
        goes
    }

    /// Sends the stops of this client that have waited for its rate.
    pub(super) fn send_delayed_stops_of(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let due = client.stops.take_due(now);
        self.send_delayed(now, due);
    }

    /// Sends the stops of all clients that have waited for the rate of their client.
    pub(super) fn send_delayed_stops(&mut self, now: Instant) {
        let due: Vec<_> =
            self.clients.values_mut().flat_map(|client| client.stops.take_due(now)).collect();
        self.send_delayed(now, due);
    }

    /// The connection is lost, and nothing of a client is in flight any more: the stops that wait for a
    /// rate wait for the next connection.
    pub(super) fn hold_delayed_stops(&mut self) {
        let all: Vec<_> =
            self.clients.values_mut().flat_map(|client| client.stops.take_all()).collect();
        for DelayedStop { frame, recipients, arrived } in all {
            self.hold_stop(&recipients, &frame, arrived);
        }
    }

    /// The client has left: its stops are sent all the same, and nobody waits for their answers.
    pub(super) fn send_stops_of_gone(&mut self, now: Instant, mut stops: StopRate) {
        for DelayedStop { frame, arrived, .. } in stops.take_all() {
            self.send_stop_part(now, Recipients::NONE, &frame, arrived);
        }
    }

    fn send_delayed(&mut self, now: Instant, stops: Vec<DelayedStop>) {
        for DelayedStop { frame, recipients, arrived } in stops {
            self.count_awaited(&recipients, &frame, -1);
            self.send_stop_part(now, recipients, &frame, arrived);
        }
    }
}
