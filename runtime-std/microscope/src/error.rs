//! How a method of the typed layer fails: what failed, on what, what came, what to try.
//!
//! What goes wrong below it, with frames and connections, is the client's error.

use std::time::Duration;

use flamingo_protocol_core::CommandCode;
use thiserror::Error;

use crate::SystemState;
use crate::axis::Axis;
use crate::files::scope_settings::ScopeSettingsError;
use crate::stage::limits::OutOfLimits;
use crate::units::Position;
use flamingo_runtime_std::Error as ClientError;

/// Why the microscope did not do, or did not say, what it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer in time.
    #[error("{what}: {source}")]
    Timeout {
        /// What was asked for.
        what: String,
        /// How.
        source: ClientError,
    },
    /// The instrument answered with failure.
    #[error(
        "{what}: the instrument answered {code} with failure (status {status}){}", said(.reason)
    )]
    Refused {
        /// What was asked for.
        what: String,
        /// By which command.
        code: CommandCode,
        /// The status of the answer: 0.
        status: i32,
        /// What the instrument says to it; often nothing.
        reason: String,
    },
    /// A value that the instrument must not get, such as a target beyond the limits of the scope
    /// settings, which are then named with their line; nothing was sent.
    #[error("{what}: expected {expected}, found {found}; nothing was sent")]
    OutOfRange {
        /// What was to be set.
        what: String,
        /// What it may be.
        expected: String,
        /// What it was to be.
        found: String,
    },
    /// The instrument is doing something that this would disturb; nothing was sent.
    #[error("{what}: the instrument is in state {state}; wait for its end, or stop that first")]
    Busy {
        /// What was asked for.
        what: String,
        /// What it is doing.
        state: SystemState,
    },
    /// The connection ended. Whether what was asked for happened is not known.
    #[error("{what}: {source}")]
    ConnectionLost {
        /// What was asked for.
        what: String,
        /// How.
        source: ClientError,
    },
    /// The instrument does not know the command, or does not have the device.
    #[error("{what}: not supported: {why}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// How that is known.
        why: String,
    },
    /// A HALT ended the motion, whoever sent it.
    #[error("axis {axis} was halted before it arrived; ask where it is")]
    Halted {
        /// The axis.
        axis: Axis,
    },
    /// A later command gave the axis another target. The motion to that one goes on.
    #[error("axis {axis} was sent elsewhere before it arrived")]
    Retargeted {
        /// The axis.
        axis: Axis,
    },
    /// The motion ended, but not where it was to.
    #[error(
        "axis {axis} did not arrive: {}, it stands at {}{}; home it, or move it again",
        status.map_or("the instrument is silent".to_owned(),
            |status| format!("STAGE_MOTION_STOPPED has status {status}, expected 1")),
        position.map_or("an unknown position".to_owned(), |at| at.to_string()),
        target.map_or(String::new(), |target| format!(", expected {target}"))
    )]
    NotCompleted {
        /// The axis.
        axis: Axis,
        /// The status of STAGE_MOTION_STOPPED; `None` if no such message came.
        status: Option<i32>,
        /// Where it stands, asked after that; `None` if that could not be had.
        position: Option<Position>,
        /// Where it was to go, where that is known.
        target: Option<Position>,
    },
    /// A command was not sent, since a HALT or a laser-off came before it.
    #[error("{what}: cancelled by a stop before it was sent; repeat it if it is still wanted")]
    Superseded {
        /// What was asked for.
        what: String,
    },
    /// A workflow that must not run: its findings. Nothing was sent.
    #[error("workflow refused, nothing was sent: {}", .findings.join("; "))]
    Workflow {
        /// One line each, with the number of the line in the file.
        findings: Vec<String>,
    },
    /// The workflow does not begin.
    #[error(
        "the workflow was uploaded, but the instrument says {state} after {after:?}, not \
         WORK_FLOW_RUNNING; check its settings, or abort it"
    )]
    NotStarted {
        /// What the instrument says it is doing.
        state: SystemState,
        /// How long it was waited for.
        after: Duration,
    },
    /// The scope settings cannot be read.
    #[error("scope settings: {0}")]
    Settings(#[from] ScopeSettingsError),
    /// An answer that cannot be true.
    #[error("{what}: expected {expected}, found {found}; the peer broke the protocol")]
    Implausible {
        /// What was asked for.
        what: String,
        /// What the answer should say.
        expected: String,
        /// What it says.
        found: String,
    },
    /// The client could not do it, for a reason that has nothing to do with the instrument's parts.
    #[error("{what}: {source}")]
    Client {
        /// What was asked for.
        what: String,
        /// Why.
        source: ClientError,
    },
}

impl From<OutOfLimits> for Error {
    fn from(beyond: OutOfLimits) -> Self {
        Self::OutOfRange {
            what: format!("target of axis {}", beyond.axis),
            expected: beyond.expected(),
            found: beyond.target.to_string(),
        }
    }
}

fn said(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(", saying {reason:?}") }
}

impl Error {
    /// What a failed call of the client means for `what`.
    pub(crate) fn of(what: &str, source: ClientError) -> Self {
        let what = what.to_owned();
        match source {
            ClientError::TimedOut { .. }
            | ClientError::Silent { .. }
            | ClientError::PayloadStalled { .. }
            | ClientError::Ambiguous { .. }
            | ClientError::Unconfirmed { .. } => Self::Timeout { what, source },
            ClientError::ConnectionLost { .. } => Self::ConnectionLost { what, source },
            ClientError::Superseded { .. } => Self::Superseded { what },
            // A later command of the same subsystem was answered: it skipped this one.
            ClientError::Unanswered { code } => Self::Unsupported { what, why: unanswered(code) },
            source => Self::Client { what, source },
        }
    }

    /// The exit code that scripts may rely on.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Timeout { source, .. }
            | Self::ConnectionLost { source, .. }
            | Self::Client { source, .. } => source.exit_code(),
            Self::OutOfRange { .. }
            | Self::Busy { .. }
            | Self::Superseded { .. }
            | Self::Workflow { .. } => 2,
            Self::Unsupported { .. } | Self::NotStarted { .. } => 4,
            Self::Refused { .. }
            | Self::Halted { .. }
            | Self::Retargeted { .. }
            | Self::NotCompleted { .. } => 5,
            Self::Settings(_) | Self::Implausible { .. } => 6,
        }
    }
}

fn unanswered(code: CommandCode) -> String {
    format!("{code} was not answered, though a later command was")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_failed_what_came_and_what_to_try() {
        let stopped = Error::NotCompleted {
            axis: Axis::Z,
            status: Some(0),
            position: Some(Position::Mm(12.5)),
            target: Some(Position::Mm(20.0)),
        };
        assert_eq!(
            stopped.to_string(),
            "axis z did not arrive: STAGE_MOTION_STOPPED has status 0, expected 1, it stands at \
             12.5 mm, expected 20 mm; home it, or move it again"
        );
        let refused = Error::Refused {
            what: "laser 4".into(),
            code: CommandCode::LASER_LEVEL_GET,
            status: 0,
            reason: "getLevel error".into(),
        };
        assert_eq!(
            refused.to_string(),
            "laser 4: the instrument answered LASER_LEVEL_GET (0x2002) with failure (status 0), \
             saying \"getLevel error\""
        );
    }

    #[test]
    fn a_command_that_the_firmware_does_not_know_is_unsupported_once_a_later_one_was_answered() {
        let code = CommandCode::CAMERA_ALL_SETTINGS_GET;
        let error = Error::of("settings of the camera", ClientError::Unanswered { code });
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert_eq!(error.exit_code(), 4);
    }
}
