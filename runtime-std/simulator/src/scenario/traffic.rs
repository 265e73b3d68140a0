//! How a simulated instrument talks: latencies, pushes, background traffic, fields echoed, sockets.

use serde::Deserialize;

use super::check::{self, Code};

/// How long an answer takes, from the command's arrival: evenly between `min_ms` and `max_ms`,
/// and some jitter on top. Answers of one subsystem keep their order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// The shortest.
    #[serde(deserialize_with = "check::not_negative")]
    pub min_ms: f64,
    /// The longest without jitter.
    #[serde(deserialize_with = "check::not_negative")]
    pub max_ms: f64,
    /// The most that is added; small amounts are far more frequent than large ones.
    #[serde(deserialize_with = "check::not_negative")]
    pub jitter_ms: f64,
    /// What acknowledging a move takes instead, so that a short motion ends before it.
    #[serde(deserialize_with = "check::maybe_not_negative")]
    pub move_ack_ms: Option<f64>,
}

impl Default for Latency {
    fn default() -> Self {
        Self { min_ms: 0.2, max_ms: 1.0, jitter_ms: 0.0, move_ack_ms: None }
    }
}

/// What is pushed, and what the pushes look like.
#[allow(clippy::struct_excessive_bools)] // keys of a file, each on its own
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pushes {
    /// Position updates of a moving axis per second; 0 = none.
    #[serde(deserialize_with = "check::not_negative")]
    pub position_hz: f64,
    /// Whether position updates carry STAGE_POSITIONS_IN_BUFFER.
    pub flagged: bool,
    /// Whether position updates carry `1=X\n2=Y\n3=Z\n` in the buffer.
    pub position_text: bool,
    /// Whether position updates carry TRIGGER_CALL_BACK, as the echo of a query does: without
    /// flag and text nothing at all tells such an update from an answer.
    pub callback_flag: bool,
    /// Whether a SET also pushes the matching GET to everybody.
    pub get_after_set: bool,
    /// Length of the payload of a 0x4003 push.
    pub led_payload_bytes: u16,
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            position_hz: 40.0,
            flagged: true,
            position_text: true,
            callback_flag: false,
            get_after_set: false,
            led_payload_bytes: 6,
        }
    }
}

/// Unsolicited frames that come without any cause, to every client. Each carries a running number
/// in int32Data2.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Background {
    /// How many per second.
    #[serde(deserialize_with = "check::not_negative")]
    pub frames_per_s: f64,
    /// Of which codes, by turns at random; empty = gauges, laser and LED changes, system state.
    pub codes: Vec<Code>,
}

/// Which fields of a command come back in its answer.
#[allow(clippy::struct_excessive_bools)] // keys of a file, each on its own
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// clientID comes back as sent; otherwise it is 0.
    pub echo_client_id: bool,
    /// int32Data2 comes back as sent; otherwise it is 0.
    pub echo_int32_data2: bool,
    /// The acknowledgement of an upload declares the upload's length, though nothing follows.
    pub echo_upload_length: bool,
    /// Answers carry flag 0x40000000, pushes do not.
    pub tag_answers: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            echo_client_id: true,
            echo_int32_data2: true,
            echo_upload_length: false,
            tag_answers: false,
        }
    }
}

/// The sockets.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Clients of the control port at the same time; the next one is accepted and closed at once.
    pub control_clients: usize,
    /// Clients of the live port.
    pub live_clients: usize,
    /// Clients of the stack port.
    pub stack_clients: usize,
    /// SO_SNDBUF of every socket; 0 = as the operating system has it.
    pub send_buffer_bytes: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self { control_clients: 3, live_clients: 5, stack_clients: 5, send_buffer_bytes: 0 }
    }
}
