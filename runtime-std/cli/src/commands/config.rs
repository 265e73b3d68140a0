//! `flamingo config`: where the file of profiles is, what this run would use, and an editor for it. Reading the
//! file is in `config.rs`, one level up.

use std::path::Path;
use std::process::Command;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::args::ConnectArgs;
use crate::config::{Config, chosen, path};
use crate::failure::{CommandResult, Failure, note};
use crate::output::Out;

/// A new file, for people to fill in.
const SAMPLE: &str = include_str!("config/sample.toml");

/// Show or edit the profiles of your instruments
///
/// A profile is what is known about one instrument: its address, and how it differs from the others.
/// `--on NAME`, FLAMINGO_PROFILE or the line `default = "NAME"` chooses one.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print where the file is
    Path,
    /// Print what a command would use, and what says so
    Show {
        #[command(flatten)]
        server: ConnectArgs,
    },
    /// Open the file in $VISUAL or $EDITOR; a new file has a commented sample
    Edit,
}

pub(crate) fn run(args: &ConfigArgs, connect_from: &str, out: &mut Out) -> CommandResult {
    match &args.command {
        ConfigCommand::Path => {
            let path = path()?.display().to_string();
            out.either(&json!({ "path": path }), || path.clone())
        }
        ConfigCommand::Show { server } => show(server, connect_from, out),
        ConfigCommand::Edit => edit(&path()?),
    }
}

fn show(server: &ConnectArgs, connect_from: &str, out: &mut Out) -> CommandResult {
    let file = path()?;
    let names: Vec<String> = Config::load()?.profiles.into_keys().collect();
    let chosen = chosen();
    let profile = chosen.map(|chosen| &chosen.profile);
    let unmarked = profile.map(|profile| profile.unmarked).unwrap_or_default();
    let status = profile.map(|profile| profile.status.clone()).unwrap_or_default();
    let settle = profile.and_then(|profile| profile.settle.clone());
    let json = json!({
        "path": file.display().to_string(),
        "profiles": names,
        "profile": chosen.map(|chosen| &chosen.name),
        "profile_from": chosen.map(|chosen| chosen.by.to_string()),
        "connect": server.connect,
        "connect_from": connect_from,
        "settle": settle,
        "unmarked": unmarked,
        "status": status,
    });
    if out.json() {
        return out.object(&json);
    }
    let exists = if file.exists() { "" } else { "  (does not exist)" };
    out.line(&format!("file        {}{exists}", file.display()))?;
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    out.line(&format!("profiles    {names}"))?;
    let name =
        chosen.map_or("none".to_owned(), |chosen| format!("{}  (from {})", chosen.name, chosen.by));
    out.line(&format!("profile     {name}"))?;
    out.line(&format!("connect     {}  (from {connect_from})", server.connect))?;
    if let Some(settle) = settle {
        out.line(&format!("settle      {settle}"))?;
    }
    if profile.is_some() {
        let unmarked = [
            ("positions", unmarked.positions),
            ("lights", unmarked.lights),
            ("after-set", unmarked.after_set),
            ("other-clients", unmarked.other_clients),
        ];
        let unmarked: Vec<&str> =
            unmarked.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        out.line(&format!("unmarked    {}", unmarked.join(", ")))?;
        for (code, rule) in status {
            out.line(&format!("status      {code} = {rule}"))?;
        }
    }
    Ok(())
}

fn edit(file: &Path) -> CommandResult {
    let failed =
        |error: std::io::Error| Failure::usage(format!("config edit: {}: {error}", file.display()));
    if !file.exists() {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(file, SAMPLE).map_err(failed)?;
        note(&format!("{} is new: it has a commented sample", file.display()));
    }
    let mut editors = ["VISUAL", "EDITOR"].into_iter().filter_map(|name| std::env::var(name).ok());
    let Some(editor) = editors.find(|editor| !editor.trim().is_empty()) else {
        let message = format!(
            "config edit: expected an editor in VISUAL or EDITOR; the file is {}",
            file.display()
        );
        return Err(Failure::usage(message));
    };
    // As git does: the variable may have options.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = Command::new(program).args(words).arg(file).status();
    let status = status
        .map_err(|error| Failure::usage(format!("config edit: cannot run {program}: {error}")))?;
    if !status.success() {
        return Err(Failure::usage(format!("config edit: {program} ended with {status}")));
    }
    Config::load().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_can_be_read_and_names_every_key() {
        Config::parse(SAMPLE).unwrap();
        let lines = SAMPLE.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
        let filled: Vec<&str> =
            lines.filter(|line| line.contains('=') || line.starts_with('[')).collect();
        let config = Config::parse(&filled.join("\n")).unwrap();
        let (name, profile) = config.profiles.first_key_value().unwrap();
        assert_eq!(config.default.as_ref(), Some(name));
        assert!(
            profile.connect.is_some() && profile.settle.is_some() && profile.unmarked.positions
        );
        assert!(!profile.status.is_empty());
    }
}
