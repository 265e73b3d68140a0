//! The faults of a simulated instrument, and how often they happen. What they do is in `byte_faults.rs`, `images.rs`
//! and `instrument/`.

use serde::Deserialize;

use super::check::{self, ScenarioCode};

/// How often a fault happens; never by default. `probability` and `every_n` add up.
///
/// ```
/// use flamingo_protocol_core::CommandCode;
/// use flamingo_simulator::{Fault, Scenario};
/// let mut scenario = Scenario::default();
/// scenario.faults.lost_answers = Fault::every(10).code(CommandCode::STAGE_POSITION_GET);
/// scenario.faults.junk = Fault::with_probability(0.2);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Fault {
    /// The probability on each occasion, from 0 to 1.
    #[serde(deserialize_with = "check::probability")]
    pub probability: f64,
    /// The fault happens on every n-th occasion of a connection; 0 = never.
    pub every_n: u64,
    /// The fault happens at most so many times on a connection; 0 = no limit.
    pub at_most: u64,
    /// Only frames of these codes are occasions; empty = all frames.
    pub codes: Vec<ScenarioCode>,
}

impl Fault {
    /// A fault on every n-th occasion of a connection.
    pub fn every(n: u64) -> Self {
        Self { every_n: n, ..Self::default() }
    }

    /// A fault on the first occasion of a connection.
    pub fn once() -> Self {
        Self::every(1).at_most(1)
    }

    /// A fault with this probability on each occasion, from 0 to 1.
    pub fn with_probability(probability: f64) -> Self {
        Self { probability, ..Self::default() }
    }

    /// Limits how often the fault happens on a connection; 0 = no limit.
    #[must_use]
    pub fn at_most(self, at_most: u64) -> Self {
        Self { at_most, ..self }
    }

    /// Makes frames of this code an occasion. Without any code, all frames are.
    #[must_use]
    pub fn code(mut self, code: flamingo_protocol_core::CommandCode) -> Self {
        self.codes.push(ScenarioCode(code));
        self
    }
}

/// All faults of a connection. An occasion is a frame that is sent, unless the field says otherwise.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Faults {
    /// A frame is sent in several TCP writes.
    pub split_writes: Fault,
    /// The pause between two of these writes, in ms.
    #[serde(deserialize_with = "check::not_negative")]
    pub split_pause_ms: f64,
    /// Stray bytes are sent before a frame.
    pub junk: Fault,
    /// The maximum number of these bytes.
    pub junk_max_bytes: u16,
    /// A copy of a frame with a broken marker is sent before the frame.
    pub broken_markers: Fault,
    /// A start marker stands in the unused buffer of a frame, or a start marker or the bytes of a whole frame stand in
    /// the payload of a 0x4003 push.
    pub false_markers: Fault,
    /// An answer is delayed. An occasion is an answer.
    pub late_answers: Fault,
    /// The delay in ms. Later answers of the same subsystem come after it.
    #[serde(deserialize_with = "check::not_negative")]
    pub late_by_ms: f64,
    /// An answer is never sent. An occasion is an answer.
    pub lost_answers: Fault,
    /// An answer is sent twice. An occasion is an answer.
    pub duplicate_answers: Fault,
    /// The connection is closed in the middle of a frame.
    pub disconnect_mid_frame: Fault,
    /// The server stops reading after a command. An occasion is a command.
    pub stalled_reader: Fault,
    /// For so many ms.
    #[serde(deserialize_with = "check::not_negative")]
    pub stalled_reader_ms: f64,
    /// A payload pauses in the middle. An occasion is a frame with a payload.
    pub stalled_payload: Fault,
    /// For so many ms.
    #[serde(deserialize_with = "check::not_negative")]
    pub stalled_payload_ms: f64,
    /// The connection of a client with more unanswered commands than this is closed; 0 = never.
    pub drop_above_unanswered: u32,
    /// The connection of a client that does not read for so many ms is closed.
    #[serde(deserialize_with = "check::above_zero")]
    pub write_timeout_ms: f64,
    /// How many bytes of an earlier connection a client receives right after connecting: the end of a frame, then
    /// whole frames.
    pub stale_prefix_bytes: u16,
    /// The header of an image is inconsistent: imageSize does not fit width and height. An occasion is an image for a
    /// viewer.
    pub image_headers: Fault,
    /// The connection of a viewer is closed in the middle of an image.
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
