//! `flamingo workflow`: checks or runs a workflow file. This file has what both share: reading the
//! file, and printing findings.

mod check;
mod run;

use std::io::Read;
use std::path::Path;

use clap::{Args, Subcommand};
use flamingo_microscope::workflow::{FieldOfView, Finding, Severity, StackOption, Workflow};
use flamingo_microscope::{Error, Microscope};
use serde::Serialize;

use crate::failure::{CommandResult, Failure, PROTOCOL};
use crate::interrupt::Interrupt;
use crate::output::Out;

/// The largest file that is read, in bytes. A larger one cannot be uploaded.
const LARGEST: u64 = flamingo_protocol_core::wire::MAX_PAYLOAD as u64;

/// Check or run a workflow file
#[derive(Debug, Args)]
pub(crate) struct WorkflowArgs {
    #[command(subcommand)]
    command: WorkflowCommand,
}

#[derive(Debug, Subcommand)]
enum WorkflowCommand {
    Check(check::CheckArgs),
    Run(run::RunArgs),
}

pub(crate) async fn run(args: WorkflowArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    match args.command {
        WorkflowCommand::Check(args) => interrupt.or(check::run(args, out)).await,
        WorkflowCommand::Run(args) => run::run(args, out, interrupt).await,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

/// Reads a file that the user names; `-` is stdin. Reading may block, so it runs on a thread.
pub(crate) async fn read_file(path: &Path) -> CommandResult<Vec<u8>> {
    let path = path.to_owned();
    smol::unblock(move || read_at_once(&path)).await
}

fn read_at_once(path: &Path) -> CommandResult<Vec<u8>> {
    let failed = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > LARGEST {
        let message = format!("{}: expected at most {LARGEST} bytes", path.display());
        return Err(Failure::usage(message));
    }
    Ok(bytes)
}

/// Reads and parses a workflow file.
async fn read_workflow(path: &Path) -> CommandResult<Workflow> {
    let bytes = read_file(path).await?;
    Workflow::parse(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// The field of view, if the file has tiles and the instrument tells it.
async fn field_of_view(microscope: &Microscope, workflow: &Workflow) -> Option<FieldOfView> {
    let Ok(StackOption::Tile { .. }) = workflow.stack_option() else { return None };
    microscope.camera().field_of_view().await.ok().flatten()
}

/// The JSON of a finding.
#[derive(Serialize)]
struct FindingJson<'a> {
    severity: String,
    file: String,
    line: Option<usize>,
    message: &'a str,
}

/// Prints `FILE:LINE: error: message`, or JSON.
fn print_finding(out: &mut Out, path: &Path, finding: &Finding) -> CommandResult {
    let Finding { line, severity, message } = finding;
    let (file, severity) = (path.display().to_string(), severity.to_string());
    let at = line.map_or(file.clone(), |line| format!("{file}:{line}"));
    let text = format!("{at}: {severity}: {message}");
    out.either(&FindingJson { severity, file, line: *line, message }, || text)
}

fn errors(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.severity == Severity::Error).count()
}

/// The value, or a failure if the workflow cannot be parsed there.
fn checked<T>(value: Result<T, flamingo_microscope::workflow::WorkflowError>) -> CommandResult<T> {
    value.map_err(|error| Failure::new(PROTOCOL, error.to_string()))
}
