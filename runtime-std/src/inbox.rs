//! What the clients hold the other end of: orders, stops, questions about the counters. When it
//! is dropped, however that comes, whoever still waits in it is let go.

use async_channel::{Receiver, Sender};

use crate::desk::{Order, Stats};
use crate::driver::Lost;

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

/// The next order.
pub(crate) async fn next(orders: &Receiver<Order>) -> Result<Option<Wake>, Lost> {
    let order = orders.recv().await.map_err(|_| Lost::Closed)?;
    Ok(Some(Wake::Order(Box::new(order))))
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
