//! The section `[upstream]`: the instrument and the connection to it.

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
