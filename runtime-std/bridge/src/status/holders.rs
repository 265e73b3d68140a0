//! Who holds a connection to the status page. The number is limited: a new connection closes an old
//! one, so that connections without a request never keep a request out.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};

/// The connections that are open.
#[derive(Clone)]
pub(super) struct Holders {
    limit: usize,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    next: u64,
    /// By number: a smaller number is older.
    open: BTreeMap<u64, Holder>,
}

struct Holder {
    address: IpAddr,
    phase: Phase,
    /// Dropped to close the connection.
    #[allow(dead_code)] // only held
    open: Sender<()>,
}

/// What a connection waits for. What is least in this order is closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The response was written, and the peer has not closed the connection.
    Answered,
    /// The request has not come.
    Request,
    /// The response is being written.
    Response,
}

/// One connection; it is open until this is dropped.
pub(super) struct Place {
    number: u64,
    holders: Holders,
    closed: Receiver<()>,
}

impl Holders {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, shared: Arc::default() }
    }

    /// A place for a connection from `address`. Closes another one if there are too many: one of the
    /// address that holds most, and there the one whose phase comes first, and the oldest of these.
    pub(super) fn enter(&self, address: IpAddr) -> Place {
        let (open, closed) = async_channel::bounded(1);
        let mut shared = self.shared();
        while shared.open.len() >= self.limit.max(1) {
            let Some(number) = shared.least_needed() else { break };
            shared.open.remove(&number);
        }
        let number = shared.next;
        shared.next += 1;
        shared.open.insert(number, Holder { address, phase: Phase::Request, open });
        Place { number, holders: self.clone(), closed }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn least_needed(&self) -> Option<u64> {
        let of_address =
            |address: IpAddr| self.open.values().filter(|holder| holder.address == address).count();
        let order = |(number, holder): &(&u64, &Holder)| {
            (Reverse(of_address(holder.address)), holder.phase, **number)
        };
        self.open.iter().min_by_key(order).map(|(number, _)| *number)
    }
}

impl Place {
    pub(super) fn set_phase(&self, phase: Phase) {
        if let Some(holder) = self.holders.shared().open.get_mut(&self.number) {
            holder.phase = phase;
        }
    }

    /// Waits until this connection must be closed for a newer one.
    pub(super) async fn is_closed(&self) {
        // Nothing is ever sent: the channel closes.
        let _ = self.closed.recv().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.holders.shared().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn from(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn closed(places: &[Place]) -> Vec<usize> {
        (0..places.len()).filter(|at| places[*at].closed.is_closed()).collect()
    }

    #[test]
    fn a_new_connection_closes_the_oldest_without_a_request() {
        let holders = Holders::new(4);
        let mut places: Vec<_> = (0..4).map(|_| holders.enter(from(1))).collect();
        places[0].set_phase(Phase::Response);
        places[3].set_phase(Phase::Answered);
        for expected in [vec![3], vec![1, 3], vec![1, 2, 3]] {
            places.push(holders.enter(from(1)));
            assert_eq!(closed(&places), expected);
        }
        assert_eq!(holders.shared().open.len(), 4);
    }

    #[test]
    fn the_address_that_holds_most_loses_a_connection() {
        let holders = Holders::new(4);
        let mut places = vec![holders.enter(from(2))];
        for _ in 0..100 {
            places.push(holders.enter(from(1)));
        }
        assert!(!places[0].closed.is_closed());
        assert_eq!(closed(&places).len(), 97);
    }

    #[test]
    fn a_dropped_place_is_free() {
        let holders = Holders::new(1);
        drop(holders.enter(from(1)));
        let place = holders.enter(from(1));
        assert!(!place.closed.is_closed());
        assert_eq!(holders.shared().open.len(), 1);
    }
}
