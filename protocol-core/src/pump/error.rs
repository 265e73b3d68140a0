//! The parts that both pumps share: their error, and the choice of the bytes to write.

use core::fmt;

use crate::connection::outbox::Transmit;
use crate::connection::ticket::Ticket;

/// Why a pump could not move bytes.
///
/// The connection stays usable after [`Self::NoScratch`], and after a [`Self::Port`] error that is
/// temporary, such as a timeout: the endpoint already knows about all bytes that were written.
/// After any other error the connection is useless. Then call
/// [`handle_eof`](crate::pump::Endpoint::handle_eof) and take the outcomes. After [`Self::Ended`] the
/// pump has already called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PumpError<E> {
    /// The port failed.
    Port(E),
    /// The peer has closed its end. The pump has called `handle_eof`.
    Ended {
        /// The number of bytes of an incomplete frame.
        unfinished: usize,
        /// The number of missing bytes of a payload.
        missing: u32,
    },
    /// The port accepts no bytes.
    WriteZero,
    /// The caller lent no bytes for a payload, although its frame is already sent.
    NoPayload {
        /// The ticket of the frame.
        ticket: Ticket,
        /// The number of payload bytes that are sent.
        offset: u32,
        /// The number of payload bytes that are not sent.
        remaining: u32,
    },
    /// The buffer `scratch` is empty. Nothing was read.
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

/// The bytes to write: the bytes from `shown`, or the caller's payload, up to its end.
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
