//! The motion lease: with it, only one client at a time may move axes and use lasers.

use flamingo_protocol_core::time::{Duration, Instant};

use super::ClientId;

/// The lease and its holder.
#[derive(Debug, Clone, Copy)]
pub(super) struct MotionLease {
    /// The idle time after which the lease is free again. `None`: there is no lease, and every client
    /// may move at any time.
    idle: Option<Duration>,
    /// The client that took the lease last, and from when on it is free.
    last_holder: Option<(ClientId, Instant)>,
}

impl MotionLease {
    pub(super) const fn new(idle: Option<Duration>) -> Self {
        Self { idle, last_holder: None }
    }

    /// The client that holds the lease now.
    pub(super) fn holder(&self, now: Instant) -> Option<ClientId> {
        self.last_holder.filter(|(_, free_from)| now < *free_from).map(|(client, _)| client)
    }

    /// Takes or keeps the lease. The error is the other client that holds it.
    pub(super) fn take(&mut self, now: Instant, client: ClientId) -> Result<(), ClientId> {
        match self.holder(now) {
            Some(holder) if holder != client => Err(holder),
            _ => {
                self.last_holder = self.idle.map(|idle| (client, now + idle));
                Ok(())
            }
        }
    }

    /// Whether this client was the last one to hold the lease.
    pub(super) fn is_last_holder(&self, client: ClientId) -> bool {
        self.last_holder.is_some_and(|(holder, _)| holder == client)
    }

    /// The client may not move any more: the lease is free for others. It stays the last holder, since a
    /// motion that it began may still run.
    pub(super) fn make_free(&mut self, now: Instant, client: ClientId) {
        if let Some((_, free_from)) = self.last_holder.as_mut().filter(|(last, _)| *last == client)
        {
            *free_from = now.min(*free_from);
        }
    }

    /// The client has left. Returns whether it was the last one to hold the lease: a motion that it
    /// began may still run, although the client has been idle.
    pub(super) fn release(&mut self, client: ClientId) -> bool {
        self.last_holder.take_if(|(holder, _)| *holder == client).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn the_first_mover_holds_the_lease_until_it_is_idle() {
        let mut lease = MotionLease::new(Some(Duration::from_millis(10_000)));
        assert_eq!(lease.take(at(0), 1), Ok(()));
        assert_eq!(lease.take(at(9_999), 2), Err(1));
        assert_eq!(lease.take(at(9_999), 1), Ok(()), "each use extends the lease");
        assert_eq!(lease.take(at(19_998), 2), Err(1));
        assert_eq!(lease.take(at(19_999), 2), Ok(()));
        assert!(!lease.release(1));
        assert!(lease.release(2));
        assert_eq!(lease.take(at(20_000), 1), Ok(()));
    }

    #[test]
    fn without_a_lease_every_client_may_move() {
        let mut lease = MotionLease::new(None);
        assert_eq!((lease.take(at(0), 1), lease.take(at(0), 2)), (Ok(()), Ok(())));
        assert_eq!(lease.holder(at(0)), None);
        assert!(!lease.release(1));
    }

    #[test]
    fn the_last_holder_is_known_after_it_has_been_idle() {
        let mut lease = MotionLease::new(Some(Duration::from_millis(10_000)));
        assert_eq!(lease.take(at(0), 1), Ok(()));
        assert_eq!(lease.holder(at(60_000)), None);
        assert!(lease.release(1));
        assert!(!lease.release(1));
    }
}
