//! What clients ask of the driver: the receiving ends of their channels. What is done with it is
//! the driver's business.

use async_channel::{Receiver, Sender, TryRecvError};
use smol::future;

use crate::desk::{Order, Stats};
use crate::driver::Lost;

/// What the clients hold the other end of.
pub(crate) struct Inbox {
    pub(crate) stops: Receiver<Order>,
    pub(crate) orders: Receiver<Order>,
    pub(crate) stats: Receiver<Sender<Stats>>,
    /// Somebody dropped a future: look who is abandoned.
    pub(crate) dropped: Receiver<()>,
}

/// What a client wants.
pub(crate) enum Wake {
    Order(Box<Order>),
    Stats(Sender<Stats>),
    Dropped,
}

impl Inbox {
    /// The next thing a client wants, stops first. It may be dropped and made again: nothing is
    /// taken before it is returned.
    ///
    /// # Errors
    /// [`Lost::Closed`]: nobody can want anything any more.
    pub(crate) async fn next(&self) -> Result<Wake, Lost> {
        let order = async {
            let order = future::or(self.stops.recv(), self.orders.recv()).await;
            order.map(|order| Wake::Order(Box::new(order)))
        };
        let stats = async { self.stats.recv().await.map(Wake::Stats) };
        let dropped = async { self.dropped.recv().await.map(|()| Wake::Dropped) };
        future::or(future::or(order, dropped), stats).await.map_err(|_| Lost::Closed)
    }

    /// The next order, if one is there; stops first.
    pub(crate) fn try_order(&self) -> Result<Option<Order>, Lost> {
        let order = match self.stops.try_recv() {
            Err(TryRecvError::Empty) => self.orders.try_recv(),
            order => order,
        };
        match order {
            Ok(order) => Ok(Some(order)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Closed) => Err(Lost::Closed),
        }
    }
}

impl Drop for Inbox {
    /// Who still waits here is told by the end of his reply's channel. (A channel whose receiver
    /// is gone keeps what is in it.)
    fn drop(&mut self) {
        empty(&self.stops);
        empty(&self.orders);
        empty(&self.stats);
    }
}

fn empty<T>(queue: &Receiver<T>) {
    queue.close();
    while queue.try_recv().is_ok() {}
}
