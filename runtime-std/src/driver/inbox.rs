//! The channels between the clients and the engine: calls, stops, questions about the counters.
//! They serve any runtime. How a call enters the core is `calls.rs`.

use std::sync::{Arc, OnceLock, Weak};

use async_channel::{Receiver, Sender, TryRecvError, TrySendError};

use super::link::Link;
use super::outcome::{Expected, Reply, Slots, Wanted};
use super::pending_calls::{Call, Stats};

/// Calls that may wait for the engine; a further one waits in its caller.
const CALLS: usize = 64;

/// The clients' end.
#[derive(Debug)]
pub(crate) struct Caller {
    stops: Sender<Call>,
    calls: Sender<Call>,
    stats: Sender<Sender<Stats>>,
    dropped: Sender<()>,
    slots: Slots,
    link: Arc<OnceLock<Weak<Link>>>,
}

/// The engine's end. When it is dropped, every call that is still in it ends.
pub(super) struct Inbox {
    stops: Receiver<Call>,
    calls: Receiver<Call>,
    pub(super) stats: Receiver<Sender<Stats>>,
    /// A future was dropped: look for abandoned calls.
    pub(super) dropped: Receiver<()>,
    link: Arc<OnceLock<Weak<Link>>>,
}

/// What [`Inbox::next`] returns.
#[allow(clippy::large_enum_variant)] // moved once; a box would be an allocation for each call
pub(super) enum Next {
    Call(Call),
    Nothing,
    /// The last client is gone, or one has closed the connection.
    Closed,
}

/// The engine has ended, or the last client has closed the connection.
pub(crate) struct Closed;

/// Makes both ends.
pub(super) fn inbox() -> (Caller, Inbox) {
    let (stops, stops_in) = async_channel::bounded(CALLS);
    let (calls, calls_in) = async_channel::bounded(CALLS);
    let (stats, stats_in) = async_channel::bounded(1);
    let (dropped, dropped_in) = async_channel::bounded(1);
    let link = Arc::new(OnceLock::new());
    let caller =
        Caller { stops, calls, stats, dropped, slots: Slots::default(), link: Arc::clone(&link) };
    let inbox =
        Inbox { stops: stops_in, calls: calls_in, stats: stats_in, dropped: dropped_in, link };
    (caller, inbox)
}

impl Caller {
    /// What a call needs to report its outcome, and its caller to receive it.
    pub(crate) fn reply(&self, wanted: Wanted) -> (Reply, Expected) {
        self.slots.pair(wanted)
    }

    /// Keeps what a call that has ended needed, for another one.
    pub(crate) fn keep(&self, ended: &Expected) {
        self.slots.keep(ended);
    }

    /// What moves the bytes, if the engine has a socket.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.link.get()?.upgrade()
    }

    /// Hands over a call; waits while too many wait. Dropping the future takes it back.
    pub(crate) async fn call(&self, call: Call) -> Result<(), Closed> {
        match self.calls.try_send(call) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Closed),
            Err(TrySendError::Full(call)) => self.calls.send(call).await.map_err(|_| Closed),
        }
    }

    /// Hands over a stop, which never waits behind other calls. `None`: there is no place for it.
    pub(crate) fn stop(&self, call: Call) -> Option<Result<(), Closed>> {
        match self.stops.try_send(call) {
            Ok(()) => Some(Ok(())),
            Err(TrySendError::Closed(_)) => Some(Err(Closed)),
            Err(TrySendError::Full(_)) => None,
        }
    }

    /// What the engine has counted. Cancel-safe: nothing depends on the answer.
    pub(crate) async fn stats(&self) -> Result<Stats, Closed> {
        let (reply, stats) = async_channel::bounded(1);
        self.stats.send(reply).await.map_err(|_| Closed)?;
        self.wake();
        stats.recv().await.map_err(|_| Closed)
    }

    /// Some caller does not wait any more.
    pub(crate) fn abandon(&self) {
        // Full: the engine will look anyway.
        let _ = self.dropped.try_send(());
        self.wake();
    }

    /// No call is taken any more, of any client.
    pub(crate) fn close(&self) {
        self.calls.close();
        self.wake();
    }

    /// The driver looks at what is new.
    fn wake(&self) {
        if let Some(link) = self.link() {
            link.wake_driver();
        }
    }
}

impl Drop for Caller {
    /// The driver learns that no client is left.
    fn drop(&mut self) {
        self.close();
    }
}

impl Inbox {
    /// From now on, clients use this link.
    pub(super) fn attach(&self, link: Weak<Link>) {
        // An engine is given to one link only.
        let _ = self.link.set(link);
    }

    /// The next call, a stop before any other.
    pub(super) fn next(&self) -> Next {
        let call = match self.stops.try_recv() {
            Err(TryRecvError::Empty) => self.calls.try_recv(),
            call => call,
        };
        match call {
            Ok(call) => Next::Call(call),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Closed) => Next::Closed,
        }
    }

    /// Shows how many calls wait, without the engine.
    pub(super) fn arrivals(&self) -> Arrivals {
        Arrivals { stops: self.stops.clone(), calls: self.calls.clone() }
    }
}

/// Shows how many calls wait, without the engine.
#[derive(Debug)]
pub(super) struct Arrivals {
    stops: Receiver<Call>,
    calls: Receiver<Call>,
}

impl Arrivals {
    pub(super) fn len(&self) -> usize {
        self.stops.len() + self.calls.len()
    }
}

impl Drop for Inbox {
    /// A closed channel keeps what is in it while a sender lives, and with it the reply that a
    /// caller waits for: nothing may stay in there.
    fn drop(&mut self) {
        self.stops.close();
        self.calls.close();
        self.stats.close();
        while self.stops.try_recv().or_else(|_| self.calls.try_recv()).is_ok() {}
        while self.stats.try_recv().is_ok() {}
    }
}
