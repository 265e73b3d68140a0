//! What a user may say about the bridge: the settings file, its defaults, and reading it. Who may
//! connect is in `access`; what fits together and what does not is in `settings/check`.

mod check;
pub(crate) mod choice;
mod listen;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::access::{contains, networks};
use choice::named;

pub use crate::access::{Access, Role, RoleRule};
pub use listen::{ControlPort, Listen, Port, status_address};

/// Everything that a user may say about the bridge. `docs/bridge.example.toml` has all of it with
/// the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The instrument.
    pub upstream: Upstream,
    /// Where the bridge listens.
    pub listen: Listen,
    /// How much a client may have and do.
    pub limits: Limits,
    /// Who may connect, and as what.
    pub access: Access,
    /// How unsolicited messages reach the clients.
    pub events: Events,
    /// Who may move and light up.
    pub lease: Lease,
    /// What goes to and from the instrument, in files.
    pub record: Record,
    /// How the bridge logs.
    pub log: Log,
}

/// The instrument, and how to talk to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// `HOST:PORT` of its control port. The image ports are the next two.
    pub address: String,
    /// How long an address may take to accept: 2 s.
    pub connect_timeout_ms: u64,
    /// How long an answer may take: 5 s.
    pub request_timeout_ms: u64,
    /// The wait before the first attempt to connect again: 250 ms. It doubles with each one.
    pub reconnect_min_ms: u64,
    /// The longest such wait: 5 s.
    pub reconnect_max_ms: u64,
    /// Where the bridge puts a number of its own into each command, to know the answer by.
    pub tokens: Tokens,
    /// How many commands may be on the wire without an answer: 4.
    pub window: usize,
    /// Whether equal questions that wait at the same time share one request: no.
    pub coalesce_polls: bool,
}

impl Default for Upstream {
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

/// The field in which the instrument gives back what the command had there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokens {
    /// None that we know of: commands go up as they are.
    #[default]
    Off,
    /// The client's number. The client gets its own one back.
    ClientId,
    /// The third integer. The client gets its own one back.
    Int32Data2,
}

named!(Tokens { Off => "off", ClientId => "client-id", Int32Data2 => "int32-data2" });

/// How much a client may have and do. What goes over is refused or cut off, and nobody else
/// notices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Clients on the control port: 64.
    pub clients: usize,
    /// Viewers on each image port: 16.
    pub viewers: usize,
    /// Subscribers on the callback port: 64.
    pub subscribers: usize,
    /// Commands of one client in a second, and at once: 2000.
    pub commands_per_s: u32,
    /// Bytes from one client in a second: 64 MiB.
    pub bytes_per_s: u64,
    /// The longest payload from a client: 32 MiB.
    pub upload_bytes: u32,
    /// All payloads that wait in the bridge: 128 MiB.
    pub upload_bytes_total: u64,
    /// Frames of one client that wait to go up: 256.
    pub queue_frames: usize,
    /// Bytes that wait for a client that does not read; then it is cut off: 1 MiB.
    pub out_bytes: usize,
    /// Bytes in a row without a frame; then the client is cut off: 1024.
    pub noise_bytes: u64,
    /// How long a client may be unreachable before it is lost: 60 s.
    pub lost_after_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 64,
            viewers: 16,
            subscribers: 64,
            commands_per_s: 2000,
            bytes_per_s: 64 << 20,
            upload_bytes: 32 << 20,
            upload_bytes_total: 128 << 20,
            queue_frames: 256,
            out_bytes: 1 << 20,
            noise_bytes: 1024,
            lost_after_s: 60,
        }
    }
}

/// How unsolicited messages reach the clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// For whoever no rule names: on the callback port alone.
    pub default: Delivery,
    /// The first rule that contains the address of a client counts.
    pub rules: Vec<DeliveryRule>,
    /// Whether bit 0x40000000 of cmdDataBits0 is set on answers and clear on unsolicited
    /// messages: no.
    pub tag: bool,
    /// Whether what one client does is shown to the others, as the instrument would: yes.
    pub echo_actions: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { default: Delivery::default(), rules: Vec::new(), tag: false, echo_actions: true }
    }
}

impl Events {
    /// How unsolicited messages reach a client at `address`.
    pub fn delivery(&self, address: IpAddr) -> Delivery {
        let rule = self.rules.iter().find(|rule| contains(&rule.networks, address));
        rule.map_or(self.default, |rule| rule.delivery)
    }
}

/// How unsolicited messages reach some networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRule {
    /// Whose clients they are.
    #[serde(deserialize_with = "networks")]
    pub networks: Vec<IpNet>,
    /// How they get them.
    pub delivery: Delivery,
}

/// Where a client gets unsolicited messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Only on the callback port.
    #[default]
    Callback,
    /// Only on the control port, between the answers, as the instrument does it.
    Inline,
    /// On both.
    Both,
}

named!(Delivery { Callback => "callback", Inline => "inline", Both => "both" });

/// What goes between the bridge and the instrument, in files that Wireshark opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// Where the files go; empty: nothing is recorded.
    pub folder: String,
    /// Whether images are recorded with their pixels: no, with a checksum.
    pub pixels: bool,
    /// After so many megabytes the next file begins: 256.
    pub file_mb: u64,
    /// After so many minutes the next file begins: 60.
    pub file_minutes: u64,
    /// So many files stay, 48, the one that is written included; the oldest go.
    pub keep_files: usize,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            folder: String::new(),
            pixels: false,
            file_mb: 256,
            file_minutes: 60,
            keep_files: 48,
        }
    }
}

/// Who may move and light up: with a lease, whoever did so first, until idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lease {
    /// Whether there is one: no.
    pub enabled: bool,
    /// After how long without motion or laser command it is free again: 10 s.
    pub idle_s: u64,
    /// Whether lasers go off and axes halt when its holder is lost: no.
    pub dead_man: bool,
}

impl Default for Lease {
    fn default() -> Self {
        Self { enabled: false, idle_s: 10, dead_man: false }
    }
}

/// How the bridge logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Lines for people, or for programs.
    pub format: LogFormat,
}

/// What a line of the log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

named!(LogFormat { Text => "text", Json => "json" });

impl Settings {
    /// Reads a settings file. Whether its parts fit together is found out by [`Self::check`], once
    /// the command line has been laid over it.
    ///
    /// # Errors
    /// [`SettingsError`] names the line, the key and what was expected.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        let refused = |error: &toml::de::Error, key: String| SettingsError {
            line: error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or(text);
                before.matches('\n').count() + 1
            }),
            key,
            problem: error.message().trim().replace('\n', "; "),
        };
        let file = toml::Deserializer::parse(text).map_err(|e| refused(&e, String::new()))?;
        serde_path_to_error::deserialize(file).map_err(|error| {
            let key = match error.path().to_string() {
                // The path of the whole file.
                whole if whole == "." => String::new(),
                key => key,
            };
            refused(error.inner(), key)
        })
    }
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{problem}",
    .line.map(|line| format!("line {line}: ")).unwrap_or_default(),
    if .key.is_empty() { String::new() } else { format!("{key}: ") })]
pub struct SettingsError {
    /// The line of the file, from 1, where the file alone is to blame.
    pub line: Option<usize>,
    /// The option, such as `limits.clients`; empty if the file cannot be read that far.
    pub key: String,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

#[cfg(test)]
mod tests;
