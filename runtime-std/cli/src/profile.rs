//! What is known about an instrument that differs from the others: which pushes it does not mark, and
//! for which codes a status of 0 is a failure. From options and from a file.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use flamingo_bridge::settings::UnmarkedSettings;
use flamingo_protocol_core::wire::StatusRule;
use flamingo_protocol_core::{CommandCode, Config};
use flamingo_runtime_std::{Options, StatusRules};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::args::{code, time};
use crate::config;
use crate::failure::{CommandResult, Failure};

/// The options that say how an instrument differs from the others.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PeerArgs {
    /// File with what is known about this instrument (TOML); `flamingo doctor --save-profile` writes
    /// one
    #[arg(long, value_name = "FILE", global = true)]
    profile: Option<PathBuf>,

    /// Pushes that this instrument does not mark, besides the known ones
    ///
    /// A frame of such a code is only presumed to be an answer. `flamingo doctor` finds out whether
    /// positions are among them.
    #[arg(long, value_name = "PUSHES", value_enum, value_delimiter = ',', global = true)]
    unmarked: Vec<Unmarked>,

    /// What a status of 0 says for a code: CODE=set (failure), unknown, or nothing-to-stop
    #[arg(long, value_name = "CODE=RULE", value_parser = status_rule, global = true)]
    status: Vec<(CommandCode, StatusRule)>,

    /// How long to listen after connecting, before the first command is sent [default: 50ms]
    ///
    /// The server, or a relay in front of it, may still hold bytes of an earlier conversation. If they
    /// came after the first command, they could be taken for its answer. 0s sends the command at once.
    #[arg(long, value_name = "TIME", value_parser = time, global = true)]
    settle: Option<Duration>,
}

/// Pushes that look like answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unmarked {
    /// Position updates during motions
    Positions,
    /// Laser levels and LED changes
    Lights,
    /// The GET that belongs to a SET, when the SET is done
    AfterSet,
    /// Echoes of what other clients do
    OtherClients,
}

/// A profile as it is in a file.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// The section of the same name in the settings of the bridge.
    #[serde(default)]
    pub(crate) unmarked: UnmarkedSettings,
    /// `CODE = "set"`, `"unknown"` or `"nothing-to-stop"`.
    #[serde(default)]
    pub(crate) status: BTreeMap<String, String>,
}

impl PeerArgs {
    /// The options of a connection to `address`, with what the profile and the other options say.
    pub(crate) fn options(&self, address: &str, timeout: Duration) -> CommandResult<Options> {
        let mut config = Config::default();
        let mut rules = StatusRules::default();
        let mut settle = self.settle;
        if let Some(chosen) = config::chosen() {
            let usage = |why: String| Failure::usage(format!("profile {}: {why}", chosen.name));
            config.unmarked = chosen.profile.unmarked.into();
            for (code, rule) in chosen.profile.rules().rules().map_err(usage)? {
                rules.set(code, rule);
            }
            if let (None, Some(text)) = (settle, &chosen.profile.settle) {
                settle = Some(time(text).map_err(usage)?);
            }
        }
        if let Some(file) = &self.profile {
            let usage =
                |why: String| Failure::usage(format!("--profile {}: {why}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|error| usage(error.to_string()))?;
            let profile = Profile::parse(&text).map_err(usage)?;
            config.unmarked = profile.unmarked.into();
            for (code, rule) in profile.rules().map_err(usage)? {
                rules.set(code, rule);
            }
        }
        for unmarked in &self.unmarked {
            let pushes = config.unmarked;
            config.unmarked = match unmarked {
                Unmarked::Positions => pushes.with_positions(true),
                Unmarked::Lights => pushes.with_lights(true),
                Unmarked::AfterSet => pushes.with_after_set(true),
                Unmarked::OtherClients => pushes.with_other_clients(true),
            };
        }
        for (code, rule) in &self.status {
            rules.set(*code, *rule);
        }
        let options = Options::new(address).timeout(timeout).protocol(config).status(rules);
        Ok(match settle {
            Some(settle) => options.settle(settle),
            None => options,
        })
    }
}

impl Profile {
    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        })
    }

    pub(crate) fn rules(&self) -> Result<Vec<(CommandCode, StatusRule)>, String> {
        let rule = |(name, rule): (&String, &String)| {
            let of = code(name).map_err(|why| format!("[status] {name}: {why}"))?;
            Ok((of, rule_named(rule).map_err(|why| format!("[status] {name}: {why}"))?))
        };
        self.status.iter().map(rule).collect()
    }
}

/// The name of a rule, as profiles and options have it.
pub(crate) const fn rule_name(rule: StatusRule) -> &'static str {
    match rule {
        StatusRule::Set => "set",
        StatusRule::Unknown => "unknown",
        StatusRule::NothingToStop => "nothing-to-stop",
    }
}

fn rule_named(name: &str) -> Result<StatusRule, String> {
    let rules = [StatusRule::Set, StatusRule::Unknown, StatusRule::NothingToStop];
    let rule = rules.into_iter().find(|rule| rule_name(*rule) == name);
    rule.ok_or_else(|| format!("expected set, unknown or nothing-to-stop, found {name:?}"))
}

fn status_rule(text: &str) -> Result<(CommandCode, StatusRule), String> {
    let (name, rule) = text.split_once('=').ok_or_else(|| {
        format!("expected CODE=RULE, such as STAGE_POSITION_SET=set, found {text:?}")
    })?;
    Ok((code(name)?, rule_named(rule)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_protocol_core::connection::UnmarkedPushes;

    fn options(args: &PeerArgs) -> Result<Options, Failure> {
        args.options("127.0.0.1:1", Duration::from_secs(1))
    }

    #[test]
    fn a_profile_changes_only_what_it_names() {
        let profile = "[unmarked]\npositions = true\n[status]\nSTAGE_HALT = \"set\"\n";
        let profile = Profile::parse(profile).unwrap();
        let pushes = UnmarkedPushes::from(profile.unmarked);
        assert_eq!(pushes, UnmarkedPushes::DEFAULT.with_positions(true));
        assert_eq!(profile.rules(), Ok(vec![(CommandCode::STAGE_HALT, StatusRule::Set)]));
    }

    #[test]
    fn a_profile_that_cannot_be_read_is_refused_with_its_line() {
        for (text, why) in [
            ("[unmarked]\nposition = true\n", "line 2"),
            ("[unmarked]\npositions = 1\n", "line 2"),
            ("[marked]\n", "line 1"),
        ] {
            let error = Profile::parse(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let rule = Profile::parse("[status]\nSTAGE_HALT = \"maybe\"\n").unwrap().rules();
        assert!(rule.unwrap_err().contains("nothing-to-stop"));
        let code = Profile::parse("[status]\nSTAGE_STOP = \"set\"\n").unwrap().rules();
        assert!(code.unwrap_err().contains("STAGE_STOP"));
    }

    #[test]
    fn options_come_on_top_of_the_defaults() {
        let args = PeerArgs {
            unmarked: vec![Unmarked::Positions, Unmarked::OtherClients],
            status: vec![status_rule("0x6004=set").unwrap()],
            ..PeerArgs::default()
        };
        let options = options(&args).unwrap();
        let unmarked = options.protocol.unmarked;
        assert!(unmarked.positions && unmarked.other_clients && unmarked.lights);
        assert_eq!(options.status.rule(CommandCode::STAGE_POSITION_SET), StatusRule::Set);
    }

    #[test]
    fn the_settle_time_can_be_changed_down_to_nothing() {
        let settle = |settle| options(&PeerArgs { settle, ..PeerArgs::default() }).unwrap().settle;
        assert_eq!(settle(None), Options::new("127.0.0.1:1").settle);
        assert_eq!(settle(Some(Duration::ZERO)), Duration::ZERO);
    }

    #[test]
    fn a_rule_without_a_known_word_is_refused() {
        for text in ["STAGE_HALT", "STAGE_HALT=", "STAGE_HALT=fail", "STOP=set", "6004=set"] {
            assert!(status_rule(text).is_err(), "{text}");
        }
    }
}
