//! What comes out of a client's connection: frames with their class, payload slices, events.
//!
//! What brings them about is `connection.rs` and `request.rs`.

use crate::connection::classify::Class;
use crate::connection::config::TokenField;
use crate::connection::ticket::{Ended, Ticket};
use crate::scanner::FrameView;
use crate::wire::frame::Frame;

/// A frame that came in, with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Received {
    /// The frame. If `frame.payload_len` is not 0, its payload comes in the outputs that follow.
    /// (In the acknowledgement of an upload it is 0, see
    /// [`Config::upload_echo_has_payload`](crate::Config::upload_echo_has_payload).)
    pub frame: Frame,
    /// Whose it is.
    pub class: Class,
    /// Bytes that were skipped as noise between the last frame and this one.
    pub skipped: u32,
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::large_enum_variant)] // lent for the time of one call; nothing to box it in
pub enum Output<'a> {
    /// A frame.
    Frame(Received),
    /// Some of the payload of the last frame, lent from the input.
    Payload {
        /// The bytes; never empty.
        bytes: &'a [u8],
        /// How many are still to come; 0 ends the payload.
        remaining: u32,
    },
}

/// What happened without a frame coming in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// A request, or a sent frame, ended without an answer.
    Ended {
        /// Which one.
        ticket: Ticket,
        /// How.
        ended: Ended,
    },
    /// The peer did not answer a harmless query in the time of grace.
    Unresponsive,
    /// It answers again, provably, in that ordering domain.
    Responsive,
    /// A HALT or laser-off waits behind a half-sent frame for too long: give the connection up
    /// and send it over a fresh one.
    StopBlocked,
}

/// Why a connection wants to be called at a certain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// A request's deadline.
    Deadline(Ticket),
    /// The time is over in which a late answer may come.
    Grace,
    /// A HALT or laser-off has waited too long to be written.
    StopBlocked,
}

impl Received {
    /// Reads the frame. `original` goes back into the field of the token.
    pub(crate) fn new(
        view: FrameView<'_>,
        class: Class,
        original: Option<(TokenField, i32)>,
    ) -> Self {
        let mut frame = view.read();
        if let Some((field, original)) = original {
            field.replace(&mut frame, original);
        }
        Self { frame, class, skipped: view.skipped }
    }
}
