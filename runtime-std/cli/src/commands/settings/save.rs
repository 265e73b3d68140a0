//! `flamingo settings save`: replaces the scope settings of the instrument with a file, and keeps the old
//! ones in another file. `settings set` replaces them in the same way: see [`replace`].

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use flamingo_microscope::Axis;
use flamingo_microscope::scope_settings::ScopeSettings;
use flamingo_microscope::sections::SectionText;
use flamingo_microscope::{Error, Microscope, Saved};
use serde::Serialize;

use crate::args::ClientArgs;
use crate::commands::workflow::read_file;
use crate::failure::{CommandResult, Failure, note};
use crate::interrupt::Interrupt;
use crate::output::{Out, rfc3339};

/// Replace the scope settings of the instrument with a file
///
/// The command first loads the old settings and keeps them in a file. It warns about lines that look
/// wrong, and about sections of the old settings that the file does not have. It reports "saved" only
/// after the instrument has acknowledged the upload and has returned the new settings.
#[derive(Debug, Args)]
pub(super) struct SaveArgs {
    /// File with the settings, as `flamingo get settings` prints them; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    replace: ReplaceArgs,

    #[command(flatten)]
    client: ClientArgs,
}

/// The options of every command that replaces the settings.
#[derive(Debug, Args)]
pub(super) struct ReplaceArgs {
    /// File for the old settings [default: scope-settings-TIME.txt]
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,

    /// Do not ask before the settings are replaced
    #[arg(short, long)]
    yes: bool,
}

/// The JSON of settings that were saved.
#[derive(Serialize)]
struct SavedJson {
    saved: bool,
    bytes: usize,
    /// The status and the text of the acknowledgement.
    status: i32,
    text: String,
    /// Whether the instrument returned the new settings.
    read_back: bool,
    backup: String,
}

pub(super) async fn run(args: SaveArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let text = interrupt.or(read_file(&args.file)).await?;
    let file = args.file.display().to_string();
    check(&file, &text)?;
    let microscope = interrupt.or(super::microscope(&args.client)).await?;
    let old = async { Ok(microscope.settings().load_text().await?) };
    let before: Vec<u8> = interrupt.or(old).await?;
    if before == text {
        let message =
            format!("{file}: the instrument already has these settings; nothing was saved");
        note(&message);
        return Ok(());
    }
    let new =
        SectionText::read(&text).map_err(|error| Failure::usage(format!("{file}: {error}")))?;
    for section in missing_sections(&before, &new) {
        let warning = format!("the instrument has a section <{section}>, the file has none");
        note(&format!("warning: {file}: {warning}; saving removes it"));
    }
    let question = format!("Overwrite the settings of {}?", args.client.server.connect);
    replace(&microscope, &before, &text, question, args.replace, out, interrupt).await
}

/// Checks settings that are to be saved; prints what looks wrong. `source` is where they come from.
pub(super) fn check(source: &str, text: &[u8]) -> CommandResult {
    let settings = ScopeSettings::parse_whole(text)
        .map_err(|error| Failure::usage(format!("{source}: {error}; nothing was saved")))?;
    if let Some(axis) = Axis::ALL.into_iter().find(|axis| !settings.limits(*axis).is_complete()) {
        let message = format!("{source}: expected both limits of axis {axis} in <Stage limits>");
        return Err(Failure::usage(format!("{message}; nothing was saved")));
    }
    for finding in settings.findings() {
        note(&format!("warning: {source}: {finding}"));
    }
    for axis in Axis::ALL {
        let home = settings.home(axis).map(|home| settings.limits(axis).check(axis, home));
        if let Some(Err(error)) = home {
            note(&format!("warning: {source}: home position: {error}; flamingo home refuses it"));
        }
    }
    Ok(())
}

/// Asks, keeps the old settings in a file, and replaces them.
pub(super) async fn replace(
    microscope: &Microscope,
    before: &[u8],
    text: &[u8],
    question: String,
    args: ReplaceArgs,
    out: &mut Out,
    interrupt: &Interrupt,
) -> CommandResult {
    if !args.yes {
        interrupt.or(confirm(question)).await?;
    }
    let backup = args.backup.unwrap_or_else(|| {
        let time = rfc3339(flamingo_runtime_std::Clock::wall()).replace([':', '.'], "-");
        PathBuf::from(format!("scope-settings-{time}.txt"))
    });
    keep(&backup, before)?;
    // From here on Ctrl-C is ignored, so that the upload is complete.
    let saved = microscope.settings().save(text).await;
    let kept = format!("the old settings are kept in {}", backup.display());
    let Saved { status, text: said, .. } = saved.map_err(|error| {
        let how = match error {
            Error::NotSaved { .. } | Error::Superseded { .. } => "not saved",
            _ => "whether they were saved is not known",
        };
        Failure::new(error.exit_code(), format!("{how}: {error}; {kept}"))
    })?;
    let bytes = text.len();
    let acknowledged = match (status, said.as_str()) {
        (1, "") => "acknowledged with success".to_owned(),
        (status, "") => format!("acknowledged with status {status}"),
        (status, said) => format!("acknowledged with status {status} and {said:?}"),
    };
    let backup = backup.display().to_string();
    let record = SavedJson { saved: true, bytes, status, text: said, read_back: true, backup };
    out.either(&record, || {
        format!("saved       {bytes} bytes; {acknowledged}, read back unchanged; {kept}")
    })
}

/// The names of the sections that the old settings have and the new ones do not have.
fn missing_sections(before: &[u8], new: &SectionText) -> Vec<String> {
    // Each line of the old settings is read on its own: settings with errors can be replaced, too.
    let Ok(before) = SectionText::read(before) else { return Vec::new() };
    let missing = before.sections().filter(|section| !new.has_section(section));
    let mut missing: Vec<String> = missing.map(str::to_owned).collect();
    missing.dedup();
    missing
}

/// Asks on the terminal. Without a terminal, `--yes` is needed.
async fn confirm(question: String) -> CommandResult {
    if !std::io::stdin().is_terminal() {
        let message =
            "the settings are replaced; without a terminal this needs --yes; nothing was saved";
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
