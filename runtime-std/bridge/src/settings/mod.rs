//! The settings of a bridge: the whole file, how it is read, and what a reading error reports.
//!
//! Each section is a file: `upstream.rs` (the instrument and its pushes), `listen.rs` (the ports),
//! `limits.rs` (quotas per client), `events.rs` and `delivery.rs` (where unsolicited messages go); who
//! may connect is in `access/`. `check.rs` refuses settings that do not fit together, and `ranges.rs`
//! numbers that are too small or too large.

mod check;
pub(crate) mod choice;
mod delivery;
#[cfg(test)]
mod delivery_tests;
mod events;
mod limits;
mod listen;
mod ranges;
#[cfg(test)]
mod tests;
mod upstream;

use serde::{Deserialize, Serialize};

use choice::choice;

pub(crate) use check::option_of;

pub use crate::access::{AccessSettings, Role, RoleRule};
pub use delivery::{CodeList, Delivery, EventDelivery, Preset};
pub use events::{DeliveryRule, EventSettings};
pub use limits::LimitSettings;
pub(crate) use listen::PortRow;
pub use listen::{ListenSettings, NamedPort, PortChoice, parse_status_address};
pub use upstream::{Tokens, UnmarkedSettings, UpstreamSettings, WhenLost};

/// All settings of a bridge. `docs/bridge.example.toml` lists every option with its default.
///
/// Start from [`BridgeSettings::new`] or [`BridgeSettings::from_toml`] and change the fields:
///
/// ```
/// use flamingo_bridge::settings::{BridgeSettings, Delivery};
///
/// let mut settings = BridgeSettings::new("10.0.0.5:53717");
/// settings.limits.commands_per_s = 500;
/// settings.events.default = Delivery::Both;
/// settings.check()?;
///
/// let same = BridgeSettings::from_toml(
///     "[upstream]\naddress = '10.0.0.5:53717'\n\
///      [limits]\ncommands_per_s = 500\n\
///      [events]\ndefault = 'both'\n",
/// )?;
/// assert_eq!(same, settings);
/// # Ok::<(), flamingo_bridge::settings::BridgeSettingsError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct BridgeSettings {
    /// The instrument and the connection to it.
    pub upstream: UpstreamSettings,
    /// The pushes of the instrument that carry no mark.
    pub unmarked: UnmarkedSettings,
    /// The ports on which the bridge listens.
    pub listen: ListenSettings,
    /// How much each client may use.
    pub limits: LimitSettings,
    /// Who may connect, and with which role.
    pub access: AccessSettings,
    /// How unsolicited messages reach the clients.
    pub events: EventSettings,
    /// Which client may move axes and use lasers.
    pub lease: LeaseSettings,
    /// Recording of the traffic to and from the instrument.
    pub record: RecordSettings,
    /// The log of the bridge.
    pub log: LogSettings,
}

/// Recording of the traffic to and from the instrument, in files that Wireshark opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RecordSettings {
    /// The folder of the files. Default: empty, which records nothing.
    pub folder: String,
    /// Whether images are recorded with their pixels. Default: no; a checksum replaces them.
    pub pixels: bool,
    /// Megabytes (10⁶ bytes) after which the next file begins. Default: 256.
    pub file_mb: u64,
    /// Minutes after which the next file begins. Default: 60.
    pub file_minutes: u64,
    /// Number of files to keep, the current one included. The oldest are deleted. Default: 48.
    pub keep_files: usize,
}

impl Default for RecordSettings {
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

/// The motion lease: the first client that moves an axis or uses a laser keeps that right until it
/// has been idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LeaseSettings {
    /// Whether the lease is in use. Default: no.
    pub enabled: bool,
    /// Seconds without a motion or laser command after which the lease is free again. Default: 10.
    pub idle_s: u64,
    /// Whether the bridge halts all axes and switches all lasers off when it loses the client that
    /// held the lease last. Default: no.
    pub dead_man: bool,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { enabled: false, idle_s: 10, dead_man: false }
    }
}

/// The log of the bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LogSettings {
    /// The format of each line. Default: text.
    pub format: LogFormat,
}

/// The format of a log line. It is exhaustive: a program that logs must support each format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line, for programs.
    Json,
}

choice!(LogFormat { Text => "text", Json => "json" });

impl BridgeSettings {
    /// The defaults, for the instrument whose control port is at `upstream` (`HOST:PORT`).
    #[must_use]
    pub fn new(upstream: impl Into<String>) -> Self {
        let mut settings = Self::default();
        settings.upstream.address = upstream.into();
        settings
    }

    /// Reads a settings file. It does not check whether the options fit together: call
    /// [`Self::check`] after the last change.
    ///
    /// # Errors
    /// [`BridgeSettingsError`] names the line, the option and the expected value.
    pub fn from_toml(text: &str) -> Result<Self, BridgeSettingsError> {
        let refused = |error: &toml::de::Error, key: String| BridgeSettingsError {
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

/// The settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{problem}",
    .line.map(|line| format!("line {line}: ")).unwrap_or_default(),
    if .key.is_empty() { String::new() } else { format!("{key}: ") })]
#[non_exhaustive]
pub struct BridgeSettingsError {
    /// The line of the file, counted from 1. `None` if the options do not fit together, since the
    /// command line may have set them.
    pub line: Option<usize>,
    /// The option, such as `limits.clients`. Empty if the file is not TOML.
    pub key: String,
    /// What is wrong, and what was expected.
    pub problem: String,
}
