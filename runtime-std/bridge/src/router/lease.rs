//! Who may move the stage and switch light on, where only one client at a time may.

use flamingo_protocol_core::{Duration, Instant};

use super::ClientId;

/// The holder, until it has been idle for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    /// `None`: everybody may, at any time.
    idle: Option<Duration>,
    held: Option<(ClientId, Instant)>,
}

impl Lease {
    pub(super) const fn new(idle: Option<Duration>) -> Self {
        Self { idle, held: None }
    }

    pub(super) fn holder(&self, now: Instant) -> Option<ClientId> {
        let idle = self.idle?;
        self.held.filter(|(_, last)| now.since(*last) < idle).map(|(client, _)| client)
    }

    /// Takes or keeps the lease; gives the holder if that is somebody else.
    pub(super) fn take(&mut self, now: Instant, client: ClientId) -> Result<(), ClientId> {
        match self.holder(now) {
            Some(holder) if holder != client => Err(holder),
            _ => {
                self.held = self.idle.map(|_| (client, now));
                Ok(())
            }
        }
    }

    /// The client is gone. Gives whether it was the last one to hold the lease: what it set going
    /// may go on though it has been idle.
    pub(super) fn give_up(&mut self, client: ClientId) -> bool {
        self.held.take_if(|(holder, _)| *holder == client).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn the_first_mover_holds_it_until_it_is_idle() {
        let mut lease = Lease::new(Some(Duration::from_millis(10_000)));
        assert_eq!(lease.take(at(0), 1), Ok(()));
        assert_eq!(lease.take(at(9_999), 2), Err(1));
        assert_eq!(lease.take(at(9_999), 1), Ok(()), "what it does prolongs it");
        assert_eq!(lease.take(at(19_998), 2), Err(1));
        assert_eq!(lease.take(at(19_999), 2), Ok(()));
        assert!(!lease.give_up(1));
        assert!(lease.give_up(2));
        assert_eq!(lease.take(at(20_000), 1), Ok(()));
    }

    #[test]
    fn without_a_lease_nobody_holds_anything() {
        let mut lease = Lease::new(None);
        assert_eq!((lease.take(at(0), 1), lease.take(at(0), 2)), (Ok(()), Ok(())));
        assert_eq!(lease.holder(at(0)), None);
        assert!(!lease.give_up(1));
    }

    #[test]
    fn whoever_held_it_last_is_known_though_he_is_idle() {
        let mut lease = Lease::new(Some(Duration::from_millis(10_000)));
        assert_eq!(lease.take(at(0), 1), Ok(()));
        assert_eq!(lease.holder(at(60_000)), None);
        assert!(lease.give_up(1));
        assert!(!lease.give_up(1));
    }
}
