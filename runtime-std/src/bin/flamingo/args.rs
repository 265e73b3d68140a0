//! The command line: every command, and the options that several of them share. What belongs to
//! one command alone stands in its own file.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::{completions, decode, man};

/// Talks to a Flamingo light-sheet microscope, and stands in for one.
///
/// Answers to commands and messages that nobody asked for share one connection; flamingo keeps
/// them apart. Without a command it runs `demo`, which needs no instrument.
#[derive(Debug, Parser)]
#[command(name = "flamingo", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 2 bad usage or refused input, 3 cannot connect, \
    4 no answer in time, 5 the instrument answered with failure, 6 the peer broke the protocol, \
    7 connection lost, 130 interrupted.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Print one JSON object per line instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Log more to stderr; repeat it for still more (FLAMINGO_LOG overrides it)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Decode(decode::DecodeArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    Demo,
}

impl Default for Command {
    fn default() -> Self {
        Self::Demo
    }
}

/// Where the instrument is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectArgs {
    /// Address of the control port of the instrument, the simulator or the bridge
    #[arg(long, value_name = "HOST:PORT", env = "FLAMINGO_CONNECT")]
    #[arg(default_value = "127.0.0.1:53717", value_parser = address, hide_env_values = true)]
    pub(crate) connect: String,
}

/// How a client command talks to the instrument.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(crate) server: ConnectArgs,

    /// How long to wait for an answer, such as 500ms or 3s
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// `HOST:PORT`. Whether the host exists is found out when it is connected to.
fn address(text: &str) -> Result<String, String> {
    let expected = "expected HOST:PORT, such as 10.0.0.5:53717";
    let (host, port) = text.rsplit_once(':').ok_or(expected)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) {
        return Err(expected.to_owned());
    }
    match port.parse::<u16>() {
        Ok(0) | Err(_) => Err(format!("port: expected 1 to 65535, found {port:?}")),
        Ok(_) => Ok(text.to_owned()),
    }
}

/// A time that is not zero, with its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("expected a time such as 500ms or 3s: {error}"))?;
    if duration.is_zero() {
        return Err("expected a time above 0".to_owned());
    }
    Ok(duration)
}

/// A number that is finite.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    let number: f64 =
        text.parse().map_err(|_| format!("expected a number such as 7.5, found {text:?}"))?;
    if !number.is_finite() {
        return Err(format!("expected a finite number, found {text}"));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_needs_a_host_and_a_port() {
        for good in ["10.0.0.5:53717", "scope.lab:1", "[::1]:53717"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in ["", "scope", "scope:", ":53717", "::1:53717", "scope:0", "scope:70000"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_must_be_finite_and_a_time_must_not_be_zero() {
        assert_eq!(finite("-2.5e1"), Ok(-25.0));
        for bad in ["NaN", "inf", "-inf", "1e999", "x"] {
            assert!(finite(bad).is_err(), "{bad}");
        }
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["0s", "3", "-1s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
