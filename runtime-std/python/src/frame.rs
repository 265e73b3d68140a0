//! Frames, answers and events as Python objects. What Python may pass as a command is [`Command`].

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flamingo_protocol_core::wire::{FRAME_LEN, Flags, Status};
use flamingo_protocol_core::{Class, CommandCode, Frame};
use flamingo_runtime_std::{Answer, Event};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::codes::CodeLike;
use crate::failure::Failure;

/// Seconds since 1970, as `time.time()`.
pub(crate) fn unix_time(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A frame of 128 bytes.
#[pyclass(name = "Frame", module = "flamingo", frozen, eq, from_py_object)]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PyFrame(pub(crate) Frame);

#[pymethods]
impl PyFrame {
    #[new]
    #[pyo3(signature = (
        code, *, selector = 0, value = 0.0, data1 = 0, data2 = 0, text = None, flags = None, status = 0,
        hardware_id = 0, subsystem_id = 0, client_id = 0
    ))]
    fn new(
        code: CodeLike,
        selector: i32,
        value: f64,
        data1: i32,
        data2: i32,
        text: Option<&str>,
        flags: Option<u32>,
        status: i32,
        hardware_id: i32,
        subsystem_id: i32,
        client_id: i32,
    ) -> Result<Self, Failure> {
        let mut frame = Frame::command(code.code()?).with_value(value);
        frame.int32_data = [selector, data1, data2];
        frame.flags = flags.map_or(frame.flags, Flags);
        frame.status = status;
        frame.hardware_id = hardware_id;
        frame.subsystem_id = subsystem_id;
        frame.client_id = client_id;
        let set = frame.set_text(text.unwrap_or_default());
        set.map_err(|error| Failure::new("InvalidValue", format!("text: {error}")))?;
        Ok(Self(frame))
    }

    /// Reads the 128 bytes of a frame.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> Result<Self, Failure> {
        let whole =
            bytes.get(..FRAME_LEN).filter(|_| bytes.len() == FRAME_LEN).ok_or_else(|| {
                let found = bytes.len();
                Failure::new(
                    "InvalidValue",
                    format!("frame: expected {FRAME_LEN} bytes, found {found}"),
                )
            })?;
        let frame = Frame::decode(whole);
        frame.map(Self).map_err(|error| Failure::new("InvalidValue", format!("frame: {error}")))
    }

    /// The 128 bytes on the wire.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    #[getter]
    fn code(&self) -> u32 {
        self.0.code.0
    }

    #[getter]
    fn name(&self) -> Option<&'static str> {
        self.0.code.name()
    }

    #[getter]
    fn status(&self) -> i32 {
        self.0.status
    }

    #[getter]
    fn hardware_id(&self) -> i32 {
        self.0.hardware_id
    }

    #[getter]
    fn subsystem_id(&self) -> i32 {
        self.0.subsystem_id
    }

    #[getter]
    fn client_id(&self) -> i32 {
        self.0.client_id
    }

    /// int32Data0, 1 and 2.
    #[getter]
    fn data(&self) -> (i32, i32, i32) {
        self.0.int32_data.into()
    }

    /// int32Data0: the axis, the laser or the LED colour.
    #[getter]
    fn selector(&self) -> i32 {
        self.0.selector()
    }

    #[getter]
    fn flags(&self) -> u32 {
        self.0.flags.0
    }

    #[getter]
    fn value(&self) -> f64 {
        self.0.value
    }

    #[getter]
    fn payload_len(&self) -> u32 {
        self.0.payload_len
    }

    /// All 72 bytes of the buffer.
    #[getter]
    fn buffer<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.buffer)
    }

    /// The buffer up to the first NUL, as text; bytes that are no text are replaced.
    #[getter]
    fn text(&self) -> String {
        String::from_utf8_lossy(self.0.buffer_bytes()).into_owned()
    }

    fn __repr__(&self) -> String {
        let Frame { code, status, int32_data: [a, b, c], value, payload_len, .. } = &self.0;
        format!(
            "<Frame {code} status={status} data=({a}, {b}, {c}) value={value} payload_len={payload_len}>"
        )
    }
}

/// A command: a frame, or a code.
#[derive(FromPyObject)]
pub(crate) enum Command {
    Frame(PyFrame),
    Code(CodeLike),
}

impl Command {
    /// The frame, with the fields that are given besides.
    pub(crate) fn frame(
        self,
        selector: Option<i32>,
        value: Option<f64>,
        text: Option<&str>,
    ) -> Result<Frame, Failure> {
        let mut frame = match self {
            Self::Frame(PyFrame(frame)) => frame,
            Self::Code(code) => Frame::command(code.code()?),
        };
        if let Some(selector) = selector {
            frame = frame.with_selector(selector);
        }
        if let Some(value) = value {
            frame = frame.with_value(value);
        }
        if let Some(text) = text {
            let set = frame.set_text(text);
            set.map_err(|error| Failure::new("InvalidValue", format!("text: {error}")))?;
        }
        Ok(frame)
    }
}

/// The answer to a request.
#[pyclass(name = "Answer", module = "flamingo", frozen)]
pub(crate) struct PyAnswer(pub(crate) Answer);

#[pymethods]
impl PyAnswer {
    #[getter]
    fn frame(&self) -> PyFrame {
        PyFrame(self.0.frame)
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.payload)
    }

    /// Whether only this request can have caused the frame.
    #[getter]
    fn proven(&self) -> bool {
        self.0.proven
    }

    /// What the status says: "success", "failure", or "unset", a presumed success.
    #[getter]
    fn outcome(&self) -> &'static str {
        match self.0.outcome {
            Status::Success => "success",
            Status::Failure => "failure",
            Status::Unset => "unset",
        }
    }

    /// When it arrived, as `time.time()`.
    #[getter]
    fn at(&self) -> f64 {
        unix_time(self.0.at)
    }

    /// Seconds from the call to the last byte of the answer.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.0.elapsed.as_secs_f64()
    }

    fn __repr__(&self) -> String {
        let frame = PyFrame(self.0.frame).__repr__();
        format!("<Answer {frame} payload of {} bytes>", self.0.payload.len())
    }
}

/// Something that no request asked for.
#[pyclass(name = "Event", module = "flamingo", frozen)]
pub(crate) struct PyEvent(pub(crate) Event);

impl PyEvent {
    fn event_frame(&self) -> Option<&Arc<flamingo_runtime_std::EventFrame>> {
        match &self.0 {
            Event::Frame(event) => Some(event),
            _ => None,
        }
    }
}

#[pymethods]
impl PyEvent {
    /// "frame", "lagged", "unresponsive", "responsive", "connection_lost", "reconnected" or "commanded".
    #[getter]
    fn kind(&self) -> &'static str {
        match &self.0 {
            Event::Frame(_) => "frame",
            Event::Lagged(_) => "lagged",
            Event::Unresponsive => "unresponsive",
            Event::Responsive => "responsive",
            Event::ConnectionLost => "connection_lost",
            Event::Reconnected => "reconnected",
            Event::Commanded { .. } => "commanded",
            _ => "other",
        }
    }

    /// The frame, of the kinds "frame" and "commanded".
    #[getter]
    fn frame(&self) -> Option<PyFrame> {
        match &self.0 {
            Event::Frame(event) => Some(PyFrame(event.frame)),
            Event::Commanded { frame, .. } => Some(PyFrame(**frame)),
            _ => None,
        }
    }

    /// The code of the frame.
    #[getter]
    fn code(&self) -> Option<u32> {
        self.frame().map(|frame| frame.0.code.0)
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.event_frame().map_or(&[], |event| &event.payload))
    }

    /// "unsolicited", "late", "ambiguous", or "presumed": also the answer to a request. `None` of other kinds.
    #[getter]
    fn origin(&self) -> Option<&'static str> {
        Some(match self.event_frame()?.class {
            Class::Unsolicited { .. } => "unsolicited",
            Class::Late { .. } => "late",
            Class::Ambiguous { .. } => "ambiguous",
            Class::Solicited { .. } => "presumed",
        })
    }

    /// When the frame arrived, as `time.time()`. `None` of other kinds.
    #[getter]
    fn at(&self) -> Option<f64> {
        self.event_frame().map(|event| unix_time(event.at))
    }

    /// How many events were lost before this one, of the kind "lagged"; else 0.
    #[getter]
    fn lost(&self) -> u64 {
        if let Event::Lagged(lost) = self.0 { lost } else { 0 }
    }

    fn __repr__(&self) -> String {
        match self.frame() {
            Some(frame) => {
                let origin = self.origin().unwrap_or("sent by this program");
                format!("<Event {origin} {}>", frame.__repr__())
            }
            None => format!("<Event {}>", self.kind()),
        }
    }
}

/// The codes that Python gives, for a subscription. None of them are all of them.
pub(crate) fn codes(codes: Vec<CodeLike>) -> Result<Vec<CommandCode>, Failure> {
    codes.into_iter().map(CodeLike::code).collect()
}
