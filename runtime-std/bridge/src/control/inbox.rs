//! What the other parts of the bridge ask of the control side, and how they wake its thread.

use std::sync::Arc;

use async_channel::{Receiver, SendError, Sender};
use mio::Waker;

use crate::status::{ClientCounters, ClientStatus, UpstreamStatus};

/// What [`Bridge`](crate::Bridge) asks of the control side.
pub(crate) enum ControlRequest {
    /// Stop accepting, finish what is in flight, and end.
    Stop,
    /// The access rules have changed: apply them to the connected clients.
    ApplyAccess,
    /// Send the counters.
    Status(Sender<ControlStatus>),
    /// Drop this sender as soon as the instrument is connected.
    NotifyConnected(Sender<()>),
}

/// The counters of the control side.
pub(crate) struct ControlStatus {
    pub(crate) upstream: UpstreamStatus,
    pub(crate) clients: Vec<ClientStatus>,
    pub(crate) gone: ClientCounters,
}

/// Sends requests to the control side. When the last handle is dropped, the control side stops.
#[derive(Clone)]
pub(crate) struct ControlHandle {
    requests: Sender<ControlRequest>,
    // Fields are dropped in the order of their declaration: when this one wakes the thread, the sender
    // is gone already, and the thread finds the channel closed.
    wake: WakeOnDrop,
}

impl ControlHandle {
    /// A handle, and the requests that it sends.
    pub(super) fn new(waker: Arc<Waker>) -> (Self, Receiver<ControlRequest>) {
        let (requests, inbox) = async_channel::bounded(16);
        (Self { requests, wake: WakeOnDrop(waker) }, inbox)
    }

    /// Sends a request. The error means that the control side has ended.
    ///
    /// Cancel-safe: a request is sent and the thread is woken, or nothing happens.
    pub(crate) async fn send(
        &self,
        request: ControlRequest,
    ) -> Result<(), SendError<ControlRequest>> {
        self.requests.send(request).await?;
        wake(&self.wake.0);
        Ok(())
    }
}

#[derive(Clone)]
struct WakeOnDrop(Arc<Waker>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        wake(&self.0);
    }
}

/// Wakes the thread of the control side.
pub(super) fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        tracing::error!(%error, "the control side of the bridge cannot be woken");
    }
}
