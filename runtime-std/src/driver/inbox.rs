//! What the clients ask of the driver: calls, stops, questions about the counters; how they come
//! in, and how a call enters the core. When the inbox is dropped, however that comes, whoever
//! still waits in it is let go.

use async_channel::{Receiver, Sender, TryRecvError};
use flamingo_protocol_core::{Cancelled, CommandError, Effect, Frame, Instant, is_cancelled_by};

use crate::driver::pending_calls::{Call, Reply, Stats};
use crate::driver::{Driver, Lost};
use crate::error::Error;
use crate::fanout::Event;

pub(crate) struct Inbox {
    pub(crate) stops: Receiver<Call>,
    pub(crate) calls: Receiver<Call>,
    pub(crate) stats: Receiver<Sender<Stats>>,
    /// Somebody dropped a future: look who is abandoned.
    pub(crate) dropped: Receiver<()>,
}

/// What came in.
pub(crate) enum Wake {
    Call(Box<Call>),
    Stats(Sender<Stats>),
    Dropped,
}

/// Calls taken before writing: fewer than the core has slots for stops.
const CALLS_PER_TURN: usize = 8;
/// More than there are axes and lasers: of a repeated stop the last one counts.
const STOPS_REMEMBERED: usize = 32;

/// The next call.
pub(crate) async fn next(calls: &Receiver<Call>) -> Result<Option<Wake>, Lost> {
    let call = calls.recv().await.map_err(|_| Lost::Closed)?;
    Ok(Some(Wake::Call(Box::new(call))))
}

impl Driver {
    /// Stops first. What the core refuses is told at once.
    pub(crate) fn take_calls(&mut self) -> Result<(), Lost> {
        for _ in 0..CALLS_PER_TURN {
            let call = match self.inbox.stops.try_recv() {
                Err(TryRecvError::Empty) => self.inbox.calls.try_recv(),
                call => call,
            };
            match call {
                Ok(call) => self.accept(call),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => return Err(Lost::Closed),
            }
        }
        while let Ok(reply) = self.inbox.stats.try_recv() {
            self.tell_stats(&reply);
        }
        if self.inbox.dropped.try_recv().is_ok() {
            self.cancel_abandoned();
        }
        Ok(())
    }

    /// Gives a call to the core, if somebody still waits for it.
    pub(crate) fn accept(&mut self, mut call: Call) {
        if call.is_abandoned() {
            return;
        }
        if !self.open && !call.stops() {
            return call.refuse(self.lost_error("it is being made again"));
        }
        let cancels = |(at, stop): &(Instant, Frame)| {
            *at >= call.asked_at && is_cancelled_by(&call.frame, stop)
        };
        if self.stops.iter().any(cancels) {
            return call.refuse(Error::Superseded { code: call.code() });
        }
        if call.stops() {
            self.stops.truncate(STOPS_REMEMBERED - 1);
            self.stops.push_front((call.asked_at, call.frame));
        }
        call.noise_before = self.core.counters().noise_bytes;
        let now = self.clock.now();
        let ticket = match &call.reply {
            Reply::Answer(_) => self.core.request(now, &call.frame, call.deadline()),
            Reply::Written(_) => self.core.send(now, &call.frame),
        };
        match ticket {
            Ok(ticket) => {
                self.tell_commanded(&call);
                self.pending.take_in(ticket, call);
            }
            // No room to wait for its answer: a stop goes out all the same.
            Err(CommandError::Full { .. })
                if call.stops() && self.core.send(now, &call.frame).is_ok() =>
            {
                self.tell_commanded(&call);
                call.refuse(Error::Unconfirmed { code: call.code() });
            }
            Err(source) => call.refuse(Error::Refused { code: call.code(), source }),
        }
    }

    /// Whoever waits for the end of a motion hears of what else is done to that axis.
    fn tell_commanded(&self, call: &Call) {
        let Some(effect) = call.code().row().map(|row| row.effect) else { return };
        if effect.moves() || effect == Effect::StopsMotion {
            let commanded = Event::Commanded { frame: call.frame, call: call.id };
            self.fanout.publish(&commanded);
        }
    }

    pub(crate) fn cancel_abandoned(&mut self) {
        for ticket in self.pending.abandoned() {
            let cancelled = self.core.cancel(self.clock.now(), ticket);
            self.pending.forget(ticket, cancelled != Cancelled::NotSent);
        }
    }

    pub(crate) fn tell_stats(&self, reply: &Sender<Stats>) {
        let (in_flight, tombstones) = self.core.in_flight();
        // Whoever asked may have gone.
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

impl Drop for Inbox {
    /// A closed channel keeps what is in it while a sender lives, and with it the reply that
    /// somebody waits for: nothing may stay in there.
    fn drop(&mut self) {
        self.stops.close();
        self.calls.close();
        self.stats.close();
        while self.stops.try_recv().or_else(|_| self.calls.try_recv()).is_ok() {}
        while self.stats.try_recv().is_ok() {}
    }
}
