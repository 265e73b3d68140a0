//! Checks of the values in a scenario file. An error says what was expected and what was found.

use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::command_code;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::traffic::Latency;

/// A command code in a scenario file: the name of the command in the server, or a number in quotes with `0x`. The
/// number of a known command needs no quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScenarioCode(pub CommandCode);

impl<'de> Deserialize<'de> for ScenarioCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CodeVisitor;
        impl Visitor<'_> for CodeVisitor {
            type Value = ScenarioCode;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a command such as \"STAGE_POSITION_GET\" or \"0x6008\"")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<ScenarioCode, E> {
                command_code::from_integer(value).map(ScenarioCode).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<ScenarioCode, E> {
                command_code::from_text(value).map(ScenarioCode).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(CodeVisitor)
    }
}

fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
    holds: impl Fn(f64) -> bool,
) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if holds(value) {
        return Ok(value);
    }
    Err(de::Error::custom(format!("expected {expected}, found {value}")))
}

pub(super) fn probability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "a number from 0 to 1", |value| (0.0..=1.0).contains(&value))
}

pub(super) fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "a number of 0 or more", |value| value.is_finite() && value >= 0.0)
}

pub(super) fn above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "a number above 0", |value| value.is_finite() && value > 0.0)
}

pub(super) fn maybe_not_negative<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    not_negative(deserializer).map(Some)
}

/// A side of an image in pixels, within the limit that readers accept.
pub(super) fn side<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = u32::deserialize(deserializer)?;
    if (16..=8192).contains(&value) {
        return Ok(value);
    }
    Err(de::Error::custom(format!("expected 16 to 8192 pixels, found {value}")))
}

pub(super) fn latency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
    let latency = Latency::deserialize(deserializer)?;
    if latency.min_ms > latency.max_ms {
        let (min, max) = (latency.min_ms, latency.max_ms);
        return Err(de::Error::custom(format!("min_ms = {min} is above max_ms = {max}")));
    }
    Ok(latency)
}
