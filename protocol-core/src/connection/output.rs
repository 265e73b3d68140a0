//! The outputs and events of a client's connection: frames with their class, payload slices,
//! events.
//!
//! `connection/mod.rs` and `request.rs` produce them.

use crate::connection::classify::Class;
use crate::connection::config::TokenField;
use crate::connection::ticket::{Ended, Ticket};
use crate::scanner::FrameView;
use crate::wire::frame::Frame;

/// A received frame with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Received {
    /// The frame. If `frame.payload_len` is not 0, its payload follows in the next outputs. In the
    /// acknowledgement of an upload it is 0; see
    /// [`Config::upload_echo_has_payload`](crate::Config::upload_echo_has_payload).
    pub frame: Frame,
    /// The class of the frame.
    pub class: Class,
    /// Noise bytes that the connection skipped between the last frame and this one.
    pub skipped: u32,
}

/// An output: what the connection received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::large_enum_variant)] // borrowed during one call; the core has no allocator
pub enum Output<'a> {
    /// A frame.
    Frame(Received),
    /// A part of the payload of the last frame, borrowed from the input.
    Payload {
        /// The bytes; never empty.
        bytes: &'a [u8],
        /// The number of payload bytes that are still to come. 0 marks the end of the payload.
        remaining: u32,
    },
}

/// An event that is not a received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// A request ended without an answer, or a frame ended without being sent.
    Ended {
        /// The ticket of the request or frame.
        ticket: Ticket,
        /// The way in which it ended.
        ended: Ended,
    },
    /// The peer did not answer a harmless query (a fence) within the grace.
    Unresponsive,
    /// The peer has proven, in the same ordering domain, that it answers again.
    Responsive,
    /// A stop has waited for `stop_patience` and is not sent. Close the connection and send
    /// the stop over a new one.
    StopBlocked,
}

/// Why [`handle_timeout`](crate::Connection::handle_timeout) is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// The deadline of this request.
    Deadline(Ticket),
    /// The grace is over: the time in which a late answer may come.
    Grace,
    /// A stop has waited too long to be written.
    StopBlocked,
}

impl Received {
    /// Reads the frame. Puts `original` back into the field that carried the token.
    #[allow(clippy::inline_always)] // a call: 19 instructions more for an answer on x86-64
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub(crate) fn new(
        view: FrameView<'_>,
        class: Class,
        original: Option<(TokenField, i32)>,
    ) -> Self {
        let mut received = Self { frame: view.read(), class, skipped: view.skipped };
        if let Some((field, original)) = original {
            field.replace(&mut received.frame, original);
        }
        received
    }
}
