//! The command line: every command, and the options that several commands share. The options of a
//! single command are in its own file.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Args, Parser, Subcommand};
use flamingo_microscope::Axis;
use flamingo_protocol_core::CommandCode;

use crate::colour::When;
use crate::profile::PeerArgs;
use crate::suggest::did_you_mean;
use crate::units;

use crate::commands::{
    bridge, codes, completions, config, decode, demo, doctor, get, halt, images, lights, live, man,
    moves, queue, record, replay, send, set, settings, sim, watch, workflow,
};

/// Control a Flamingo light-sheet microscope, or simulate one
///
/// Answers to commands and unsolicited messages (events) arrive on one connection; flamingo
/// separates them. Without a command it runs `demo`, which needs no instrument.
#[derive(Debug, Parser)]
#[command(name = "flamingo", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 stdout or the system failed, 2 bad usage or refused input, 3 cannot connect, \
    4 no answer in time, 5 the instrument answered with failure, 6 the peer broke the protocol, \
    7 connection lost, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Use this profile of the file that `flamingo config path` names
    #[arg(long, value_name = "PROFILE", global = true)]
    pub(crate) on: Option<String>,

    /// Colours in help, errors, lines and pictures; auto: on a terminal, unless NO_COLOR or TERM=dumb say no
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub(crate) color: When,

    /// Print one JSON object per line instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Log more to stderr; repeat it to log even more. FLAMINGO_LOG overrides it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::DemoArgs),
    Sim(sim::SimArgs),
    Bridge(Box<bridge::BridgeArgs>),
    Race(flamingo_race::RaceArgs),
    Get(get::GetArgs),
    Move(Box<moves::MoveArgs>),
    Home(moves::HomeArgs),
    Velocity(moves::VelocityArgs),
    Set(set::SetArgs),
    Laser(lights::LaserArgs),
    Led(lights::LedArgs),
    Illumination(lights::IlluminationArgs),
    Halt(halt::HaltArgs),
    Watch(Box<watch::WatchArgs>),
    Send(send::SendArgs),
    Live(Box<live::LiveArgs>),
    Images(images::ImagesArgs),
    Workflow(workflow::WorkflowArgs),
    Queue(queue::QueueArgs),
    Settings(settings::SettingsArgs),
    Doctor(doctor::DoctorArgs),
    Record(record::RecordArgs),
    Replay(replay::ReplayArgs),
    Decode(decode::DecodeArgs),
    Codes(codes::CodesArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Default for Command {
    fn default() -> Self {
        Self::Demo(demo::DemoArgs::default())
    }
}

/// The address of the instrument.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectArgs {
    /// Control port of the instrument, the simulator or the bridge
    #[arg(long, value_name = "HOST[:PORT]", env = "FLAMINGO_CONNECT")]
    #[arg(default_value = "127.0.0.1:53717", value_parser = address, global = true)]
    pub(crate) connect: String,
}

/// The options of every command that sends requests.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(crate) server: ConnectArgs,

    #[command(flatten)]
    pub(crate) peer: PeerArgs,

    /// How long to wait for an answer, such as 500ms or 3s
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration, global = true)]
    pub(crate) timeout: Duration,
}

/// The control port of an instrument.
const PORT: u16 = 53717;

/// Parses `HOST:PORT`, or `HOST` with the usual port. The host is looked up later, when the program connects.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let expected = || {
        format!(
            "expected HOST or HOST:PORT, such as 10.0.0.5 or 10.0.0.5:{PORT} (FLAMINGO_CONNECT sets it, too)"
        )
    };
    let in_brackets = text.starts_with('[') && text.ends_with(']');
    if !text.is_empty() && (in_brackets || !text.contains(':')) {
        return Ok(format!("{text}:{PORT}"));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    if host.is_empty() {
        return Err(expected());
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("expected an IPv6 address in brackets, such as [::1] or [::1]:53717".to_owned());
    }
    match port.parse::<u16>() {
        Ok(0) | Err(_) => Err(format!("port: expected 1 to 65535, found {port:?}")),
        Ok(_) => Ok(text.to_owned()),
    }
}

/// Parses a time above zero, with its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = time(text)?;
    if duration.is_zero() {
        return Err("expected a time above 0".to_owned());
    }
    Ok(duration)
}

/// Parses a time with its unit. It may be zero.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("expected a time with its unit, such as 500ms or 3s, found {text:?}"))
}

/// Parses x, y, z or r, in upper or lower case.
pub(crate) const fn axis_parser() -> impl TypedValueParser<Value = Axis> {
    AxisParser
}

#[derive(Debug, Clone, Copy)]
struct AxisParser;

impl TypedValueParser for AxisParser {
    type Value = Axis;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Axis, clap::Error> {
        axis.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Axis::ALL.into_iter().map(|axis| PossibleValue::new(axis.letter()))))
    }
}

fn axis(text: &str) -> Result<Axis, String> {
    text.parse().map_err(|_| {
        let advice = if units::is_unit(text) {
            format!("; write the unit without a space before it, such as 8.5{text}")
        } else {
            String::new()
        };
        format!("expected x, y, z or r, found {text:?}{advice}")
    })
}

/// Parses a command code: a name, any hex number with 0x, or the decimal number of a known code.
pub(crate) fn code(text: &str) -> Result<CommandCode, String> {
    flamingo_runtime_std::command_code::from_text(text)
        .map_err(|error| format!("{error}{}", did_you_mean(text, codes::names())))
}

/// Parses a signed 32-bit number. Hex gives its bits.
pub(crate) fn integer(text: &str) -> Result<i32, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).map(|bits| bits as i32),
        None => text.parse(),
    };
    number.map_err(|_| {
        format!("expected {} to {}, or hex such as 0x10, found {text:?}", i32::MIN, i32::MAX)
    })
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
    fn an_address_needs_a_host() {
        for (short, whole) in [("scope", "scope:53717"), ("[::1]", "[::1]:53717")] {
            assert_eq!(address(short).as_deref(), Ok(whole));
        }
        for good in ["10.0.0.5:53717", "scope.lab:1", "[::1]:53717"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in ["", ":", "scope:", ":53717", "::1", "::1:53717", "scope:0", "scope:70000"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_axis_is_a_letter_and_no_unit() {
        assert_eq!((axis("x"), axis("R")), (Ok(Axis::X), Ok(Axis::R)));
        assert!(axis("mm").unwrap_err().contains("such as 8.5mm"));
        assert_eq!(axis("q").unwrap_err(), "expected x, y, z or r, found \"q\"");
    }

    #[test]
    fn a_time_limit_must_not_be_zero() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["0s", "3", "-1s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(time("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_code_is_a_name_or_a_number() {
        for text in ["STAGE_HALT", "stage_halt", "0x6003", "24579"] {
            assert_eq!(code(text), Ok(CommandCode::STAGE_HALT), "{text}");
        }
        for bad in ["", "STOP", "0x", "0x1_0000", "-1", "4294967296"] {
            assert!(code(bad).is_err(), "{bad}");
        }
        assert_eq!(code("0x1778"), Ok(CommandCode(0x1778)), "any code can be sent");
    }

    #[test]
    fn a_hex_code_without_0x_is_refused_and_named() {
        for (text, meant) in
            [("6003", "STAGE_HALT (0x6003)"), ("6008", "0x6008"), ("4001", "0x4001")]
        {
            let error = code(text).unwrap_err();
            assert!(error.contains(meant), "{error}");
        }
        assert!(code("6008").unwrap_err().contains("0x1778"), "what it would have been");
    }

    #[test]
    fn an_integer_in_hex_is_its_bits() {
        assert_eq!(integer("-1"), Ok(-1));
        assert_eq!(integer("0xFFFFFFFF"), Ok(-1));
        assert!(integer("4294967295").is_err());
        assert!(integer("1.5").is_err());
    }
}
