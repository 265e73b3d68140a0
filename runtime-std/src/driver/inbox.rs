//! The channels between the clients and the engine: calls, stops, questions about the counters.
//! They serve any runtime. How a call enters the core is `calls.rs`.

use async_channel::{Receiver, Sender, TryRecvError, TrySendError};

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
    wake: Sender<()>,
}

/// The engine's end. When it is dropped, every call that is still in it ends.
pub(super) struct Inbox {
    stops: Receiver<Call>,
    calls: Receiver<Call>,
    pub(super) stats: Receiver<Sender<Stats>>,
    /// A future was dropped: look for abandoned calls.
    pub(super) dropped: Receiver<()>,
    /// Something of the above has arrived; one message is enough.
    pub(super) wake: Receiver<()>,
}

/// What [`Inbox::next`] returns.
pub(super) enum Next {
    Call(Box<Call>),
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
    let (wake, wake_in) = async_channel::bounded(1);
    let caller = Caller { stops, calls, stats, dropped, wake };
    let inbox = Inbox {
        stops: stops_in,
        calls: calls_in,
        stats: stats_in,
        dropped: dropped_in,
        wake: wake_in,
    };
    (caller, inbox)
}

impl Caller {
    /// Hands over a call; waits while too many wait. Dropping the future takes it back.
    pub(crate) async fn call(&self, call: Call) -> Result<(), Closed> {
        self.calls.send(call).await.map_err(|_| Closed)?;
        self.wake();
        Ok(())
    }

    /// Hands over a stop, which never waits behind other calls. `None`: there is no place for it.
    pub(crate) fn stop(&self, call: Call) -> Option<Result<(), Closed>> {
        match self.stops.try_send(call) {
            Ok(()) => {
                self.wake();
                Some(Ok(()))
            }
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

    fn wake(&self) {
        // Full: the engine will take a turn anyway. Closed: there is none.
        let _ = self.wake.try_send(());
    }
}

impl Inbox {
    /// The next call, a stop before any other.
    pub(super) fn next(&self) -> Next {
        let call = match self.stops.try_recv() {
            Err(TryRecvError::Empty) => self.calls.try_recv(),
            call => call,
        };
        match call {
            Ok(call) => Next::Call(Box::new(call)),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Closed) => Next::Closed,
        }
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
