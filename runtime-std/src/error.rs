//! Why a call of the client fails. Each text is one line: what failed, with whom, and what to try.
//! The texts are written by hand: a derive macro would add eight crates to the adapter.

use std::fmt;
use std::time::Duration;

use flamingo_protocol_core::{
    CommandCode, Frame,
    error::{CommandError, DecodeError},
};

/// Why a call of the client failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The host's name has no address, or the port is no number.
    Resolve {
        /// The `HOST:PORT` that was to be resolved.
        address: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// No address of the host accepted the connection.
    Connect {
        /// The `HOST:PORT` of the control port.
        address: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The command must not go to the instrument; nothing was sent.
    Refused {
        /// The code of the command.
        code: CommandCode,
        /// Why the core refused it.
        source: CommandError,
    },
    /// The command is no stop, so it must not go before the handshake; nothing was sent.
    NoStop {
        /// The code of the command.
        code: CommandCode,
    },
    /// The peer accepted the connection, but did not answer the first query.
    Silent {
        /// The `HOST:PORT` of the control port.
        address: String,
        /// How long the client waited.
        after: Duration,
    },
    /// No answer arrived in time, and the bytes that arrived instead are no frame.
    Broken {
        /// The code of the command.
        code: CommandCode,
        /// How long the client waited.
        after: Duration,
        /// Bytes that were skipped as noise since the call.
        noise: u64,
        /// Why the last bytes that looked like a frame are none.
        rejected: Option<DecodeError>,
    },
    /// No answer arrived in time, or the command could not be sent in time.
    TimedOut {
        /// The code of the command.
        code: CommandCode,
        /// The time limit: for the answer if the command was sent, else for its turn to be sent.
        after: Duration,
        /// Whether the command had gone out.
        sent: bool,
    },
    /// A later command of the same subsystem was answered, so this one never will be.
    Unanswered {
        /// The code of the command.
        code: CommandCode,
    },
    /// The answer arrived, but not all of its payload.
    PayloadStalled {
        /// The code of the command.
        code: CommandCode,
        /// Payload bytes that arrived.
        received: u32,
        /// Payload bytes that were declared.
        expected: u32,
    },
    /// A frame arrived that may answer this request or another one.
    Ambiguous {
        /// The code of the command.
        code: CommandCode,
        /// The frame, if it is known.
        frame: Option<Box<Frame>>,
    },
    /// A stop cancelled the command before it was sent.
    Superseded {
        /// The code of the command.
        code: CommandCode,
    },
    /// A stop was sent, but so many are unanswered that there is no room to wait for its answer.
    Unconfirmed {
        /// The code of the command.
        code: CommandCode,
    },
    /// The peer sends bytes that are no frames.
    NotFlamingo {
        /// The `HOST:PORT` of the control port.
        address: String,
        /// What was expected and what arrived.
        what: String,
    },
    /// Tokens are switched on, but the peer does not echo them.
    TokensNotEchoed {
        /// The `HOST:PORT` of the control port.
        address: String,
        /// The field that carried the token.
        field: &'static str,
    },
    /// The connection ended.
    ConnectionLost {
        /// The `HOST:PORT` of the control port.
        address: String,
        /// How it ended.
        reason: String,
        /// Whether the command was written before, with its payload. Then it may have been carried
        /// out.
        sent: bool,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { address, source } => {
                write!(f, "cannot resolve {address}: {source}; expected HOST:PORT, check the name")
            }
            Self::Connect { address, source } => write!(
                f,
                "cannot connect to {address}: {source}; is the instrument on, and the port right?"
            ),
            Self::Refused { code, source } => {
                write!(f, "{code} refused, nothing was sent: {source}")
            }
            Self::NoStop { code } => write!(
                f,
                "{code} refused, nothing was sent: expected HALT, laser-off, or the stop of a workflow \
                 or of live images"
            ),
            Self::Silent { address, after } => write!(
                f,
                "{address} accepts, but did not answer SYSTEM_STATE_GET within {after:?}; \
                 is it the control port, and is the instrument idle?"
            ),
            Self::Broken { code, after, noise, rejected } => {
                fmt_broken(f, *code, *after, *noise, *rejected)
            }
            Self::TimedOut { code, after, sent } => fmt_timed_out(f, *code, *after, *sent),
            Self::Unanswered { code } => write!(
                f,
                "{code} was not answered, but a later command was; the instrument may not know it"
            ),
            Self::PayloadStalled { code, received, expected } => write!(
                f,
                "the answer to {code} stalled after {received} of {expected} payload bytes; \
                 try again"
            ),
            Self::Ambiguous { code, .. } => write!(
                f,
                "an answer to {code} came that may belong to another request of it; ask again"
            ),
            Self::Superseded { code } => write!(
                f,
                "{code} was cancelled by a stop before it was sent; \
                 send it again if it is still wanted"
            ),
            Self::Unconfirmed { code } => write!(
                f,
                "{code} was sent, but too many of it are unanswered to wait for its answer"
            ),
            Self::NotFlamingo { address, what } => write!(
                f,
                "{address} does not speak the Flamingo protocol: {what}; is it the control port?"
            ),
            Self::TokensNotEchoed { address, field } => {
                write!(f, "{address} does not echo the token in {field}; switch tokens off")
            }
            Self::ConnectionLost { address, reason, .. } => {
                write!(f, "connection to {address} lost: {reason}; connect again")
            }
        }
    }
}

fn fmt_broken(
    f: &mut fmt::Formatter<'_>,
    code: CommandCode,
    after: Duration,
    noise: u64,
    rejected: Option<DecodeError>,
) -> fmt::Result {
    write!(f, "no answer to {code} within {after:?}, but {noise} bytes that are no frame")?;
    if let Some(why) = rejected {
        write!(f, " ({why})")?;
    }
    f.write_str("; the peer broke the protocol")
}

fn fmt_timed_out(
    f: &mut fmt::Formatter<'_>,
    code: CommandCode,
    after: Duration,
    sent: bool,
) -> fmt::Result {
    write!(f, "no answer to {code} within {after:?}")?;
    if !sent {
        f.write_str(" (it was never sent: older commands were still unanswered)")?;
    }
    f.write_str("; the instrument may be busy, or not know it")
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { source, .. } | Self::Connect { source, .. } => Some(source),
            Self::Refused { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Error {
    /// [`Error::ConnectionLost`] to `address`, for `reason`.
    #[must_use]
    pub fn lost(address: &str, reason: &str) -> Self {
        Self::ConnectionLost { address: address.into(), reason: reason.into(), sent: false }
    }

    /// Whether the command went out before the call failed. Then the instrument may have carried it
    /// out.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        match self {
            Self::TimedOut { sent, .. } | Self::ConnectionLost { sent, .. } => *sent,
            Self::Broken { .. }
            | Self::Unanswered { .. }
            | Self::PayloadStalled { .. }
            | Self::Ambiguous { .. }
            | Self::Unconfirmed { .. } => true,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Refused { .. }
            | Self::NoStop { .. }
            | Self::Silent { .. }
            | Self::Superseded { .. }
            | Self::NotFlamingo { .. }
            | Self::TokensNotEchoed { .. } => false,
        }
    }

    /// The exit code that scripts may rely on: 2 refused or cancelled, 3 no connection, 4 no clear
    /// answer, 6 not the protocol, 7 connection lost.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::NoStop { .. } | Self::Superseded { .. } => 2,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_says_whether_the_command_was_sent() {
        let timed_out = |sent| Error::TimedOut {
            code: CommandCode::STAGE_POSITION_GET,
            after: Duration::from_secs(3),
            sent,
        };
        assert_eq!(
            timed_out(true).to_string(),
            "no answer to STAGE_POSITION_GET (0x6008) within 3s; \
             the instrument may be busy, or not know it"
        );
        assert!(timed_out(false).to_string().contains("3s (it was never sent"));
    }

    #[test]
    fn broken_bytes_are_counted_and_explained() {
        let broken = |rejected| Error::Broken {
            code: CommandCode::STAGE_POSITION_GET,
            after: Duration::from_secs(3),
            noise: 7,
            rejected,
        };
        assert!(broken(None).to_string().contains("7 bytes that are no frame; the peer"));
        let why = Frame::decode(&[0]).expect_err("too short");
        let text = broken(Some(why)).to_string();
        assert!(text.contains(&format!("no frame ({why}); the peer")), "{text}");
    }

    #[test]
    fn the_error_of_the_operating_system_is_the_source() {
        use std::error::Error as _;
        let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = Error::Connect { address: "scope:53717".into(), source };
        assert!(error.source().is_some());
        assert!(Error::lost("scope:53717", "gone").source().is_none());
    }
}
