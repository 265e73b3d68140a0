//! What the socket reader of today's Python clients does: bytes of a command in, the parsed answer out. The
//! socket-like object is in `lane.rs`; the classes that programs use are in `flamingo/dropin.py`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use flamingo_protocol_core::wire::{FRAME_LEN, Kind, MAX_PAYLOAD};
use flamingo_protocol_core::{Class, CommandCode, Frame};
use flamingo_runtime_std::{Answer, Client, Error, Event, EventFrame, Payload, Subscription};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use smol::future;

use crate::failure::Failure;
use crate::frame::unix_time;
use crate::lane::Lane;
use crate::microscope::Microscope;
use crate::waiting::{seconds, wait_at_most};

/// The connection as today's clients see it: bytes.
#[pyclass(module = "flamingo._native", frozen)]
pub(crate) struct CommandLink {
    client: Client,
    /// The events since the connection was made, for the first thread that listens.
    first: Mutex<Option<Subscription>>,
}

#[pymethods]
impl CommandLink {
    #[new]
    fn new(microscope: &Microscope) -> Self {
        let client = microscope.0.client().clone();
        let first = Mutex::new(Some(client.subscribe(&[])));
        Self { client, first }
    }

    /// What one thread sends and receives.
    fn lane(slf: Py<Self>, py: Python<'_>) -> Lane {
        Lane::new(slf.get().client.clone(), slf.clone_ref(py))
    }

    /// Sends the bytes of a command and waits for a frame with this code: the answer, or what the instrument sends
    /// because of it. `None` if it does not come in time.
    fn ask(
        &self,
        py: Python<'_>,
        command: &[u8],
        expected: u32,
        timeout: f64,
    ) -> PyResult<Option<ParsedMessage>> {
        let (frame, payload) = one_message(command)?;
        let limit = seconds("timeout", timeout)?;
        let asked = ask(&self.client, frame, payload, CommandCode(expected), limit);
        match wait_at_most(py, limit, asked)? {
            Some(Err(failure)) if failure.is_no_answer() => Ok(None),
            Some(answer) => Ok(answer?),
            None => Ok(None),
        }
    }
}

impl CommandLink {
    /// The events for a thread that begins to listen. Only the first one has those of before.
    pub(crate) fn listen(&self) -> Subscription {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| self.client.subscribe(&[]))
    }
}

/// The first whole message in `bytes`, and its length. `None`: the rest has not come yet.
pub(crate) fn first_message(bytes: &[u8]) -> Result<Option<(Frame, Payload, usize)>, Failure> {
    let Some(head) = bytes.get(..FRAME_LEN) else { return Ok(None) };
    let frame = Frame::decode(head).map_err(|error| {
        let why = format!("command: expected 128 bytes of a frame, but: {error}; nothing was sent");
        Failure::new("InvalidCommand", why)
    })?;
    let end = FRAME_LEN.saturating_add(frame.payload_len as usize);
    Ok(bytes.get(FRAME_LEN..end).map(|payload| (frame, payload.into(), end)))
}

/// Refuses what must not go to the instrument before it is handed over.
pub(crate) fn check(frame: &Frame) -> Result<(), Failure> {
    let checked = frame.check_command(MAX_PAYLOAD);
    checked.map_err(|source| Error::Refused { code: frame.code, source }.into())
}

fn one_message(bytes: &[u8]) -> Result<(Frame, Payload), Failure> {
    match first_message(bytes)? {
        Some((frame, payload, end)) if end == bytes.len() => Ok((frame, payload)),
        _ => {
            let why = "command: expected the bytes of one frame with its payload";
            let found = bytes.len();
            Err(Failure::new("InvalidCommand", format!("{why}, found {found}; nothing was sent")))
        }
    }
}

/// How the instrument answers a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// With a frame that belongs to the command.
    Always,
    /// Usually with an echo, which the client reports as an event.
    ByEcho,
    Never,
}

impl Answered {
    pub(crate) fn of(frame: &Frame) -> Self {
        match frame.code.row() {
            Some(row) if row.is_usually_acknowledged() => Self::ByEcho,
            Some(row) if row.kind == Kind::FireAndForget => Self::Never,
            _ => Self::Always,
        }
    }
}

/// Sends a command that is answered, and returns its answer.
pub(crate) async fn answer(
    client: &Client,
    frame: Frame,
    payload: Payload,
    limit: Duration,
) -> Result<Answer, Error> {
    if payload.is_empty() {
        return client.request_within(frame, limit).await;
    }
    client.upload(frame, payload, limit).await
}

/// Whether a listener gets this frame: it belongs to no request. A late answer that only an ended request can
/// have caused is nobody's.
pub(crate) fn is_for_listeners(event: &EventFrame) -> bool {
    match event.class {
        Class::Unsolicited { .. } | Class::Ambiguous { .. } => true,
        Class::Late { proven, .. } => !proven,
        Class::Solicited { .. } => false,
    }
}

/// The next frame of a listener; `None` when the connection has ended.
pub(crate) async fn next_frame(
    events: &mut Subscription,
    wanted: impl Fn(&EventFrame) -> bool,
) -> Option<std::sync::Arc<EventFrame>> {
    loop {
        match events.next().await? {
            Event::Frame(event) if is_for_listeners(&event) && wanted(&event) => {
                return Some(event);
            }
            Event::ConnectionLost => return None,
            _ => {}
        }
    }
}

async fn ask(
    client: &Client,
    frame: Frame,
    payload: Payload,
    expected: CommandCode,
    limit: Duration,
) -> Result<Option<ParsedMessage>, Failure> {
    let is_answered = Answered::of(&frame) == Answered::Always;
    if is_answered && expected == frame.code {
        let answer = answer(client, frame, payload, limit).await?;
        return Ok(Some(ParsedMessage::from(answer)));
    }
    let mut events = client.subscribe(&[expected]);
    let sent = async {
        if is_answered {
            let answer = answer(client, frame, payload, limit).await;
            if let Ok(answer) = answer
                && answer.frame.code == expected
            {
                return Ok(Some(ParsedMessage::from(answer)));
            }
        } else {
            client.send_with_payload(frame, payload).await?;
        }
        // Another frame is expected.
        future::pending().await
    };
    let event = async {
        let event = next_frame(&mut events, |_| true).await;
        Ok(event.map(|event| ParsedMessage::from(&*event)))
    };
    future::or(sent, event).await
}

/// A frame as today's clients read it.
#[pyclass(module = "flamingo.dropin", frozen)]
pub(crate) struct ParsedMessage {
    frame: Frame,
    payload: Payload,
    at: SystemTime,
}

impl From<Answer> for ParsedMessage {
    fn from(answer: Answer) -> Self {
        Self { frame: answer.frame, payload: answer.payload, at: answer.at }
    }
}

impl From<&EventFrame> for ParsedMessage {
    fn from(event: &EventFrame) -> Self {
        Self { frame: event.frame, payload: event.payload.clone(), at: event.at }
    }
}

/// The unsigned number with the same bits.
const fn bits(number: i32) -> u32 {
    number.cast_unsigned()
}

#[pymethods]
impl ParsedMessage {
    /// Makes a message of an event; `None` if it is no frame, or belongs to a request.
    #[staticmethod]
    fn of_event(event: &crate::frame::PyEvent) -> Option<Self> {
        match &event.0 {
            Event::Frame(event) if is_for_listeners(event) => Some(Self::from(&**event)),
            _ => None,
        }
    }

    /// The 128 bytes.
    #[getter]
    fn raw_data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.frame.encode())
    }

    #[getter]
    fn start_marker(&self) -> u32 {
        0xF321_E654
    }

    #[getter]
    fn end_marker(&self) -> u32 {
        0xFEDC_4321
    }

    #[getter]
    fn command_code(&self) -> u32 {
        self.frame.code.0
    }

    #[getter]
    fn command_name(&self) -> String {
        let code = self.frame.code;
        code.name().map_or_else(|| format!("UNKNOWN_0x{:04X}", code.0), str::to_owned)
    }

    #[getter]
    fn status_code(&self) -> u32 {
        bits(self.frame.status)
    }

    #[getter]
    fn hardware_id(&self) -> u32 {
        bits(self.frame.hardware_id)
    }

    #[getter]
    fn subsystem_id(&self) -> u32 {
        bits(self.frame.subsystem_id)
    }

    #[getter]
    fn client_id(&self) -> u32 {
        bits(self.frame.client_id)
    }

    #[getter]
    fn int32_data0(&self) -> i32 {
        self.frame.int32_data[0]
    }

    #[getter]
    fn int32_data1(&self) -> i32 {
        self.frame.int32_data[1]
    }

    #[getter]
    fn int32_data2(&self) -> i32 {
        self.frame.int32_data[2]
    }

    #[getter]
    fn cmd_data_bits(&self) -> u32 {
        self.frame.flags.0
    }

    #[getter]
    fn value(&self) -> f64 {
        self.frame.value
    }

    #[getter]
    fn additional_data_size(&self) -> u32 {
        self.frame.payload_len
    }

    /// The 72 bytes of the buffer.
    #[getter]
    fn data_field<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.frame.buffer)
    }

    /// The payload; `None` if there is none.
    #[getter]
    fn additional_data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        (!self.payload.is_empty()).then(|| PyBytes::new(py, &self.payload))
    }

    /// When it arrived, as `time.time()`.
    #[getter]
    fn timestamp(&self) -> f64 {
        unix_time(self.at)
    }

    /// Always: frames with wrong markers are never delivered.
    #[getter]
    fn is_valid(&self) -> bool {
        true
    }

    /// Whether only the instrument sends this code.
    #[getter]
    fn is_unsolicited(&self) -> bool {
        self.frame.code.row().is_some_and(|row| row.kind == Kind::Event)
    }

    fn __repr__(&self) -> String {
        format!("<ParsedMessage {} value={}>", self.command_name(), self.frame.value)
    }
}
