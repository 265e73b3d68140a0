//! The threads of the bridge: the control side runs on one, and the image ports share another, because
//! writing an image takes longer than a command may wait.

use std::sync::Arc;

use async_channel::{Receiver, Sender};
use smol::future;

use crate::BridgeError;
use crate::image_relay::{ImagePort, ImageRelay};

/// The thread of the image ports.
pub(crate) struct ImagesThread {
    /// Dropping it ends the thread.
    alive: Sender<()>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl ImagesThread {
    /// Serves the live and the stack images, at each port for up to `max_viewers` viewers.
    pub(crate) fn start(
        relays: [(&Arc<ImageRelay>, Vec<ImagePort>); 2],
        max_viewers: usize,
    ) -> Result<Self, BridgeError> {
        let [live, stack] = relays.map(|(relay, ports)| {
            let relay = Arc::clone(relay);
            async move {
                if !ports.is_empty() {
                    relay.run(ports, max_viewers).await;
                }
            }
        });
        let (alive, end) = async_channel::bounded::<()>(1);
        let work = async move {
            let relays = async {
                future::zip(live, stack).await;
                future::pending().await
            };
            // Nothing is ever sent: the channel closes when the bridge ends.
            let _ = future::or(relays, end.recv()).await;
        };
        let ended = run_on_thread("flamingo-images", || smol::block_on(work))?;
        Ok(Self { alive, ended })
    }

    /// Ends the thread and waits for its end.
    pub(crate) async fn stop(self) {
        drop(self.alive);
        // Nothing is ever sent: the channel closes when the thread ends.
        let _ = self.ended.recv().await;
    }
}

/// Runs `work` on a thread of its own. The returned channel closes when it has ended.
pub(crate) fn run_on_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<Receiver<()>, BridgeError> {
    let (alive, ended) = async_channel::bounded(1);
    let run = move || {
        work();
        drop(alive);
    };
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|source| BridgeError::Thread { source })?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thread_is_noticed_also_if_it_panics() {
        for work in [|| (), || panic!("the panic of this test")] {
            let ended = run_on_thread("test", work).unwrap();
            assert!(smol::block_on(ended.recv()).is_err());
        }
    }
}
