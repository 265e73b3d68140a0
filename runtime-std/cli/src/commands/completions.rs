//! `flamingo completions`: connects a shell with the program, and answers what the shell asks for when a user
//! presses Tab: codes, axes, profiles, and files by their endings.

use std::ffi::OsStr;
use std::path::Path;

use clap::builder::PossibleValue;
use clap::{Args, Command, ValueEnum};
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::{CompleteEnv, Shells};

use super::codes;
use crate::config::Config;
use crate::examples;
use crate::failure::{CommandResult, Failure};
use crate::output::Out;

/// The variable with which a shell asks the program for completions.
const ASKED_BY: &str = "FLAMINGO_COMPLETE";
const TOML: &[&str] = &["toml"];
const CAPTURES: &[&str] = &["pcapng", "pcap", "gz"];
const TEXTS: &[&str] = &["txt"];
const IMAGES: &[&str] = &["tif", "tiff", "png", "zarr"];

/// Print the completions for a shell
///
/// The shell then asks the program itself, so it offers the profiles of your file. In ~/.bashrc:
/// source <(flamingo completions bash). In ~/.zshrc: source <(flamingo completions zsh).
/// For fish: flamingo completions fish > ~/.config/fish/completions/flamingo.fish
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Your shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

impl ValueEnum for Shell {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Bash, Self::Elvish, Self::Fish, Self::Powershell, Self::Zsh]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

pub(crate) fn run(args: &CompletionsArgs, out: &mut Out) -> CommandResult {
    let name = args.shell.name();
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(name).ok_or_else(|| {
        Failure::usage(format!("completions: expected a known shell, found {name:?}"))
    })?;
    completer
        .write_registration(ASKED_BY, "flamingo", "flamingo", "flamingo", &mut script)
        .map_err(|error| Failure::new(1, format!("completions: {error}")))?;
    out.bytes(&script)
}

/// Answers a shell that asks for completions, and ends the program. Otherwise does nothing.
pub(crate) fn answer_shell() {
    CompleteEnv::with_factory(|| with_candidates(examples::command(), "")).var(ASKED_BY).complete();
}

/// Adds the candidates of the arguments whose values the definition does not list. `parent` is the command that
/// this one belongs to.
fn with_candidates(mut command: Command, parent: &str) -> Command {
    let name = command.get_name().to_owned();
    let arguments: Vec<String> =
        command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    for id in arguments {
        let completer = match (id.as_str(), name.as_str(), parent) {
            ("code" | "not", _, _) | ("search", "codes", _) => {
                ArgValueCompleter::new(names_of_codes)
            }
            ("on", _, _) => ArgValueCompleter::new(names_of_profiles),
            ("profile" | "scenario" | "to" | "save" | "save_profile", _, _)
            | ("config", "bridge", _) => files(TOML),
            ("file", "decode" | "replay", _) => files(CAPTURES),
            ("file", _, "workflow" | "settings") | ("settings" | "control_settings", _, _) => {
                files(TEXTS)
            }
            ("file" | "folder", _, "images") => files(IMAGES),
            _ => continue,
        };
        command = command.mut_arg(id, |argument| argument.add(completer));
    }
    let inner: Vec<String> =
        command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for each in inner {
        command = command.mut_subcommand(each, |inner| with_candidates(inner, &name));
    }
    command
}

fn names_of_codes(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy().to_uppercase();
    let begins = |name: &&str| name.starts_with(&typed);
    codes::names().filter(begins).map(CompletionCandidate::new).collect()
}

/// A file that cannot be read has no profiles to offer.
fn names_of_profiles(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy().into_owned();
    let profiles = Config::load().map(|config| config.profiles).unwrap_or_default();
    profiles
        .into_keys()
        .filter(|name| name.starts_with(&typed))
        .map(CompletionCandidate::new)
        .collect()
}

/// Folders, and files with one of these endings.
fn files(endings: &'static [&'static str]) -> ArgValueCompleter {
    let has_ending = |path: &Path| {
        path.extension().is_some_and(|ending| endings.iter().any(|each| ending == *each))
    };
    let completer = PathCompleter::any().filter(move |path| path.is_dir() || has_ending(path));
    ArgValueCompleter::new(move |typed: &OsStr| completer.complete(typed))
}
