//! Ends the waits for events or images from another thread. It carries no data.

use smol::channel::{Receiver, Sender, bounded};
use smol::future;

/// Whether a stream was closed. Clones are about the same stream.
#[derive(Clone)]
pub(crate) struct Closing(Sender<()>, Receiver<()>);

impl Closing {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = bounded(1);
        Self(sender, receiver)
    }

    pub(crate) fn close(&self) {
        self.0.close();
    }

    /// The result of the work, or `end` if the stream is closed, now or before the work is done.
    pub(crate) async fn or<T>(&self, end: T, work: impl Future<Output = T>) -> T {
        let closed = async {
            // Nothing is ever sent: it ends when the channel is closed.
            let _ = self.1.recv().await;
            end
        };
        future::or(closed, work).await
    }
}
