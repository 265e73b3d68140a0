//! Reads the command line, with the address of the profile that this run uses. The commands and their options
//! are in `args.rs`, the profiles in `config.rs`.

use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches};

use crate::args::Cli;
use crate::colour;
use crate::config::{self, Chosen, ChosenBy};
use crate::examples;
use crate::failure::{self, Failure, note};

/// The option with the address of the instrument.
const CONNECT: &str = "connect";

/// The command line, and what the address comes from: an option, a variable, a profile, or the default.
pub(crate) struct CommandLine {
    pub(crate) cli: Cli,
    pub(crate) connect_from: &'static str,
}

/// Reads it. A line with an error has been reported on stderr, help has been printed.
pub(crate) fn read() -> Result<CommandLine, ExitCode> {
    // Help and errors look as the line asks for, so this is known before the line is read.
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words = words.split(|word| word == "--").next().unwrap_or_default();
    if words.iter().any(|word| word == "--json") {
        failure::print_as_json();
    }
    let colour = colour::choose(words);
    let usage = |error: clap::Error| failure::usage(&error);
    let matches = examples::command().color(colour).try_get_matches().map_err(usage)?;
    let (name, command) = innermost(&matches);
    let source = command.try_contains_id(CONNECT).ok().map(|_| command.value_source(CONNECT));
    let on = command.get_one::<String>("on").map(String::as_str);
    let parsed = |matches: &ArgMatches| Cli::from_arg_matches(matches).map_err(usage);
    let Some(source) = source else {
        if on.is_some() && name != "config" {
            let message = format!("--on: {name} connects to no instrument");
            return Err(failure::exit_code(Err(Failure::usage(message))));
        }
        return Ok(CommandLine { cli: parsed(&matches)?, connect_from: "" });
    };
    let chosen = match config::choose(on) {
        Ok(chosen) => chosen,
        // A stop with an address goes out, whatever is wrong with the file.
        Err(Failure::Exit { message, .. })
            if name == "halt" && on.is_none() && is_given(source) =>
        {
            note(&format!("warning: {message}"));
            None
        }
        Err(failure) => return Err(failure::exit_code(Err(failure))),
    };
    let address = chosen.and_then(|chosen| Some((chosen, chosen.profile.connect.as_deref()?)));
    if let Some((chosen, address)) = address.filter(|(chosen, _)| is_replaced(source, chosen)) {
        let every = chosen.by == ChosenBy::Option;
        let command = with_address(examples::command().color(colour), address, every);
        let matches = command.try_get_matches().map_err(usage)?;
        return Ok(CommandLine { cli: parsed(&matches)?, connect_from: "the profile" });
    }
    let connect_from = match source {
        Some(ValueSource::CommandLine) => "--connect",
        Some(ValueSource::EnvVariable) => "FLAMINGO_CONNECT",
        _ => "the default of the program",
    };
    Ok(CommandLine { cli: parsed(&matches)?, connect_from })
}

/// The command that was given, and its options.
fn innermost(matches: &ArgMatches) -> (&str, &ArgMatches) {
    let mut command = ("flamingo", matches);
    let mut first = None;
    while let Some(inner) = command.1.subcommand() {
        command = inner;
        first = first.or(Some(inner.0));
    }
    (first.unwrap_or(command.0), command.1)
}

fn is_given(source: Option<ValueSource>) -> bool {
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// Whether the address of the profile counts. An option counts before a variable, a variable before the file.
fn is_replaced(source: Option<ValueSource>, chosen: &Chosen) -> bool {
    match source {
        Some(ValueSource::CommandLine) => false,
        Some(ValueSource::EnvVariable) => chosen.by == ChosenBy::Option,
        _ => true,
    }
}

/// Makes `address` the default of `--connect`: in the commands that have a default, or in `every` one.
fn with_address(mut command: Command, address: &str, every: bool) -> Command {
    let has_address = command.get_arguments().any(|argument| {
        argument.get_id() == CONNECT && (every || !argument.get_default_values().is_empty())
    });
    if has_address {
        let address = address.to_owned();
        // No variable has an empty name, so the variable does not count.
        command = command.mut_arg(CONNECT, |argument| argument.env("").default_value(address));
    }
    let names: Vec<String> =
        command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |inner| with_address(inner, address, every));
    }
    command
}
