//! The command line of `flamingo bridge`, which overrides the settings file. The meaning of each
//! setting is in `docs/bridge.example.toml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Subcommand};
use flamingo_bridge::settings::{
    BridgeSettings, LogFormat, PortChoice, Preset, Tokens, parse_status_address,
};

use crate::failure::{CommandResult, Failure};

/// Share one connection to an instrument among many programs, until Ctrl-C
///
/// Each program on the control port gets the answers to its own commands. Unsolicited messages have
/// a port of their own. The first line on stdout names the ports:
/// {"ready":true,"control":53717,"live":53718,"callback":53720,"stack":53719}
#[derive(Debug, Args)]
pub(crate) struct BridgeArgs {
    #[command(subcommand)]
    command: Option<BridgeCommand>,

    #[command(flatten)]
    overrides: Option<OverrideArgs>,
}

/// The settings that the command line overrides.
#[derive(Debug, Args)]
struct OverrideArgs {
    /// Control port of the instrument; required here or in the file
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Option<String>,

    /// Control port to listen on; the other ports follow it. Port 0 takes free ports
    /// [default: 127.0.0.1:53717]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// Port of unsolicited messages [default: the third after the control port]
    #[arg(long, value_name = "PORT|off")]
    callback_port: Option<PortChoice>,

    /// Port of the live images [default: the one after the control port]
    #[arg(long, value_name = "PORT|off")]
    live_port: Option<PortChoice>,

    /// Port of the stack images [default: the second after the control port]
    #[arg(long, value_name = "PORT|off")]
    stack_port: Option<PortChoice>,

    /// File with settings; options on the command line override it
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,

    /// Address of the HTTP server with the counters [default: off]
    #[arg(long, value_name = "ADDR:PORT|off", value_parser = StatusAddress::read)]
    status: Option<StatusAddress>,

    /// Where clients receive unsolicited messages: as a known kind of program needs it; see
    /// docs/bridge.md. Named ports and rules of the file keep their own
    #[arg(long, value_name = "NAME", value_parser = preset())]
    preset: Option<Preset>,

    /// Mark answers with bit 0x40000000 of cmdDataBits0; unsolicited messages never have it
    #[arg(long, value_name = "true|false", action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tag: Option<bool>,

    /// Field for a number per request, if the instrument returns it; it proves answers
    #[arg(long, value_name = "FIELD", value_parser = tokens())]
    tokens: Option<Tokens>,

    /// Record the traffic with the instrument in this folder; see record.* in the settings file
    #[arg(long, value_name = "DIR")]
    record: Option<String>,

    /// Format of the log
    #[arg(long, value_name = "FORMAT", value_parser = log_format())]
    log: Option<LogFormat>,
}

/// The subcommands of `flamingo bridge`.
#[derive(Debug, Subcommand)]
enum BridgeCommand {
    Status(StatusArgs),
}

/// Print the counters of a running bridge
///
/// The bridge must run with --status, or with listen.status in its file.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Address of the HTTP server with the counters
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:53721")]
    pub(crate) status: SocketAddr,
}

/// The address of the counters. It is a type of its own, since clap uses `Option` for arguments that
/// can be left out.
#[derive(Debug, Clone, Copy)]
struct StatusAddress(Option<SocketAddr>);

impl StatusAddress {
    fn read(text: &str) -> Result<Self, String> {
        parse_status_address(text).map(Self)
    }
}

fn tokens() -> impl TypedValueParser<Value = Tokens> {
    let names = Tokens::ALL.iter().map(|choice| choice.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Tokens>())
}

fn preset() -> impl TypedValueParser<Value = Preset> {
    let names = Preset::ALL.iter().map(|choice| choice.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Preset>())
}

fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    let names = LogFormat::ALL.iter().map(|choice| choice.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<LogFormat>())
}

impl BridgeArgs {
    /// The arguments of `flamingo bridge status`, if this is the command.
    pub(crate) fn status(&self) -> CommandResult<Option<&StatusArgs>> {
        match (&self.command, &self.overrides) {
            (None, _) => Ok(None),
            (Some(BridgeCommand::Status(status)), None) => Ok(Some(status)),
            (Some(BridgeCommand::Status(_)), Some(_)) => Err(Failure::usage(
                "bridge status: options of a bridge are not allowed before status; \
                 try: flamingo bridge status --status ADDR:PORT",
            )),
        }
    }

    /// The checked settings: the file, overridden by the command line. The file is read each time,
    /// since SIGHUP reads it again.
    pub(crate) fn settings(&self) -> CommandResult<BridgeSettings> {
        let mut settings =
            match self.overrides.as_ref().and_then(|overrides| overrides.config.as_deref()) {
                Some(file) => read(file)?,
                None => BridgeSettings::default(),
            };
        if let Some(overrides) = &self.overrides {
            overrides.apply_to(&mut settings);
        }
        settings.check().map_err(|error| Failure::usage(format!("bridge: {error}")))?;
        Ok(settings)
    }
}

impl OverrideArgs {
    /// Overrides the settings that the command line gives.
    fn apply_to(&self, settings: &mut BridgeSettings) {
        let BridgeSettings { upstream, listen, events, record, log, .. } = settings;
        override_with(&mut upstream.address, self.upstream.clone());
        override_with(&mut upstream.tokens, self.tokens);
        override_with(&mut listen.control, self.listen);
        override_with(&mut listen.callback, self.callback_port);
        override_with(&mut listen.live, self.live_port);
        override_with(&mut listen.stack, self.stack_port);
        override_with(&mut listen.status, self.status.map(|StatusAddress(address)| address));
        if let Some(preset) = self.preset {
            events.use_preset(preset);
        }
        override_with(&mut events.tag, self.tag);
        override_with(&mut record.folder, self.record.clone());
        override_with(&mut log.format, self.log);
    }
}

/// Replaces a setting, if there is a value for it.
fn override_with<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

fn read(file: &Path) -> CommandResult<BridgeSettings> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("--config {}: {error}", file.display()))
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| failed(&format_args!("cannot read it: {error}")))?;
    BridgeSettings::from_toml(&text).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests;
