//! Which unsolicited messages a client receives on the control port: [`EventDelivery`], the list of
//! codes that it leaves out, and the presets for known programs.

use std::fmt;

use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::command_code;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::choice::choice;

/// Where a client receives unsolicited messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Delivery {
    /// Only on the callback port.
    #[default]
    Callback,
    /// Only on the control port, between the answers, as the instrument does.
    Inline,
    /// On both.
    Both,
}

choice!(Delivery { Callback => "callback", Inline => "inline", Both => "both" });

/// A delivery that suits a known kind of program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// For programs that match answers by their code alone: inline, except pushed positions.
    PythonGui,
    /// For programs that expect everything on one connection: inline.
    CppGui,
    /// For programs that take the next frame as their answer: on the callback port only.
    Clean,
}

choice!(Preset { PythonGui => "python-gui", CppGui => "cpp-gui", Clean => "clean" });

impl Preset {
    /// The delivery that this preset stands for.
    #[must_use]
    pub fn delivery(self) -> EventDelivery {
        match self {
            Self::PythonGui => EventDelivery {
                delivery: Delivery::Inline,
                except: vec![CommandCode::STAGE_POSITION_GET].into(),
            },
            Self::CppGui => Delivery::Inline.into(),
            Self::Clean => Delivery::Callback.into(),
        }
    }
}

/// Where a client receives unsolicited messages, and which of them do not go to its control port. The
/// callback port sends all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventDelivery {
    /// Where the client receives them.
    pub delivery: Delivery,
    /// The codes that are not sent on the control port unless they answer a command of this client.
    pub except: CodeList,
}

impl EventDelivery {
    /// A delivery that leaves out these codes on the control port.
    #[must_use]
    pub fn new(delivery: Delivery, except: impl Into<CodeList>) -> Self {
        Self { delivery, except: except.into() }
    }

    /// Whether an unsolicited message of this code goes to the control port of the client.
    #[must_use]
    pub fn is_inline(&self, code: CommandCode) -> bool {
        self.delivery != Delivery::Callback && !self.except.contains(code)
    }

    /// Whether every unsolicited message goes to the control port of the client.
    #[must_use]
    pub fn is_all_inline(&self) -> bool {
        self.delivery != Delivery::Callback && self.except.is_empty()
    }
}

impl From<Delivery> for EventDelivery {
    fn from(delivery: Delivery) -> Self {
        Self { delivery, except: CodeList::default() }
    }
}

impl fmt::Display for EventDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.except.is_empty() {
            return self.delivery.fmt(f);
        }
        write!(f, "{} except {}", self.delivery, self.except)
    }
}

/// A list of command codes. The settings file has their names, or their numbers such as "0x6008".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeList(Vec<NamedCode>);

impl CodeList {
    /// A list without codes.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether the list has this code.
    #[must_use]
    pub fn contains(&self, code: CommandCode) -> bool {
        self.0.contains(&NamedCode(code))
    }

    /// Whether the list has no code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<CommandCode>> for CodeList {
    fn from(codes: Vec<CommandCode>) -> Self {
        Self(codes.into_iter().map(NamedCode).collect())
    }
}

impl fmt::Display for CodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, code) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{code}")?;
        }
        Ok(())
    }
}

/// A code that is written as its name, or as a number if it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NamedCode(CommandCode);

impl fmt::Display for NamedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:04X}", self.0.0),
        }
    }
}

impl Serialize for NamedCode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NamedCode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CodeVisitor)
    }
}

/// Reads a name or a number.
struct CodeVisitor;

impl Visitor<'_> for CodeVisitor {
    type Value = NamedCode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command such as \"STAGE_POSITION_GET\" or \"0x6008\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<NamedCode, E> {
        command_code::from_integer(number).map(NamedCode).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<NamedCode, E> {
        command_code::from_integer(number).map(NamedCode).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NamedCode, E> {
        command_code::from_text(text).map(NamedCode).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Result<CodeList, String> {
        #[derive(Deserialize)]
        struct File {
            except: CodeList,
        }
        toml::from_str::<File>(text).map(|file| file.except).map_err(|error| error.to_string())
    }

    #[test]
    fn a_code_is_a_name_or_a_number_and_written_as_it_is_read() {
        let read = codes("except = [\"stage_position_get\", 0x4003, \"0xBEEF\"]").unwrap();
        assert_eq!(read.to_string(), "STAGE_POSITION_GET, LED_PREVIEW_DISABLE, 0xBEEF");
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(json, "[\"STAGE_POSITION_GET\",\"LED_PREVIEW_DISABLE\",\"0xBEEF\"]");
        assert_eq!(serde_json::from_str::<CodeList>(&json).unwrap(), read);
    }

    #[test]
    fn a_code_that_does_not_exist_is_refused_with_an_example() {
        for (bad, reason) in [
            ("\"STAGE_POSITION\"", "expected a name such as STAGE_HALT"),
            ("\"0x\"", "expected a name such as STAGE_HALT"),
            ("-1", "expected a command code"),
            ("0x100000000", "expected a command code"),
            ("true", "STAGE_POSITION_GET"),
            ("\"6008\"", "write 0x6008 for STAGE_POSITION_GET"),
            ("6008", "write \"0x6008\" for STAGE_POSITION_GET"),
            ("0x1778", "\"0x1778\" in quotes for this one"),
        ] {
            let error = codes(&format!("except = [{bad}]")).unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }

    #[test]
    fn a_preset_stands_for_a_delivery() {
        let python = Preset::PythonGui.delivery();
        assert!(!python.is_inline(CommandCode::STAGE_POSITION_GET));
        assert!(python.is_inline(CommandCode::STAGE_MOTION_STOPPED));
        assert!(python.is_inline(CommandCode::SYSTEM_STATE_IDLE));
        assert_eq!(python.to_string(), "inline except STAGE_POSITION_GET");
        assert!(Preset::CppGui.delivery().is_all_inline());
        assert_eq!(Preset::Clean.delivery(), EventDelivery::default());
        assert!(!Preset::Clean.delivery().is_inline(CommandCode::SYSTEM_STATE_IDLE));
    }
}
