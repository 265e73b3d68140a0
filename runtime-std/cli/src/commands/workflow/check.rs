//! `flamingo workflow check`: reports the errors of a workflow file, without running it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flamingo_microscope::scope_settings::ScopeSettings;
use flamingo_microscope::workflow::{FieldOfView, Finding, Severity, Workflow};
use flamingo_microscope::{Microscope, Patience};
use serde::Serialize;

use super::{checked, errors, field_of_view, print_finding, read_file, read_workflow};
use crate::args::{address, duration};
use crate::connect;
use crate::failure::{CommandResult, Failure, REFUSED, note};
use crate::output::{Out, counted, milliseconds};
use crate::profile::PeerArgs;

/// Report the errors of a workflow file, and what the workflow would do
///
/// Positions are checked against the limits in the scope settings, either from --settings or from the
/// instrument at --connect. The instrument also checks the file itself. Tiles are counted if the
/// instrument tells its field of view, which it does during live view. Nothing moves.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Workflow file; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// File with scope settings to take the limits from
    #[arg(long, value_name = "FILE", conflicts_with = "connect")]
    settings: Option<PathBuf>,

    /// Instrument that checks the file and has the limits
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    connect: Option<String>,

    /// How long to wait for an answer, such as 500ms or 3s
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    timeout: Duration,

    #[command(flatten)]
    peer: PeerArgs,
}

/// The JSON of what a workflow would do.
#[derive(Serialize)]
struct SummaryJson {
    ok: bool,
    errors: usize,
    warnings: usize,
    stacks: Option<u32>,
    planes: Option<u32>,
    images: Option<u64>,
    repetitions: Option<u64>,
    acquisition_ms: Option<f64>,
    save_drive: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<String>,
}

pub(crate) async fn run(args: CheckArgs, out: &mut Out) -> CommandResult {
    let workflow = read_workflow(&args.file).await?;
    let mut view = None;
    let (settings, report) = match (&args.settings, &args.connect) {
        (Some(path), _) => {
            let settings = ScopeSettings::parse(&read_file(path).await?);
            let wrong = |error| Failure::usage(format!("{}: {error}", path.display()));
            let settings = settings.map_err(wrong)?;
            for finding in settings.findings() {
                note(&format!("warning: {}: {finding}", path.display()));
            }
            (Some(settings), None)
        }
        (None, Some(address)) => {
            let client = connect::connect(&args.peer, address, args.timeout).await?;
            let microscope = Microscope::over(client, Patience::default());
            let settings = microscope.settings().load().await?.value;
            let report = microscope.workflows().check(&workflow).await?;
            view = field_of_view(&microscope, &workflow).await;
            (Some(ScopeSettings::clone(&settings)), Some(report))
        }
        (None, None) => (None, None),
    };
    let mut findings = workflow.check(settings.as_ref());
    let declined = report.as_ref().is_some_and(|report| !report.accepted);
    let said = report.as_ref().map(|report| report.text.trim().trim_matches('\0'));
    if let Some(said) = said.filter(|_| declined) {
        let (severity, message) = if said.is_empty() {
            let message = "the instrument's report is empty: it did not check the file";
            (Severity::Warning, message.to_owned())
        } else {
            (Severity::Error, format!("the instrument reports: {said}"))
        };
        findings.push(Finding { line: None, severity, message });
    }
    for finding in &findings {
        print_finding(out, &args.file, finding)?;
    }
    let instrument = report.map(|report| report.text.trim().to_owned());
    let summary = summary(&workflow, view, &findings, instrument);
    out.either(&summary, || summary.text())?;
    let errors = errors(&findings);
    let message = format!("{}: {}; it cannot run", args.file.display(), counted(errors, "error"));
    match errors {
        0 => Ok(()),
        // Only the instrument's own check failed.
        1 if declined => Err(Failure::new(REFUSED, message)),
        _ => Err(Failure::usage(message)),
    }
}

fn summary(
    workflow: &Workflow,
    view: Option<FieldOfView>,
    findings: &[Finding],
    instrument: Option<String>,
) -> SummaryJson {
    let errors = errors(findings);
    SummaryJson {
        ok: errors == 0,
        errors,
        warnings: findings.len() - errors,
        // Values that cannot be parsed are among the findings.
        stacks: checked(workflow.stacks(view)).ok().flatten(),
        planes: checked(workflow.planes()).ok().flatten(),
        images: checked(workflow.images(view)).ok().flatten(),
        repetitions: checked(workflow.repetitions()).ok(),
        acquisition_ms: checked(workflow.acquisition_time(view)).ok().flatten().map(milliseconds),
        save_drive: workflow.save_drive(),
        instrument,
    }
}

impl SummaryJson {
    fn text(&self) -> String {
        let known = |number: Option<u64>, one: &str| {
            number.map_or_else(|| format!("? {one}s"), |number| counted(number, one))
        };
        let stacks = known(self.stacks.map(u64::from), "stack");
        let planes = known(self.planes.map(u64::from), "plane");
        let time = self.acquisition_ms.map_or("unknown time".to_owned(), |ms| {
            let whole = Duration::from_secs_f64((ms / 1000.0).ceil());
            format!("at least {}", humantime::format_duration(whole))
        });
        let repetitions = match self.repetitions {
            Some(1) | None => String::new(),
            Some(repetitions) => format!(", {repetitions} times"),
        };
        let result = if self.ok { "ok" } else { "not ok" };
        let drive = self.save_drive.as_deref().unwrap_or("no drive");
        format!(
            "{result}: {stacks} of {planes}, {}, {time}{repetitions}, to {drive}",
            known(self.images, "image")
        )
    }
}
