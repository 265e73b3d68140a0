//! What both pumps share: how moving bytes fails, and which bytes are to be written.

use core::fmt;

use crate::connection::outbox::Transmit;
use crate::connection::ticket::Ticket;

/// Why bytes could not be moved. The connection is of no use after any of them but
/// [`Self::NoScratch`], and a [`Self::Port`] that passes, such as a timeout: what was written before
/// it has been said. Call [`handle_eof`](crate::pump::Endpoint::handle_eof) (after [`Self::Ended`] it was)
/// and take the outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PumpError<E> {
    /// The port failed.
    Port(E),
    /// The peer has closed its end. The endpoint knows it.
    Ended {
        /// Bytes of a frame that was not whole.
        unfinished: usize,
        /// Bytes of a payload that did not come.
        missing: u32,
    },
    /// The port takes no bytes at all.
    WriteZero,
    /// The caller gave no bytes for a payload whose frame is out already.
    NoPayload {
        /// Whose payload.
        ticket: Ticket,
        /// Bytes of it that are out.
        offset: u32,
        /// Bytes of it that are not.
        remaining: u32,
    },
    /// The buffer to read into is empty. Nothing was read.
    NoScratch,
}

impl<E: fmt::Display> fmt::Display for PumpError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(error) => write!(f, "port: {error}"),
            Self::Ended { unfinished: 0, missing: 0 } => f.write_str("the peer closed its end"),
            Self::Ended { unfinished, missing } => write!(
                f,
                "the peer closed its end after {unfinished} bytes of a frame, \
                 with {missing} bytes of a payload to come"
            ),
            Self::WriteZero => f.write_str("port: expected it to take bytes, it took none"),
            Self::NoPayload { ticket, offset, remaining } => write!(
                f,
                "payload of ticket {}: expected {remaining} more bytes at offset {offset}, \
                 found none",
                ticket.number()
            ),
            Self::NoScratch => f.write_str("scratch: expected room for at least 1 byte"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for PumpError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Port(error) => Some(error),
            _ => None,
        }
    }
}

/// The bytes to write: those shown, or as much as is wanted of the caller's payload.
pub(crate) fn bytes_of<'a, 'p: 'a, E>(
    shown: Transmit<'a>,
    payload: impl FnOnce(Ticket, u32) -> &'p [u8],
) -> Result<&'a [u8], PumpError<E>> {
    match shown {
        Transmit::Bytes(bytes) => Ok(bytes),
        Transmit::Payload { ticket, offset, remaining } => {
            let given = payload(ticket, offset);
            if given.is_empty() {
                return Err(PumpError::NoPayload { ticket, offset, remaining });
            }
            let wanted = usize::try_from(remaining).unwrap_or(usize::MAX);
            Ok(given.get(..wanted).unwrap_or(given))
        }
    }
}
