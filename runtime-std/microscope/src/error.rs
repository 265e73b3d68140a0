//! The errors of the typed layer: what failed, what was expected and found, and what to try.
//!
//! Errors of frames and connections are the client's.

use std::time::Duration;

use flamingo_protocol_core::CommandCode;
use thiserror::Error;

use crate::SystemState;
use crate::axis::Axis;
use crate::field_words::failure_text;
use crate::files::scope_settings::ScopeSettingsError;
use crate::stage::limits::OutOfLimits;
use crate::units::Position;
use flamingo_runtime_std::{Answer, Error as ClientError};

/// Why a method of the typed layer failed. Each message names what was asked for, what was expected
/// and found, and what to try.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer arrived in time.
    #[error("{what}: {source}")]
    Timeout {
        /// What was asked for.
        what: String,
        /// The error of the client.
        source: ClientError,
    },
    /// The instrument answered with failure, or a bridge refused the command.
    #[error("{what}: {}", failure_text(*.code, *.status, .reason))]
    Refused {
        /// What was asked for.
        what: String,
        /// The command.
        code: CommandCode,
        /// The status of the answer: 0.
        status: i32,
        /// The text of the answer; often empty.
        reason: String,
    },
    /// A value that must not be sent, such as a target outside the limits; the limit is then named
    /// with its line of the scope settings. Nothing was sent.
    #[error("{what}: expected {expected}, found {found}; nothing was sent")]
    OutOfRange {
        /// What the caller wanted to set.
        what: String,
        /// The values that are allowed.
        expected: String,
        /// The value of the caller.
        found: String,
    },
    /// The instrument is doing something that the command would disturb. Nothing was sent.
    #[error("{what}: the instrument is in state {state}; wait until it ends, or stop it first")]
    Busy {
        /// What was asked for.
        what: String,
        /// What the instrument is doing.
        state: SystemState,
    },
    /// The connection ended. It is not known whether the instrument carried out the command.
    #[error("{what}: {source}")]
    ConnectionLost {
        /// What was asked for.
        what: String,
        /// The error of the client.
        source: ClientError,
    },
    /// The instrument does not know the command, or does not have the device.
    #[error("{what}: not supported: {why}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// Why that is known.
        why: String,
    },
    /// A HALT of this or another client ended the motion.
    #[error("axis {axis} was halted before it arrived; ask for its position")]
    Halted {
        /// The axis.
        axis: Axis,
    },
    /// A later command gave the axis another target. The motion to that target continues.
    #[error("axis {axis} was given another target before it arrived")]
    Retargeted {
        /// The axis.
        axis: Axis,
    },
    /// The motion ended, but not at its target.
    #[error(
        "axis {axis} did not arrive: {}, it stands at {}{}; home it, or move it again",
        status.map_or("the instrument sent no message".to_owned(),
            |status| format!("STAGE_MOTION_STOPPED has status {status}, expected 1")),
        position.map_or("an unknown position".to_owned(), |at| at.to_string()),
        target.map_or(String::new(), |target| format!(", expected {target}"))
    )]
    NotCompleted {
        /// The axis.
        axis: Axis,
        /// The status of STAGE_MOTION_STOPPED; `None` if no such message arrived.
        status: Option<i32>,
        /// The position after the motion; `None` if it was not answered.
        position: Option<Position>,
        /// The target, if it is known.
        target: Option<Position>,
    },
    /// STAGE_MOTION_STOPPED reports success, but the axis stands elsewhere.
    #[error(
        "axis {axis} stands at {position}, expected {target}, though the instrument reports the end \
         of the motion with success; its firmware may have clamped the target to a limit of its own"
    )]
    OffTarget {
        /// The axis.
        axis: Axis,
        /// Where it stands.
        position: Position,
        /// Where it should be.
        target: Position,
    },
    /// The instrument answered a position of exactly 0, which is outside of the limits of the axis. An
    /// axis that moves may answer so. It means that the position is not known now.
    #[error(
        "position of axis {axis}: not known now; the instrument answered 0, which is outside of its \
         limits: it may be moving, ask again later"
    )]
    PositionUnknown {
        /// The axis.
        axis: Axis,
        /// The answer.
        answer: Box<Answer>,
    },
    /// The command was not sent, because a HALT or a laser-off cancelled it.
    #[error("{what}: cancelled by a stop before it was sent; repeat it if you still want it")]
    Superseded {
        /// What was asked for.
        what: String,
    },
    /// The workflow has errors. Nothing was sent.
    #[error("workflow refused, nothing was sent: {}", .findings.join("; "))]
    Workflow {
        /// One text for each error, with the line in the file.
        findings: Vec<String>,
    },
    /// The workflow was uploaded, but did not begin in time.
    #[error(
        "the workflow was uploaded, but no start was reported, and the instrument is in state {state} \
         after {after:?}{}; check its settings, or abort it", with_texts(.said)
    )]
    NotStarted {
        /// The state that the instrument answered.
        state: SystemState,
        /// The time since the upload.
        after: Duration,
        /// The texts of unknown codes that arrived since the upload.
        said: Vec<String>,
    },
    /// The scope settings cannot be read.
    #[error("scope settings: {0}")]
    Settings(#[from] ScopeSettingsError),
    /// The instrument acknowledged settings, but has others now.
    #[error(
        "saving the scope settings: the instrument acknowledged with status {status}{}, but its \
         settings are not those that were sent: {difference}", with_reason(.reason)
    )]
    NotSaved {
        /// The status of the acknowledgement.
        status: i32,
        /// The text of the acknowledgement; often empty.
        reason: String,
        /// The first line that differs.
        difference: String,
    },
    /// The answer has a value that is impossible.
    #[error("{what}: expected {expected}, found {found}; the peer broke the protocol")]
    Implausible {
        /// What was asked for.
        what: String,
        /// What the answer may contain.
        expected: String,
        /// What it contains.
        found: String,
    },
    /// Another error of the client.
    #[error("{what}: {source}")]
    Client {
        /// What was asked for.
        what: String,
        /// The error.
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

fn with_reason(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(", saying {reason:?}") }
}

fn with_texts(said: &[String]) -> String {
    if said.is_empty() { String::new() } else { format!("; its messages: {said:?}") }
}

impl Error {
    /// Turns an error of the client into one that names what was asked for.
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
            // The instrument answered a later command of the same subsystem.
            ClientError::Unanswered { code } => Self::Unsupported { what, why: unanswered(code) },
            source => Self::Client { what, source },
        }
    }

    /// The exit code that the program `flamingo` ends with; scripts can rely on it.
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
            Self::Unsupported { .. } | Self::NotStarted { .. } | Self::PositionUnknown { .. } => 4,
            Self::Refused { .. }
            | Self::Halted { .. }
            | Self::Retargeted { .. }
            | Self::NotCompleted { .. }
            | Self::OffTarget { .. }
            | Self::NotSaved { .. } => 5,
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
    fn an_error_names_what_failed_what_was_found_and_what_to_try() {
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
    fn a_command_is_unsupported_once_a_later_one_was_answered() {
        let code = CommandCode::CAMERA_ALL_SETTINGS_GET;
        let error = Error::of("settings of the camera", ClientError::Unanswered { code });
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert_eq!(error.exit_code(), 4);
    }
}
