//! How a call of a client enters the core, and how it is taken back. How calls reach the engine is
//! `inbox.rs`; where they wait for their outcome is `pending_calls.rs`.

use std::sync::Arc;

use async_channel::Sender;
use flamingo_protocol_core::{
    Frame,
    connection::{Cancelled, is_cancelled_by},
    error::CommandError,
    time::Instant,
    wire::Effect,
};

use super::engine::Engine;
use super::inbox::Next;
use super::outcome::Wanted;
use super::pending_calls::{Call, Stats};
use super::session::Lost;
use crate::error::Error;
use crate::event::Event;

/// Calls that are taken at once: fewer than the core has slots for stops.
const CALLS_PER_TURN: usize = 8;
/// Stops that may wait for a connection.
const STOPS_KEPT: usize = 64;
/// More than there are axes and lasers: of a repeated stop the last one counts.
const STOPS_REMEMBERED: usize = 32;

impl Engine {
    /// Takes what the clients have called, stops first. What the core refuses ends at once. Returns
    /// whether there may be more to take.
    pub fn take_calls(&mut self, now: Instant) -> bool {
        let mut more = true;
        for _ in 0..CALLS_PER_TURN {
            match self.inbox.next() {
                Next::Call(call) => self.accept(now, call),
                Next::Nothing => {
                    more = false;
                    break;
                }
                Next::Closed if self.has_unsent_stop() => {
                    more = false;
                    break;
                }
                Next::Closed => {
                    self.lose(now, &Lost::Closed);
                    return false;
                }
            }
        }
        while let Ok(reply) = self.inbox.stats.try_recv() {
            self.send_stats(&reply);
        }
        if self.inbox.dropped.try_recv().is_ok() {
            self.cancel_abandoned(now);
        }
        // A stop ends the calls that it cancels.
        self.take_events(now, None);
        more
    }

    /// Gives a call to the core, if its caller still waits for it.
    pub(super) fn accept(&mut self, now: Instant, mut call: Call) {
        if call.is_abandoned() {
            return;
        }
        call.reply.take_call();
        if !self.is_connected() {
            if call.stops() && self.may_connect_again() && self.blocked_stops.len() < STOPS_KEPT {
                return self.stop_on_the_next_connection(call);
            }
            return call.refuse(self.lost_error("not connected at present"));
        }
        if !self.is_open() && !call.stops() {
            return call.refuse(self.lost_error("it is being made again"));
        }
        let cancels = |(at, stop): &(Instant, Frame)| {
            *at >= call.called_at && is_cancelled_by(&call.frame, stop)
        };
        if self.stops.iter().any(cancels) {
            return call.refuse(Error::Superseded { code: call.code() });
        }
        if call.stops() {
            self.stops.truncate(STOPS_REMEMBERED - 1);
            self.stops.push_front((call.called_at, call.frame));
        }
        call.noise_before = self.core.counters().noise_bytes;
        let mut ticket = match call.reply.wanted() {
            Wanted::Answer if call.is_too_late(now) => {
                let (code, after) = (call.code(), call.timeout);
                return call.refuse(Error::TimedOut { code, after, sent: false });
            }
            // The time that it was in the inbox is not taken from the time for its answer.
            Wanted::Answer => self.core.request(now, &call.frame, now + call.timeout.into()),
            Wanted::Written => self.core.send(now, &call.frame),
        };
        call.unconfirmed = false;
        if call.stops() && matches!(ticket, Err(CommandError::Full { .. })) {
            // No room to wait for its answer: a stop goes out all the same.
            ticket = self.core.send(now, &call.frame);
            call.unconfirmed = true;
        }
        match ticket {
            Ok(ticket) => {
                self.publish_commanded(&call);
                self.pending.insert(ticket, call);
            }
            Err(source) => call.refuse(Error::Refused { code: call.code(), source }),
        }
    }

    /// Whether a stop waits to be written, on this connection or on the next.
    pub(super) fn has_unsent_stop(&self) -> bool {
        !self.blocked_stops.is_empty() || self.pending.has_unsent_stop()
    }

    /// A subscriber that waits for the end of a motion learns what else is done to that axis.
    fn publish_commanded(&self, call: &Call) {
        let Some(effect) = call.code().row().map(|row| row.effect) else { return };
        if effect.moves() || effect == Effect::StopsMotion {
            self.fanout.publish(&Event::Commanded { frame: Arc::new(call.frame), call: call.id });
        }
    }

    fn cancel_abandoned(&mut self, now: Instant) {
        for ticket in self.pending.abandoned() {
            let cancelled = self.core.cancel(now, ticket);
            self.pending.forget(ticket, cancelled != Cancelled::NotSent);
        }
    }

    fn send_stats(&self, reply: &Sender<Stats>) {
        let (in_flight, tombstones) = self.core.in_flight();
        // The caller may have gone.
        let _ = reply.try_send(Stats {
            counters: self.core.counters(),
            in_flight,
            tombstones,
            events: self.events,
            events_lost: self.fanout.lost(),
            reconnects: self.reconnects,
        });
    }
}
