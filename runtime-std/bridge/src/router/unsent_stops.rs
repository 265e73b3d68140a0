//! Stops that wait for a connection to the instrument: they go first on the next one, and are given up
//! when they would stop something else. How a stop is sent is in `stops.rs`.

use flamingo_protocol_core::{
    Frame,
    time::{Duration, Instant},
};

use super::client::Command;
use super::permissions::{expects_answer, is_emergency, is_stop};
use super::recipient::Recipients;
use super::stops::{join, must_not_follow};
use super::{ClientId, ForwardedCommand, Router, RouterAction};

/// How long a stop may wait for a connection to the instrument. A later stop would stop something else.
const STOP_VALID_FOR: Duration = Duration::from_millis(10_000);

/// When the client of such a stop is told that it still waits. `flamingo` waits 3 s for an
/// answer.
const TOLD_AFTER: Duration = Duration::from_millis(2_000);

/// A stop that is requested again so long after the attempts began hurries them again: they are in a
/// hurry no longer than a stop is valid.
const HURRIES_AGAIN_AFTER: Duration = Duration::from_millis(5_000);

/// A stop that waits for a connection to the instrument. No two of them are equal, so that their number
/// is that of the different stops.
#[derive(Debug)]
pub(super) struct UnsentStop {
    /// When it was requested last.
    arrived: Instant,
    frame: Frame,
    /// The clients that sent it. Empty for a stop of the bridge itself.
    recipients: Recipients,
    /// Since when the first of them has waited for its answer.
    awaited_since: Option<Instant>,
    /// When it hurried the attempts to connect last.
    hurried: Instant,
}

impl UnsentStop {
    fn new(arrived: Instant, frame: Frame, recipients: Recipients) -> Self {
        let is_awaited = expects_answer(&frame) && recipients.iter().any(|to| to.awaits);
        let awaited_since = is_awaited.then_some(arrived);
        Self { arrived, frame, recipients, awaited_since, hurried: arrived }
    }

    fn given_up_at(&self) -> Instant {
        self.arrived + STOP_VALID_FOR
    }

    /// When its clients are told that it was not sent, or when it is given up.
    pub(super) fn due(&self, request_timeout: Duration) -> Instant {
        let told = self.awaited_since.map(|since| since + request_timeout.min(TOLD_AFTER));
        told.into_iter().chain([self.given_up_at()]).min().unwrap_or(self.arrived)
    }
}

impl Router {
    /// Keeps a stop for the next connection, which begins with it.
    pub(super) fn hold_stop(&mut self, recipients: &Recipients, stop: &Frame, arrived: Instant) {
        self.hold(UnsentStop::new(arrived, *stop, recipients.clone()));
    }

    fn hold(&mut self, mut stop: UnsentStop) {
        let recipients = std::mem::take(&mut stop.recipients);
        let same = self.unsent_stops.iter().position(|held| held.frame == stop.frame);
        let place = same.unwrap_or(self.unsent_stops.len());
        if same.is_none() {
            self.unsent_stops.push(stop);
            self.actions.push_back(RouterAction::ConnectNow);
        } else if let Some(held) = self.unsent_stops.get_mut(place) {
            held.arrived = held.arrived.max(stop.arrived);
            held.awaited_since = held.awaited_since.into_iter().chain(stop.awaited_since).min();
            if held.hurried + HURRIES_AGAIN_AFTER <= held.arrived {
                held.hurried = held.arrived;
                self.actions.push_back(RouterAction::ConnectNow);
            }
        }
        let Some(held) = self.unsent_stops.get_mut(place) else { return };
        for to in recipients {
            let Some(client) = self.clients.get_mut(&to.id) else { continue };
            if join(&mut held.recipients, &to, &held.frame, client) {
                client.in_flight += usize::from(expects_answer(&held.frame));
            }
        }
    }

    /// The stops of a connection that has ended which must go out on the next one.
    pub(super) fn take_unsent_stops(&mut self) -> Vec<UnsentStop> {
        // What the instrument has not read may be lost with the link.
        let all = !self.open || self.given_up;
        let is_unsent = |forwarded: &ForwardedCommand| {
            let may_be_lost = !forwarded.written || all;
            may_be_lost && !forwarded.ended && is_stop(&forwarded.command.frame)
        };
        let unsent = self.forwarded.iter().filter(|(_, forwarded)| is_unsent(forwarded));
        let tickets: Vec<_> = unsent.map(|(ticket, _)| *ticket).collect();
        let unsent = tickets.into_iter().filter_map(|ticket| self.forwarded.remove(&ticket));
        let unsent = unsent.map(|forwarded| {
            let command = forwarded.command;
            UnsentStop::new(command.arrived, command.frame, forwarded.recipients)
        });
        let unconfirmed = std::mem::take(&mut self.unconfirmed_stops);
        unsent.chain(unconfirmed.into_iter().filter(|_| all)).collect()
    }

    /// A command was written. Nothing confirms a laser-off, so it is remembered until the laser is
    /// switched on again.
    pub(super) fn note_unconfirmed(&mut self, command: &Command) {
        let Command { frame, arrived, .. } = command;
        self.unconfirmed_stops
            .retain(|stop| stop.frame != *frame && !must_not_follow(frame, &stop.frame));
        if is_emergency(frame) && !expects_answer(frame) {
            self.unconfirmed_stops.push(UnsentStop::new(*arrived, *frame, Recipients::NONE));
        }
    }

    /// Keeps these stops for the next connection.
    pub(super) fn hold_stops(&mut self, stops: Vec<UnsentStop>) {
        for stop in stops {
            self.hold(stop);
        }
    }

    /// Begins a connection with the stops that waited for it.
    pub(super) fn send_unsent_stops(&mut self, now: Instant) {
        self.end_unsent_stops(now);
        for stop in std::mem::take(&mut self.unsent_stops) {
            self.count_awaited(&stop.recipients, &stop.frame, -1);
            self.give_stop_to_core(now, stop.recipients, &stop.frame, stop.arrived);
        }
        self.take_events(now, None);
    }

    /// Tells clients that their stop was not sent yet, and gives up those that have waited too long.
    pub(super) fn end_unsent_stops(&mut self, now: Instant) {
        let timeout = self.options.request_timeout;
        for mut stop in std::mem::take(&mut self.unsent_stops) {
            if now < stop.due(timeout) {
                self.unsent_stops.push(stop);
                continue;
            }
            let recipients = std::mem::take(&mut stop.recipients);
            self.count_awaited(&recipients, &stop.frame, -1);
            stop.awaited_since = None;
            if now < stop.given_up_at() {
                let reason = "no connection yet; it goes first if there is one soon";
                self.refuse_stop(now, &recipients, &stop.frame, reason);
                self.unsent_stops.push(stop);
            } else {
                let reason = "not sent: the instrument was away too long";
                let code = stop.frame.code;
                self.log(format!("{code} was never sent: the instrument was away too long"));
                self.refuse_stop(now, &recipients, &stop.frame, reason);
            }
        }
    }

    /// The clients that wait for the answers to stops that wait for a connection.
    pub(super) fn clients_with_unsent_stops(&self) -> impl Iterator<Item = ClientId> {
        let awaited = self.unsent_stops.iter().filter(|stop| stop.awaited_since.is_some());
        awaited.flat_map(|stop| &stop.recipients).map(|recipient| recipient.id)
    }

    /// The client has left: its stops that wait are sent all the same.
    pub(super) fn forget_waiting_for_stops(&mut self, id: ClientId) {
        for stop in &mut self.unsent_stops {
            stop.recipients.retain(|recipient| recipient.id != id);
            stop.awaited_since.take_if(|_| !stop.recipients.iter().any(|to| to.awaits));
        }
    }
}
