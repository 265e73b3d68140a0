//! The traffic of a simulated instrument: latencies, pushes, background traffic, echoed fields, sockets.

use std::time::Duration;

use flamingo_runtime_std::InputLimits;
use serde::Deserialize;

use super::check::{self, ScenarioCode};

/// The time from the arrival of a command to its answer: uniform between `min_ms` and `max_ms`, plus jitter. Answers
/// of one subsystem keep their order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Latency {
    /// The shortest time in ms, at most `max_ms`.
    #[serde(deserialize_with = "check::not_negative")]
    pub min_ms: f64,
    /// The longest time without jitter, in ms.
    #[serde(deserialize_with = "check::not_negative")]
    pub max_ms: f64,
    /// The maximum jitter in ms. Small amounts are much more frequent than large ones.
    #[serde(deserialize_with = "check::not_negative")]
    pub jitter_ms: f64,
    /// The time to acknowledge a move, in ms, instead of the times above. A short motion can end before it.
    #[serde(deserialize_with = "check::maybe_not_negative")]
    pub move_ack_ms: Option<f64>,
}

impl Default for Latency {
    fn default() -> Self {
        Self { min_ms: 0.2, max_ms: 1.0, jitter_ms: 0.0, move_ack_ms: None }
    }
}

/// Which messages are pushed, and their form.
#[allow(clippy::struct_excessive_bools)] // keys of a file, each on its own
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Pushes {
    /// The number of position updates of a moving axis per second; 0 = none.
    #[serde(deserialize_with = "check::not_negative")]
    pub position_hz: f64,
    /// Whether position updates carry STAGE_POSITIONS_IN_BUFFER.
    pub flagged: bool,
    /// Whether position updates carry `1=X\n2=Y\n3=Z\n` in the buffer.
    pub position_text: bool,
    /// Whether position updates carry TRIGGER_CALL_BACK, as the echo of a query does. Without flag and text, nothing
    /// distinguishes such an update from an answer.
    pub callback_flag: bool,
    /// Whether a SET also pushes the matching GET to all clients.
    pub get_after_set: bool,
    /// The length of the payload of a 0x4003 push, in bytes.
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

/// Unsolicited frames without a cause, to every client. Each has a consecutive number in int32Data2.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BackgroundTraffic {
    /// Frames per second; 0 = none.
    #[serde(deserialize_with = "check::not_negative")]
    pub frames_per_s: f64,
    /// Their codes, chosen at random; empty = gauges, laser and LED changes, system state.
    pub codes: Vec<ScenarioCode>,
}

/// Which fields of a command its answer echoes.
#[allow(clippy::struct_excessive_bools)] // keys of a file, each on its own
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Tokens {
    /// Whether clientID is echoed; otherwise it is 0.
    pub echo_client_id: bool,
    /// Whether int32Data2 is echoed; otherwise it is 0.
    pub echo_int32_data2: bool,
    /// Whether the acknowledgement of an upload declares the length of the upload, although no payload follows.
    pub echo_upload_length: bool,
    /// Whether answers, and only answers, carry flag 0x40000000.
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

/// The limits and options of the sockets.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ServerModel {
    /// The maximum number of clients of the control port. A client above it is accepted and closed at once.
    pub control_clients: usize,
    /// The maximum number of clients of the live port.
    pub live_clients: usize,
    /// The maximum number of clients of the stack port.
    pub stack_clients: usize,
    /// SO_SNDBUF of every socket in bytes; 0 = the default of the operating system.
    pub send_buffer_bytes: usize,
    /// The time in ms that a client of the control port has for its first frame after connecting, and for each
    /// frame after the first byte of it; 0 = no limit.
    #[serde(deserialize_with = "check::not_negative")]
    pub first_frame_ms: f64,
}

impl ServerModel {
    /// What the control port accepts. Bytes between two frames are skipped, however many.
    pub(crate) fn input_limits(&self) -> InputLimits {
        let within = Duration::try_from_secs_f64(self.first_frame_ms / 1000.0);
        // A longer time than there is means no limit, too.
        let within = within.ok().filter(|within| !within.is_zero()).map(Into::into);
        InputLimits { first_frame: within, rest_of_frame: within, ..InputLimits::COMMANDS }
    }
}

impl Default for ServerModel {
    fn default() -> Self {
        Self {
            control_clients: 3,
            live_clients: 5,
            stack_clients: 5,
            send_buffer_bytes: 0,
            first_frame_ms: 5000.0,
        }
    }
}
