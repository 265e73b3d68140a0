//! Errors of the crates as Python exceptions. Their classes are in `flamingo/errors.py`; here is which error is
//! of which class.

use flamingo_bridge::BridgeError;
use flamingo_bridge::settings::BridgeSettingsError;
use flamingo_microscope::live::LiveError;
use flamingo_microscope::{Axis, Error};
use flamingo_runtime_std::Error as ClientError;
use flamingo_simulator::{ScenarioError, SimulatorError};
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;

/// No error, but how Python ends an `async for`.
const END_OF_ITERATION: &str = "StopAsyncIteration";

/// An error on its way to Python: made on any thread, raised on one that has the interpreter.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The name of the class in `flamingo.errors`.
    kind: &'static str,
    message: String,
    details: Vec<(&'static str, Detail)>,
}

/// An attribute of an exception.
#[derive(Debug, Clone, IntoPyObject)]
pub(crate) enum Detail {
    Flag(bool),
    Number(i64),
    Value(f64),
    Text(String),
    Texts(Vec<String>),
}

impl Failure {
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new() }
    }

    /// Whether no answer came, and the connection lives.
    pub(crate) fn is_no_answer(&self) -> bool {
        matches!(self.kind, "Timeout" | "Unsupported")
    }

    /// Whether the connection has ended.
    pub(crate) fn is_lost(&self) -> bool {
        self.kind == "ConnectionLost"
    }

    /// `StopAsyncIteration`: an `async for` has ended.
    pub(crate) fn end_of_iteration() -> Self {
        Self::new(END_OF_ITERATION, "")
    }

    fn with(mut self, name: &'static str, detail: Detail) -> Self {
        self.details.push((name, detail));
        self
    }

    fn axis(self, axis: Axis) -> Self {
        self.with("axis", Detail::Text(axis.letter().to_owned()))
    }

    fn position(
        self,
        name: &'static str,
        at: Option<flamingo_microscope::units::Position>,
    ) -> Self {
        match at {
            Some(at) => self.with(name, Detail::Value(at.value())),
            None => self,
        }
    }

    /// The exception.
    fn raise(self, py: Python<'_>) -> PyResult<PyErr> {
        static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
        if self.kind == END_OF_ITERATION {
            return Ok(PyStopAsyncIteration::new_err(()));
        }
        let errors =
            ERRORS.get_or_try_init(py, || py.import("flamingo.errors").map(Bound::unbind))?;
        let exception = errors.bind(py).getattr(self.kind)?.call1((self.message,))?;
        for (name, detail) in self.details {
            exception.setattr(name, detail)?;
        }
        Ok(PyErr::from_value(exception))
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| failure.raise(py).unwrap_or_else(|error| error))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let kind = match &error {
            ClientError::Resolve { .. } | ClientError::Connect { .. } => "CannotConnect",
            ClientError::Refused { .. } | ClientError::NoStop { .. } => "InvalidCommand",
            ClientError::Silent { .. }
            | ClientError::TimedOut { .. }
            | ClientError::PayloadStalled { .. }
            | ClientError::Ambiguous { .. }
            | ClientError::Unconfirmed { .. } => "Timeout",
            ClientError::Unanswered { .. } => "Unsupported",
            ClientError::Superseded { .. } => "Superseded",
            ClientError::Broken { .. }
            | ClientError::NotFlamingo { .. }
            | ClientError::TokensNotEchoed { .. } => "ProtocolError",
            ClientError::ConnectionLost { .. } => "ConnectionLost",
            _ => "FlamingoError",
        };
        Self::new(kind, error.to_string())
            .with("exit_code", Detail::Number(error.exit_code().into()))
            .with("was_sent", Detail::Flag(error.was_sent()))
    }
}

/// The class of an error of the typed layer.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Timeout { .. } => "Timeout",
        Error::Refused { .. } => "Refused",
        Error::OutOfRange { .. } => "Limits",
        Error::Busy { .. } => "Busy",
        Error::ConnectionLost { .. } => "ConnectionLost",
        Error::Unsupported { .. } => "Unsupported",
        Error::Halted { .. } => "Halted",
        Error::Retargeted { .. } => "Retargeted",
        Error::NotCompleted { .. } => "NotCompleted",
        Error::OffTarget { .. } => "OffTarget",
        Error::PositionUnknown { .. } => "PositionUnknown",
        Error::Superseded { .. } => "Superseded",
        Error::Workflow { .. } => "WorkflowInvalid",
        Error::NotStarted { .. } => "NotStarted",
        Error::Settings(_) => "SettingsInvalid",
        Error::NotSaved { .. } => "NotSaved",
        Error::Implausible { .. } => "ProtocolError",
        _ => "FlamingoError",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let exit_code = Detail::Number(error.exit_code().into());
        if let Error::Client { source, .. } = error {
            return Self { message, ..source.into() };
        }
        let failure = Self::new(kind(&error), message).with("exit_code", exit_code);
        match error {
            Error::Timeout { source, .. } | Error::ConnectionLost { source, .. } => {
                failure.with("was_sent", Detail::Flag(source.was_sent()))
            }
            Error::Refused { code, status, reason, .. } => failure
                .with("code", Detail::Number(code.0.into()))
                .with("status", Detail::Number(status.into()))
                .with("reason", Detail::Text(reason))
                .with("was_sent", Detail::Flag(true)),
            Error::Busy { state, .. } => failure.with("state", Detail::Text(state.to_string())),
            Error::Halted { axis }
            | Error::Retargeted { axis }
            | Error::PositionUnknown { axis, .. } => failure.axis(axis),
            Error::NotCompleted { axis, position, target, .. } => {
                failure.axis(axis).position("position", position).position("target", target)
            }
            Error::OffTarget { axis, position, target } => failure
                .axis(axis)
                .position("position", Some(position))
                .position("target", Some(target)),
            Error::Workflow { findings } => failure.with("findings", Detail::Texts(findings)),
            Error::NotStarted { said, .. } => failure.with("messages", Detail::Texts(said)),
            _ => failure,
        }
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Connect(source) => source.into(),
            LiveError::Header { .. } => Self::new("ProtocolError", error.to_string()),
            LiveError::CutOff { .. } => Self::new("ConnectionLost", error.to_string()),
            _ => Self::new("FlamingoError", error.to_string()),
        }
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        Self::new("InvalidValue", format!("scenario: {error}"))
    }
}

impl From<BridgeSettingsError> for Failure {
    fn from(error: BridgeSettingsError) -> Self {
        Self::new("InvalidValue", format!("settings of the bridge: {error}"))
    }
}

impl From<SimulatorError> for Failure {
    fn from(error: SimulatorError) -> Self {
        Self::new("CannotStart", error.to_string())
    }
}

impl From<BridgeError> for Failure {
    fn from(error: BridgeError) -> Self {
        Self::new("CannotStart", error.to_string())
    }
}
