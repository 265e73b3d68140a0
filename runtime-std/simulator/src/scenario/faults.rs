//! What goes wrong with a simulated instrument, and how often.

use serde::Deserialize;

use super::check::{self, Code};

/// How often something goes wrong. It never does by default; `probability` and `every_n` add up.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// On each occasion, from 0 to 1.
    #[serde(deserialize_with = "check::probability")]
    pub probability: f64,
    /// On every n-th occasion of a connection; 0 = never.
    pub every_n: u64,
    /// At most this often on a connection; 0 = no limit.
    pub at_most: u64,
    /// Only with frames of these codes; empty = all. Other frames are no occasion.
    pub codes: Vec<Code>,
}

impl Fault {
    /// On every n-th occasion of a connection.
    pub fn every(n: u64) -> Self {
        Self { every_n: n, ..Self::default() }
    }

    /// The first time only.
    pub fn once() -> Self {
        Self { every_n: 1, at_most: 1, ..Self::default() }
    }

    /// With frames of this code only.
    #[must_use]
    pub fn with_code(mut self, code: flamingo_protocol_core::CommandCode) -> Self {
        self.codes.push(Code(code));
        self
    }
}

/// Everything that can go wrong. An occasion is a frame that is sent, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// A frame leaves in several TCP writes.
    pub split_writes: Fault,
    /// Pause between two of these writes.
    #[serde(deserialize_with = "check::not_negative")]
    pub split_pause_ms: f64,
    /// Stray bytes before a frame.
    pub junk: Fault,
    /// At most this many of them.
    pub junk_max_bytes: u16,
    /// Before a frame, a copy of it with a broken marker. The frame itself follows whole.
    pub broken_markers: Fault,
    /// A start marker, or a whole frame, where there is none: in the unused buffer of a frame
    /// (answers and pushes), or in the payload of a 0x4003 push.
    pub false_markers: Fault,
    /// An answer comes late. An occasion is an answer.
    pub late_answers: Fault,
    /// By this much. The answers of its subsystem behind it wait for it.
    #[serde(deserialize_with = "check::not_negative")]
    pub late_by_ms: f64,
    /// An answer never comes. An occasion is an answer.
    pub lost_answers: Fault,
    /// An answer comes twice. An occasion is an answer.
    pub duplicate_answers: Fault,
    /// The connection ends in the middle of a frame.
    pub disconnect_mid_frame: Fault,
    /// The server stops reading after a command. An occasion is a command.
    pub stalled_reader: Fault,
    /// For this long.
    #[serde(deserialize_with = "check::not_negative")]
    pub stalled_reader_ms: f64,
    /// A payload stops half-way. An occasion is a frame with a payload.
    pub stalled_payload: Fault,
    /// For this long.
    #[serde(deserialize_with = "check::not_negative")]
    pub stalled_payload_ms: f64,
    /// A client with more commands than this on the wire that are not answered yet is dropped;
    /// 0 = never.
    pub drop_above_unanswered: u32,
    /// A client that does not take what is written for this long is dropped.
    #[serde(deserialize_with = "check::above_zero")]
    pub write_timeout_ms: f64,
    /// Bytes of an earlier conversation that stand in the stream right after connect: the end of
    /// a frame, then whole frames.
    pub stale_prefix_bytes: u16,
    /// The header of an image cannot be true: imageSize is not that of its width and height. An
    /// occasion is an image that a viewer gets.
    pub image_headers: Fault,
    /// The connection of a viewer ends in the middle of an image.
    pub image_cuts: Fault,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            split_writes: Fault::default(),
            split_pause_ms: 1.0,
            junk: Fault::default(),
            junk_max_bytes: 40,
            broken_markers: Fault::default(),
            false_markers: Fault::default(),
            late_answers: Fault::default(),
            late_by_ms: 500.0,
            lost_answers: Fault::default(),
            duplicate_answers: Fault::default(),
            disconnect_mid_frame: Fault::default(),
            stalled_reader: Fault::default(),
            stalled_reader_ms: 500.0,
            stalled_payload: Fault::default(),
            stalled_payload_ms: 500.0,
            drop_above_unanswered: 0,
            write_timeout_ms: 1000.0,
            stale_prefix_bytes: 0,
            image_headers: Fault::default(),
            image_cuts: Fault::default(),
        }
    }
}
