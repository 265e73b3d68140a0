//! How a call of the client fails, in one line: what failed, on what, and what to try.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, CommandError, DecodeError, Frame};
use thiserror::Error;

/// Why a call of the client failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The host's name has no address, or the port is no number.
    #[error("cannot resolve {address}: {source}; expected HOST:PORT, check the name")]
    Resolve {
        /// What was to be resolved.
        address: String,
        /// Why it was not.
        source: std::io::Error,
    },
    /// Nobody accepted the connection.
    #[error("cannot connect to {address}: {source}; is the instrument on, and the port right?")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The command must not go to the instrument; nothing was sent.
    #[error("{code} refused, nothing was sent: {source}")]
    Refused {
        /// Which command.
        code: CommandCode,
        /// Why.
        source: CommandError,
    },
    /// The peer accepted the connection, and did not answer the first query.
    #[error(
        "{address} accepts, but did not answer SYSTEM_STATE_GET within {after:?}; \
         is it the control port, and is the instrument idle?"
    )]
    Silent {
        /// Who.
        address: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// No answer in time, and what came instead was no frame.
    #[error(
        "no answer to {code} within {after:?}, but {noise} bytes that are no frame{}; \
         the peer broke the protocol",
        rejected.map_or(String::new(), |why| format!(" ({why})"))
    )]
    Broken {
        /// Which command.
        code: CommandCode,
        /// How long it was waited for.
        after: Duration,
        /// Bytes that were skipped as noise since it was asked.
        noise: u64,
        /// Why the last candidate for a frame was none.
        rejected: Option<DecodeError>,
    },
    /// The deadline passed.
    #[error(
        "no answer to {code} within {after:?}{}; the instrument may be busy, or not know it",
        if *.sent { "" } else { " (it was never sent: older commands were still unanswered)" }
    )]
    TimedOut {
        /// Which command.
        code: CommandCode,
        /// How long it was waited for.
        after: Duration,
        /// Whether the command had gone out.
        sent: bool,
    },
    /// A later command was answered: this one never will be.
    #[error("{code} was not answered, but a later command was; the instrument may not know it")]
    Unanswered {
        /// Which command.
        code: CommandCode,
    },
    /// The answer came, but not all of its payload.
    #[error("the answer to {code} stalled after {received} of {expected} payload bytes; try again")]
    PayloadStalled {
        /// Which command.
        code: CommandCode,
        /// Payload bytes that came.
        received: u32,
        /// Payload bytes that were declared.
        expected: u32,
    },
    /// A frame came that may answer this request or another one.
    #[error("an answer to {code} came that may belong to another request of it; ask again")]
    Ambiguous {
        /// Which command.
        code: CommandCode,
        /// The frame, if it is at hand.
        frame: Option<Box<Frame>>,
    },
    /// A HALT or laser-off cancelled the command before it was sent.
    #[error(
        "{code} was cancelled by a stop before it was sent; send it again if it is still wanted"
    )]
    Superseded {
        /// Which command.
        code: CommandCode,
    },
    /// A HALT was sent, but so many are unanswered that there is no room to wait for this one.
    #[error("{code} was sent, but too many of it are unanswered to wait for its answer")]
    Unconfirmed {
        /// Which command.
        code: CommandCode,
    },
    /// What the peer sends are no frames.
    #[error("{address} does not speak the Flamingo protocol: {what}; is it the control port?")]
    NotFlamingo {
        /// Who.
        address: String,
        /// What was expected and what came.
        what: String,
    },
    /// Tokens are on, but the peer does not echo them.
    #[error("{address} does not echo the token in {field}; switch tokens off")]
    TokensNotEchoed {
        /// Who.
        address: String,
        /// The field that carried it.
        field: &'static str,
    },
    /// The connection ended.
    #[error("connection to {address} lost: {reason}; connect again")]
    ConnectionLost {
        /// To whom.
        address: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// [`Error::ConnectionLost`] to `address`, for `reason`.
    #[must_use]
    pub fn lost(address: &str, reason: &str) -> Self {
        Self::ConnectionLost { address: address.into(), reason: reason.into() }
    }

    /// The exit code that scripts may rely on.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Superseded { .. } => 2,
            Self::Resolve { .. } | Self::Connect { .. } => 3,
            Self::TimedOut { .. }
            | Self::Silent { .. }
            | Self::Unanswered { .. }
            | Self::PayloadStalled { .. }
            | Self::Ambiguous { .. }
            | Self::Unconfirmed { .. } => 4,
            Self::NotFlamingo { .. } | Self::TokensNotEchoed { .. } | Self::Broken { .. } => 6,
            Self::ConnectionLost { .. } => 7,
        }
    }
}
