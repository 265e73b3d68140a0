//! The sections `[upstream]`, the instrument and the connection to it, and `[unmarked]`, its pushes.

use flamingo_protocol_core::connection::UnmarkedPushes;
use serde::{Deserialize, Serialize};

use super::choice::choice;

/// The instrument and the connection to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct UpstreamSettings {
    /// `HOST:PORT` of the instrument's control port. Its image ports are the next two. No default.
    pub address: String,
    /// Time limit for connecting, in ms. Default: 2000.
    pub connect_timeout_ms: u64,
    /// Time limit for an answer, in ms, from when the command is sent. A command may wait as long for
    /// its turn, and as long again to be sent. Default: 5000.
    pub request_timeout_ms: u64,
    /// The wait before the first attempt to connect again, in ms. It doubles with each attempt.
    /// Default: 250.
    pub reconnect_min_ms: u64,
    /// The longest wait before an attempt to connect again, in ms. Default: 5000.
    pub reconnect_max_ms: u64,
    /// The field in which the bridge numbers its commands. Default: off.
    pub tokens: Tokens,
    /// How many commands may be on the wire without an answer. Default: 4.
    pub window: usize,
    /// Whether equal queries that wait at the same time share one request. Default: no.
    pub coalesce_polls: bool,
    /// What a client receives for a query while the instrument is not connected. Default: nothing.
    pub when_lost: WhenLost,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            address: String::new(),
            connect_timeout_ms: 2000,
            request_timeout_ms: 5000,
            reconnect_min_ms: 250,
            reconnect_max_ms: 5000,
            tokens: Tokens::default(),
            window: 4,
            coalesce_polls: false,
            when_lost: WhenLost::default(),
        }
    }
}

/// The field that the instrument copies from a command into its answer. The bridge puts a number of
/// its own there, which proves whose answer it is, and gives each client its own value back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Tokens {
    /// No field: commands go to the instrument unchanged.
    #[default]
    Off,
    /// `clientID`.
    ClientId,
    /// The third integer, `int32Data2`.
    Int32Data2,
}

choice!(Tokens { Off => "off", ClientId => "client-id", Int32Data2 => "int32-data2" });

/// What a client receives for a query while the instrument is not connected. SYSTEM_STATE_GET is
/// always answered with SYSTEM_STATE_DISCONNECTED.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WhenLost {
    /// Nothing: the time limit of the client tells it.
    #[default]
    Silence,
    /// A refusal: status 0, no number that could be a value, and the reason as text.
    Refusal,
    /// The bridge closes the connection to the client.
    Close,
}

choice!(WhenLost { Silence => "silence", Refusal => "refusal", Close => "close" });

/// The pushes of the instrument that carry no mark. An answer that can look like such a push is only
/// presumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools)] // four independent facts about an instrument
#[non_exhaustive]
pub struct UnmarkedSettings {
    /// Position updates during a motion. Default: no, they have STAGE_POSITIONS_IN_BUFFER.
    pub positions: bool,
    /// Laser levels and LED changes. Default: yes.
    pub lights: bool,
    /// The GET that belongs to a SET, pushed when the SET is done. Default: yes.
    pub after_set: bool,
    /// Echoes of the actions of other clients of the instrument. Default: no.
    pub other_clients: bool,
}

impl Default for UnmarkedSettings {
    fn default() -> Self {
        let UnmarkedPushes { positions, lights, after_set, other_clients, .. } =
            UnmarkedPushes::DEFAULT;
        Self { positions, lights, after_set, other_clients }
    }
}

impl From<UnmarkedSettings> for UnmarkedPushes {
    fn from(settings: UnmarkedSettings) -> Self {
        let UnmarkedSettings { positions, lights, after_set, other_clients } = settings;
        Self::DEFAULT
            .with_positions(positions)
            .with_lights(lights)
            .with_after_set(after_set)
            .with_other_clients(other_clients)
    }
}
