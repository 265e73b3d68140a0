//! The user's file of profiles, and the profile that this run uses. A profile is what is known about one
//! instrument: its address, and what `profile.rs` reads from a file of its own. `flamingo config` is in
//! `commands/config.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::args;
use crate::failure::{CommandResult, Failure};
use crate::profile::Profile;
use crate::suggest::did_you_mean;

/// The key that names the profile of every command that names none.
const DEFAULT: &str = "default";

/// The profiles, by their names.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Config {
    /// The profile of every command that names none.
    pub(crate) default: Option<String>,
    pub(crate) profiles: BTreeMap<String, NamedProfile>,
}

/// A profile in the file: the address, and what a file of `--profile` has.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedProfile {
    /// `HOST` or `HOST:PORT`.
    #[serde(default)]
    pub(crate) connect: Option<String>,
    /// A time with its unit.
    #[serde(default)]
    pub(crate) settle: Option<String>,
    #[serde(default)]
    pub(crate) unmarked: flamingo_bridge::settings::UnmarkedSettings,
    #[serde(default)]
    pub(crate) status: BTreeMap<String, String>,
}

impl NamedProfile {
    /// The part that a file of `--profile` has.
    pub(crate) fn rules(&self) -> Profile {
        Profile { unmarked: self.unmarked, status: self.status.clone() }
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;

        impl<'de> Visitor<'de> for Tables {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tables of profiles, such as [rig2]")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let mut config = Config::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == DEFAULT {
                        config.default = Some(map.next_value()?);
                    } else {
                        config.profiles.insert(name, map.next_value()?);
                    }
                }
                Ok(config)
            }
        }

        deserializer.deserialize_map(Tables)
    }
}

/// Where the file is: `FLAMINGO_CONFIG`, or `flamingo/config.toml` in `XDG_CONFIG_HOME` or in `~/.config`;
/// on Windows in `%APPDATA%`.
pub(crate) fn path() -> CommandResult<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = variable("FLAMINGO_CONFIG") {
        return Ok(file);
    }
    let home = || variable("HOME").map(|home| home.join(".config"));
    let folder =
        if cfg!(windows) { variable("APPDATA") } else { variable("XDG_CONFIG_HOME").or_else(home) };
    let folder = folder.ok_or_else(|| {
        Failure::usage("config: expected HOME or FLAMINGO_CONFIG in the environment, found neither")
    })?;
    Ok(folder.join("flamingo").join("config.toml"))
}

impl Config {
    /// Reads the file. Without a file there are no profiles.
    pub(crate) fn load() -> CommandResult<Self> {
        let file = path()?;
        let refused = |why: String| Failure::usage(format!("{}: {why}", file.display()));
        match std::fs::read_to_string(&file) {
            Ok(text) => Self::parse(&text).map_err(refused),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// Reads a text, and checks each profile.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        })?;
        for (name, profile) in &mut config.profiles {
            let refused = |why: String| format!("[{name}] {why}");
            if let Some(connect) = &mut profile.connect {
                *connect =
                    args::address(connect).map_err(|why| refused(format!("connect: {why}")))?;
            }
            if let Some(settle) = &profile.settle {
                args::time(settle).map_err(|why| refused(format!("settle: {why}")))?;
            }
            profile.rules().rules().map_err(refused)?;
        }
        match &config.default {
            Some(name) if !config.profiles.contains_key(name) => {
                Err(format!("default: {}", config.unknown(name)))
            }
            _ => Ok(config),
        }
    }

    /// What is wrong with a name that no profile has.
    fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        let known = match names.len() {
            0 => "there is none".to_owned(),
            _ => format!("there are {}", names.join(", ")),
        };
        let meant = did_you_mean(name, names.iter().copied());
        format!("expected the name of a profile ({known}), found {name:?}{meant}")
    }
}

/// The profile that this run uses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) name: String,
    pub(crate) profile: NamedProfile,
    /// What chose it: `--on`, `FLAMINGO_PROFILE`, or the `default` of the file.
    pub(crate) by: ChosenBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChosenBy {
    Option,
    Environment,
    File,
}

impl fmt::Display for ChosenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option => "--on",
            Self::Environment => "FLAMINGO_PROFILE",
            Self::File => "default in the file",
        })
    }
}

/// It is chosen once, before the command begins.
static CHOSEN: OnceLock<Chosen> = OnceLock::new();

/// The profile that this run uses, if there is one.
pub(crate) fn chosen() -> Option<&'static Chosen> {
    CHOSEN.get()
}

/// Chooses the profile of this run. `on` is the value of `--on`.
pub(crate) fn choose(on: Option<&str>) -> CommandResult<Option<&'static Chosen>> {
    let environment = std::env::var("FLAMINGO_PROFILE").ok().filter(|name| !name.is_empty());
    let config = Config::load()?;
    let (name, by) = match (on, environment, &config.default) {
        (Some(name), _, _) => (name.to_owned(), ChosenBy::Option),
        (None, Some(name), _) => (name, ChosenBy::Environment),
        (None, None, Some(name)) => (name.clone(), ChosenBy::File),
        (None, None, None) => return Ok(None),
    };
    let Some(profile) = config.profiles.get(&name).cloned() else {
        let file = path()?;
        return Err(Failure::usage(format!("{by}: {}: {}", file.display(), config.unknown(&name))));
    };
    Ok(Some(CHOSEN.get_or_init(|| Chosen { name, profile, by })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_an_address_and_what_is_special() {
        let text = "default = \"rig2\"\n[rig2]\nconnect = \"10.0.0.5\"\nunmarked.positions = true\n\
            status.STAGE_HALT = \"nothing-to-stop\"\nsettle = \"0s\"\n";
        let config = Config::parse(text).unwrap();
        let rig = &config.profiles["rig2"];
        assert_eq!(rig.connect.as_deref(), Some("10.0.0.5:53717"));
        assert!(rig.unmarked.positions && rig.unmarked.lights, "the others keep their defaults");
        assert_eq!(rig.rules().rules().unwrap().len(), 1);
    }

    #[test]
    fn a_file_with_an_error_is_refused_with_its_place() {
        for (text, why) in [
            ("[rig2]\nconect = \"a\"\n", "line 2"),
            ("rig2 = 1\n", "line 1"),
            ("[rig2]\nconnect = \"a:b\"\n", "[rig2] connect"),
            ("[rig2]\nsettle = \"5\"\n", "[rig2] settle"),
            ("[rig2]\nstatus.STAGE_STOP = \"set\"\n", "STAGE_STOP"),
            ("default = \"rig1\"\n[rig2]\n", "did you mean rig2?"),
            ("default = \"rig1\"\n", "there is none"),
            ("[rig2]\nunmarked.position = true\n", "line 2"),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
