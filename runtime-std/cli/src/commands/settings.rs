//! `flamingo settings save`: replaces the scope settings of the instrument and keeps the old ones in
//! a file. `flamingo get settings` prints them.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use flamingo_microscope::Axis;
use flamingo_microscope::scope_settings::ScopeSettings;
use flamingo_microscope::{Microscope, Patience};
use serde::Serialize;

use crate::args::ClientArgs;
use crate::commands::workflow::read_file;
use crate::connect;
use crate::failure::{CommandResult, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Out, rfc3339};

/// Replace the settings of the microscope
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    #[command(subcommand)]
    command: SettingsCommand,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    Save(SaveArgs),
}

/// Replace the scope settings of the instrument with a file
///
/// The command first loads the old settings and keeps them in a file. It reports "saved" only after
/// the instrument has acknowledged the upload with success.
#[derive(Debug, Args)]
struct SaveArgs {
    /// File with the settings, as `flamingo get settings` prints them; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// File for the old settings [default: scope-settings-TIME.txt]
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,

    /// Do not ask before the settings are replaced
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    client: ClientArgs,
}

/// The JSON of settings that were saved.
#[derive(Serialize)]
struct SavedJson {
    saved: bool,
    bytes: usize,
    backup: String,
}

pub(crate) async fn run(args: SettingsArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let SettingsCommand::Save(args) = args.command;
    let text = interrupt.or(read_file(&args.file)).await?;
    let file = args.file.display();
    let settings = ScopeSettings::parse(&text)
        .map_err(|error| Failure::usage(format!("{file}: {error}; nothing was saved")))?;
    if let Some(axis) = Axis::ALL.into_iter().find(|axis| !settings.limits(*axis).is_complete()) {
        let message = format!("{file}: expected both limits of axis {axis} in <Stage limits>");
        return Err(Failure::usage(format!("{message}; nothing was saved")));
    }
    let connect = connect::connect(&args.client.server.connect, args.client.timeout);
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client, Patience::default());
    let before = interrupt.or(old_settings(&microscope)).await?;
    if before == text {
        let message =
            format!("{file}: the instrument already has these settings; nothing was saved");
        crate::failure::note(&message);
        return Ok(());
    }
    if !args.yes {
        let question = format!("Overwrite the settings of {}?", args.client.server.connect);
        interrupt.or(confirm(question)).await?;
    }
    let backup = args.backup.unwrap_or_else(|| {
        let time = rfc3339(flamingo_runtime_std::Clock::wall()).replace([':', '.'], "-");
        PathBuf::from(format!("scope-settings-{time}.txt"))
    });
    keep(&backup, &before)?;
    // From here on Ctrl-C is ignored, so that the upload is complete.
    let saved = microscope.settings().save(&text).await;
    let kept = format!("the old settings are kept in {}", backup.display());
    saved
        .map_err(|error| Failure::new(error.exit_code(), format!("not saved: {error}; {kept}")))?;
    let record = SavedJson { saved: true, bytes: text.len(), backup: backup.display().to_string() };
    out.either(&record, || format!("saved       {} bytes; {kept}", text.len()))
}

/// The text of the old settings.
async fn old_settings(microscope: &Microscope) -> CommandResult<Vec<u8>> {
    use flamingo_protocol_core::{CommandCode, Frame};
    // They are not parsed: settings with errors can be replaced, too.
    let frame = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let answer = microscope.client().request(frame).await?;
    let answer = connect::succeeded(answer, "settings")?;
    Ok(answer.payload.to_vec())
}

/// Asks on the terminal. Without a terminal, `--yes` is needed.
async fn confirm(question: String) -> CommandResult {
    if !std::io::stdin().is_terminal() {
        let message = "settings save replaces the settings; without a terminal it needs --yes";
        return Err(Failure::usage(message));
    }
    let answer = smol::unblock(move || {
        let mut stderr = std::io::stderr().lock();
        let mut answer = String::new();
        write!(stderr, "{question} [y/N] ")
            .and_then(|()| stderr.flush())
            .and_then(|()| std::io::stdin().read_line(&mut answer))
            .map(|_| answer)
    });
    let answer = answer.await.map_err(|error| Failure::new(1, format!("cannot ask: {error}")))?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::usage("not confirmed; nothing was saved"))
}

/// Writes the old settings into a new file and waits until they are on the disk.
fn keep(path: &Path, settings: &[u8]) -> CommandResult {
    let failed = |error| {
        let path = path.display();
        Failure::usage(format!(
            "cannot keep the old settings in {path}: {error}; nothing was saved"
        ))
    };
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(settings).and_then(|()| file.sync_all()).map_err(failed)
}
