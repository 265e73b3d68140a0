//! A subscription to events: waiting for the next one, or for all that are there. Calling handlers is written in
//! Python: `flamingo/callbacks.py`.

use std::sync::Arc;

use flamingo_microscope::Microscope;
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::{Event, Subscription};
use pyo3::prelude::*;
use smol::lock::Mutex;

use crate::call::Call;
use crate::closing::Closing;
use crate::failure::Failure;
use crate::frame::PyEvent;

/// The most events that one call returns.
const MOST_AT_ONCE: usize = 256;

/// The events of some codes, in the order of their arrival, from its creation on.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct EventStream {
    events: Arc<Mutex<Subscription>>,
    closing: Closing,
}

impl EventStream {
    pub(crate) fn new(microscope: &Microscope, codes: &[CommandCode]) -> Self {
        let events = Arc::new(Mutex::new(microscope.client().subscribe(codes)));
        Self { events, closing: Closing::new() }
    }

    /// The next event; `None` when the connection or the stream is closed.
    fn take(&self) -> impl Future<Output = Option<Event>> + Send + use<> {
        let (events, closing) = (Arc::clone(&self.events), self.closing.clone());
        async move { closing.or(None, async { events.lock().await.next().await }).await }
    }
}

#[pymethods]
impl EventStream {
    /// The next event; `None` when the connection or the stream is closed.
    fn next(&self) -> Call {
        let next = self.take();
        Call::new(async move { Ok::<_, Failure>(next.await.map(PyEvent)) })
    }

    /// All events that are there, at least one; none of them when the connection or the stream is closed.
    fn next_batch(&self) -> Call {
        let (next, events) = (self.take(), Arc::clone(&self.events));
        Call::new(async move {
            let mut batch: Vec<_> = next.await.map(PyEvent).into_iter().collect();
            if !batch.is_empty() {
                let mut events = events.lock().await;
                while batch.len() < MOST_AT_ONCE
                    && let Some(event) = events.try_next()
                {
                    batch.push(PyEvent(event));
                }
            }
            Ok::<_, Failure>(batch)
        })
    }

    /// The next event, if it is already there.
    fn try_next(&self) -> Option<PyEvent> {
        self.events.try_lock().and_then(|mut events| events.try_next()).map(PyEvent)
    }

    /// Ends the stream. A wait for its next event ends with `None`.
    fn close(&self) {
        self.closing.close();
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(&self) -> Call {
        let next = self.take();
        Call::new(async move { next.await.map(PyEvent).ok_or_else(Failure::end_of_iteration) })
    }
}
