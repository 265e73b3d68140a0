//! Ctrl-C (and a request to terminate): one channel that every command can await.

use std::future::Future;

use async_channel::Receiver;

use crate::failure::{Done, Failure};

/// Ctrl-C as something to wait for. Clones hear the same one.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Receiver<()>);

impl Interrupt {
    /// From now on Ctrl-C no longer kills the program.
    pub(crate) fn install() -> Done<Self> {
        let (sender, receiver) = async_channel::bounded(1);
        ctrlc::set_handler(move || {
            sender.close();
        })
        .map_err(|error| Failure::new(1, format!("cannot catch Ctrl-C: {error}")))?;
        Ok(Self(receiver))
    }

    /// Ends when Ctrl-C was pressed, also if that was before the call.
    pub(crate) async fn pressed(&self) {
        // Nothing is ever sent: the channel is closed instead, which all clones see.
        let _ = self.0.recv().await;
    }

    /// `work`, unless Ctrl-C comes first.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Done<T>>) -> Done<T> {
        let pressed = async {
            self.pressed().await;
            Err(Failure::interrupted())
        };
        smol::future::or(pressed, work).await
    }
}
