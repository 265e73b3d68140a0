//! What one thread sends and receives over the drop-in socket. A thread that has sent a command receives the
//! answers to its own commands, in the order of their arrival, and nothing else. A thread that has sent nothing
//! listens: it receives every frame that belongs to no command.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flamingo_protocol_core::wire::FRAME_LEN;
use flamingo_protocol_core::{Class, CommandCode, Frame};
use flamingo_runtime_std::{Client, Error, Event, Payload, Subscription};
use pyo3::exceptions::{PyBlockingIOError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use smol::channel::{Receiver, Sender, unbounded};
use smol::{Task, future};

use crate::dropin::{Answered, CommandLink, answer, check, first_message, next_frame};
use crate::failure::Failure;
use crate::waiting::{seconds, spawn, wait, within};

/// The number of a command of this lane, and the bytes of its answer.
type Arrived = (u64, Result<Vec<u8>, Failure>);

/// A code that no command has: a subscription to it receives only what is about the connection.
const NO_CODE: CommandCode = CommandCode(u32::MAX);

/// The bytes of one thread.
#[pyclass(module = "flamingo._native", frozen)]
pub(crate) struct Lane {
    client: Client,
    link: Py<CommandLink>,
    /// Taken while a call runs. A lane belongs to one thread.
    state: Mutex<Option<State>>,
}

struct State {
    /// Bytes of a command that is not whole yet.
    outgoing: Vec<u8>,
    /// Bytes that arrived and were not read, from `read` on.
    incoming: Vec<u8>,
    read: usize,
    /// The commands that wait for their answers.
    outstanding: Vec<(u64, Task<()>)>,
    sent: u64,
    arrivals: (Sender<Arrived>, Receiver<Arrived>),
    /// The program has given up waiting. Answers that come after its next command are too late.
    has_timed_out: bool,
    /// Of a thread that listens: all events. Of another one: only whether the connection is lost.
    events: Option<Subscription>,
}

impl Lane {
    pub(crate) fn new(client: Client, link: Py<CommandLink>) -> Self {
        let state = State {
            outgoing: Vec::new(),
            incoming: Vec::new(),
            read: 0,
            outstanding: Vec::new(),
            sent: 0,
            arrivals: unbounded(),
            has_timed_out: false,
            events: None,
        };
        Self { client, link, state: Mutex::new(Some(state)) }
    }

    /// Does something with the state, and no lock is held meanwhile.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> PyResult<T>) -> PyResult<T> {
        let lock = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut state) = lock().take() else {
            return Err(PyRuntimeError::new_err("another call of this thread is running"));
        };
        let done = work(&mut state);
        *lock() = Some(state);
        done
    }
}

#[pymethods]
impl Lane {
    /// Sends the commands in these bytes. The rest of a command may come with the next call. An answer may take
    /// `timeout` seconds.
    fn sendall(&self, py: Python<'_>, bytes: &[u8], timeout: f64) -> PyResult<()> {
        let limit = seconds("timeout", timeout)?;
        self.with(|state| {
            state.outgoing.extend_from_slice(bytes);
            loop {
                let message = first_message(&state.outgoing);
                if message.is_err() {
                    state.outgoing.clear();
                }
                let Some((frame, payload, end)) = message? else { return Ok(()) };
                state.outgoing.drain(..end);
                check(&frame)?;
                state.submit(py, &self.client, frame, payload, limit)?;
            }
        })
    }

    /// At most `most` bytes that arrived; none when the connection has ended. `None` has no time limit.
    fn recv<'py>(
        &self,
        py: Python<'py>,
        most: usize,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let limit = timeout.map(|time| seconds("timeout", time)).transpose()?;
        self.with(|state| {
            if state.read == state.incoming.len() {
                state.incoming = state.next_bytes(py, &self.client, self.link.get(), limit)?;
                state.read = 0;
            }
            let end = state.incoming.len().min(state.read.saturating_add(most));
            let bytes = state.incoming.get(state.read..end).unwrap_or_default();
            state.read = end;
            Ok(PyBytes::new(py, bytes))
        })
    }
}

impl State {
    /// Sends one command. The first poll hands it over, so the commands of a thread keep their order.
    fn submit(
        &mut self,
        py: Python<'_>,
        client: &Client,
        frame: Frame,
        payload: Payload,
        limit: Duration,
    ) -> PyResult<()> {
        self.begin_to_ask(client);
        self.sent += 1;
        let (number, sender) = (self.sent, self.arrivals.0.clone());
        let mut exchange = Box::pin(exchange(client.clone(), frame, payload, limit));
        let at_once = py.detach(|| smol::block_on(future::poll_once(exchange.as_mut())));
        match at_once {
            Some(Err(error)) => return Err(Failure::from(error).into()),
            Some(Ok(None)) => {}
            Some(Ok(Some(bytes))) => self.keep(number, Ok(bytes)),
            None => {
                let task = spawn(async move {
                    let arrived = match exchange.await {
                        Ok(Some(bytes)) => Ok(bytes),
                        Ok(None) => return,
                        Err(error) => Err(error.into()),
                    };
                    // An error: the thread has ended.
                    let _ = sender.send((number, arrived)).await;
                })?;
                self.outstanding.push((number, task));
            }
        }
        Ok(())
    }

    fn keep(&self, number: u64, arrived: Result<Vec<u8>, Failure>) {
        // The channel has no limit, and this lane has its other end.
        let _ = self.arrivals.0.try_send((number, arrived));
    }

    /// From now on this thread receives answers only. What it has given up is forgotten.
    fn begin_to_ask(&mut self, client: &Client) {
        if self.sent == 0 {
            self.events = Some(client.subscribe(&[NO_CODE]));
            (self.incoming, self.read) = (Vec::new(), 0);
        }
        if std::mem::take(&mut self.has_timed_out) {
            self.outstanding.clear();
            while self.arrivals.1.try_recv().is_ok() {}
            (self.incoming, self.read) = (Vec::new(), 0);
        }
    }

    /// The bytes of the next answer, or of the next frame of a thread that listens.
    fn next_bytes(
        &mut self,
        py: Python<'_>,
        client: &Client,
        link: &CommandLink,
        limit: Option<Duration>,
    ) -> PyResult<Vec<u8>> {
        let listens = self.sent == 0;
        if listens && self.events.is_none() {
            self.events = Some(link.listen());
        }
        let events = self.events.get_or_insert_with(|| client.subscribe(&[NO_CODE]));
        let (arrivals, outstanding) = (&self.arrivals.1, &mut self.outstanding);
        let next = async {
            if listens {
                listened(events).await
            } else {
                answered(arrivals, outstanding, events).await
            }
        };
        let is_polling = limit.is_some_and(|limit| limit.is_zero());
        let bytes = if is_polling {
            let now = py.detach(|| smol::block_on(future::poll_once(next)));
            now.ok_or_else(|| PyBlockingIOError::new_err("no frame has arrived"))?
        } else {
            wait(py, within(limit, "recv", next))?
        };
        self.has_timed_out = bytes.is_err();
        Ok(bytes?)
    }
}

/// Sends a command, and returns the bytes of its answer; `None` if it has none.
async fn exchange(
    client: Client,
    frame: Frame,
    payload: Payload,
    limit: Duration,
) -> Result<Option<Vec<u8>>, Error> {
    match Answered::of(&frame) {
        Answered::Always => {
            let answer = answer(&client, frame, payload, limit).await?;
            Ok(Some(bytes(&answer.frame, &answer.payload)))
        }
        Answered::Never => {
            client.send_with_payload(frame, payload).await?;
            Ok(None)
        }
        Answered::ByEcho => {
            let mut events = client.subscribe(&[frame.code]);
            client.send_with_payload(frame, payload).await?;
            let echo = next_frame(&mut events, |event| {
                matches!(event.class, Class::Unsolicited { ours: true })
            });
            let over = async {
                smol::Timer::after(limit).await;
                None
            };
            let echo = future::or(echo, over).await;
            Ok(echo.map(|event| bytes(&event.frame, &event.payload)))
        }
    }
}

fn bytes(frame: &Frame, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_LEN + payload.len());
    bytes.extend_from_slice(&frame.encode());
    bytes.extend_from_slice(payload);
    bytes
}

/// The next frame for a thread that listens; no bytes when the connection has ended.
async fn listened(events: &mut Subscription) -> Result<Vec<u8>, Failure> {
    let event = next_frame(events, |_| true).await;
    Ok(event.map(|event| bytes(&event.frame, &event.payload)).unwrap_or_default())
}

/// The next answer to a command of this thread; no bytes when the connection has ended. That a command was not
/// answered is an error only if no other one waits.
async fn answered(
    arrivals: &Receiver<Arrived>,
    outstanding: &mut Vec<(u64, Task<()>)>,
    events: &mut Subscription,
) -> Result<Vec<u8>, Failure> {
    let lost = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::ConnectionLost) {
                break;
            }
        }
        Ok(Vec::new())
    };
    let next = async {
        loop {
            let Ok((number, arrived)) = arrivals.recv().await else { return Ok(Vec::new()) };
            outstanding.retain(|(waiting, _)| *waiting != number);
            match arrived {
                Err(failure) if failure.is_lost() => return Ok(Vec::new()),
                Err(_) if !outstanding.is_empty() => {}
                arrived => return arrived,
            }
        }
    };
    future::or(next, lost).await
}
