//! What the clients ask of the driver: orders, stops, questions about the counters; how they come
//! in, and how an order enters the core. When the inbox is dropped, however that comes, whoever
//! still waits in it is let go.

use async_channel::{Receiver, Sender, TryRecvError};
use flamingo_protocol_core::{Cancelled, CommandError, Effect, Frame, Instant, is_cancelled_by};

use crate::driver::pending_calls::{Order, Reply, Stats};
use crate::driver::{Driver, Lost};
use crate::error::Error;
use crate::fanout::Event;

pub(crate) struct Inbox {
    pub(crate) stops: Receiver<Order>,
    pub(crate) orders: Receiver<Order>,
    pub(crate) stats: Receiver<Sender<Stats>>,
    /// Somebody dropped a future: look who is abandoned.
    pub(crate) dropped: Receiver<()>,
}

/// What came in.
pub(crate) enum Wake {
    Order(Box<Order>),
    Stats(Sender<Stats>),
    Dropped,
}

/// Orders taken before writing: fewer than the core has slots for stops.
const ORDERS_PER_TURN: usize = 8;
/// More than there are axes and lasers: of a repeated stop the last one counts.
const STOPS_REMEMBERED: usize = 32;

/// The next order.
pub(crate) async fn next(orders: &Receiver<Order>) -> Result<Option<Wake>, Lost> {
    let order = orders.recv().await.map_err(|_| Lost::Closed)?;
    Ok(Some(Wake::Order(Box::new(order))))
}

impl Driver {
    /// Stops first. What the core refuses is told at once.
    pub(crate) fn take_orders(&mut self) -> Result<(), Lost> {
        for _ in 0..ORDERS_PER_TURN {
            let order = match self.inbox.stops.try_recv() {
                Err(TryRecvError::Empty) => self.inbox.orders.try_recv(),
                order => order,
            };
            match order {
                Ok(order) => self.accept(order),
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

    /// Gives an order to the core, if somebody still waits for it.
    pub(crate) fn accept(&mut self, mut order: Order) {
        if order.is_abandoned() {
            return;
        }
        if !self.open && !order.stops() {
            return order.refuse(self.lost_error("it is being made again"));
        }
        let cancels = |(at, stop): &(Instant, Frame)| {
            *at >= order.asked_at && is_cancelled_by(&order.frame, stop)
        };
        if self.stops.iter().any(cancels) {
            return order.refuse(Error::Superseded { code: order.code() });
        }
        if order.stops() {
            self.stops.truncate(STOPS_REMEMBERED - 1);
            self.stops.push_front((order.asked_at, order.frame));
        }
        order.noise_before = self.core.counters().noise_bytes;
        let now = self.clock.now();
        let ticket = match &order.reply {
            Reply::Answer(_) => self.core.request(now, &order.frame, order.deadline()),
            Reply::Written(_) => self.core.send(now, &order.frame),
        };
        match ticket {
            Ok(ticket) => {
                self.tell_commanded(&order);
                self.desk.take_in(ticket, order);
            }
            // No room to wait for its answer: a stop goes out all the same.
            Err(CommandError::Full { .. })
                if order.stops() && self.core.send(now, &order.frame).is_ok() =>
            {
                self.tell_commanded(&order);
                order.refuse(Error::Unconfirmed { code: order.code() });
            }
            Err(source) => order.refuse(Error::Refused { code: order.code(), source }),
        }
    }

    /// Whoever waits for the end of a motion hears of what else is done to that axis.
    fn tell_commanded(&self, order: &Order) {
        let Some(effect) = order.code().row().map(|row| row.effect) else { return };
        if effect.moves() || effect == Effect::StopsMotion {
            let commanded = Event::Commanded { frame: order.frame, order: order.number };
            self.fanout.publish(&commanded);
        }
    }

    pub(crate) fn cancel_abandoned(&mut self) {
        for ticket in self.desk.abandoned() {
            let cancelled = self.core.cancel(self.clock.now(), ticket);
            self.desk.forget(ticket, cancelled != Cancelled::NotSent);
        }
    }

    pub(crate) fn tell_stats(&self, reply: &Sender<Stats>) {
        let (in_flight, owed) = self.core.in_flight();
        // Whoever asked may have gone.
        let _ = reply.try_send(Stats {
            core: self.core.counters(),
            in_flight,
            owed,
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
        self.orders.close();
        self.stats.close();
        while self.stops.try_recv().or_else(|_| self.orders.try_recv()).is_ok() {}
        while self.stats.try_recv().is_ok() {}
    }
}
