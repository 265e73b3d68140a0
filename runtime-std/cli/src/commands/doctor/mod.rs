//! `flamingo doctor`: diagnoses the connection to the instrument, one finding per line.
//!
//! This file has the order of the checks and the conclusion. Checks that send queries are in
//! `queries.rs`, the one of statuses in `statuses.rs`, checks that only listen in `listen.rs`.

mod listen;
mod queries;
mod statuses;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flamingo_runtime_std::Client;
use serde::Serialize;

use crate::args::{ClientArgs, duration};
use crate::failure::{CommandResult, Failure};
use crate::new_file::OverwriteArg;
use crate::output::Out;

/// Diagnose the connection to the instrument
///
/// The command moves nothing and switches no light on. It listens, sends harmless queries, and prints
/// each finding with its evidence and its meaning. The last line names the cause.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    client: ClientArgs,

    /// Time to listen for events
    #[arg(long = "listen", value_name = "TIME", default_value = "1s", value_parser = duration)]
    listen: Duration,

    /// Write what was found as a profile, for --profile
    #[arg(long, value_name = "FILE")]
    save_profile: Option<PathBuf>,

    #[command(flatten)]
    overwrite: OverwriteArg,

    /// Live port, if it is not the one after the control port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    live_port: Option<u16>,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// As expected.
    Ok,
    /// It works, but the user should know.
    Warning,
    /// It does not work.
    Failed,
}

/// The result of a check: one line, or one JSON object.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    check: &'static str,
    outcome: Outcome,
    /// What was observed.
    evidence: String,
    /// What this means, and what to do.
    meaning: String,
    /// The exit code of the command, if this check failed.
    #[serde(skip)]
    code: u8,
}

impl Finding {
    fn ok(check: &'static str, evidence: impl Into<String>, meaning: impl Into<String>) -> Self {
        let (evidence, meaning) = (evidence.into(), meaning.into());
        Self { check, outcome: Outcome::Ok, evidence, meaning, code: 0 }
    }

    fn warning(
        check: &'static str,
        evidence: impl Into<String>,
        meaning: impl Into<String>,
    ) -> Self {
        Self { outcome: Outcome::Warning, ..Self::ok(check, evidence, meaning) }
    }

    fn failed(
        check: &'static str,
        code: u8,
        evidence: impl Into<String>,
        meaning: impl Into<String>,
    ) -> Self {
        Self { outcome: Outcome::Failed, code, ..Self::ok(check, evidence, meaning) }
    }

    fn text(&self) -> String {
        let mark = match self.outcome {
            Outcome::Ok => "✓",
            Outcome::Warning => "!",
            Outcome::Failed => "✗",
        };
        format!("{mark} {:<16} {}: {}", self.check, self.evidence, self.meaning)
    }
}

/// The JSON of the last line.
#[derive(Serialize)]
struct ConclusionJson {
    healthy: bool,
    warnings: usize,
    cause: String,
}

/// The findings so far. Each is printed when it is added.
struct Report<'a> {
    out: &'a mut Out,
    findings: Vec<Finding>,
}

impl Report<'_> {
    /// Prints a finding; returns whether the next check can run.
    fn add(&mut self, finding: Finding) -> CommandResult<bool> {
        self.out.either(&finding, || finding.text())?;
        let goes_on = finding.outcome != Outcome::Failed;
        self.findings.push(finding);
        Ok(goes_on)
    }

    /// Prints the last line, which names the cause.
    fn conclude(&mut self) -> CommandResult {
        let failed = self.findings.iter().find(|finding| finding.outcome == Outcome::Failed);
        let warned = |finding: &&Finding| finding.outcome == Outcome::Warning;
        let warnings: Vec<_> = self.findings.iter().filter(warned).collect();
        let cause = match (failed, warnings.first()) {
            (Some(finding), _) => format!("{}: {}", finding.evidence, finding.meaning),
            (None, Some(first)) => format!("healthy, but {}: {}", first.evidence, first.meaning),
            (None, None) => "healthy".to_owned(),
        };
        let conclusion = ConclusionJson {
            healthy: failed.is_none(),
            warnings: warnings.len(),
            cause: cause.clone(),
        };
        self.out.either(&conclusion, || format!("=> {cause}"))?;
        failed.map_or(Ok(()), |finding| Err(Failure::reported(finding.code)))
    }
}

pub(crate) async fn run(args: DoctorArgs, out: &mut Out) -> CommandResult {
    let mut report = Report { out, findings: Vec::new() };
    run_checks(&args, &mut report).await?;
    report.conclude()
}

/// Runs one check after the other until one fails.
async fn run_checks(args: &DoctorArgs, report: &mut Report<'_>) -> CommandResult {
    if let Some(file) = &args.save_profile {
        args.overwrite.check("--save-profile", file)?;
    }
    let address = &args.client.server.connect;
    let (received, finding) = listen::control(address, args.listen).await;
    if !report.add(finding)? {
        return Ok(());
    }
    let options = args.client.peer.options(address, args.client.timeout)?;
    let client = match Client::connect(options).await {
        Ok(client) => client,
        Err(error) => return report.add(queries::not_connected(&error, &received)).map(drop),
    };
    if !report.add(queries::state(&client))? {
        return Ok(());
    }
    for finding in queries::echoes(&client).await {
        report.add(finding)?;
    }
    for finding in queries::settings(&client).await {
        report.add(finding)?;
    }
    let statuses = statuses::ask(&client).await;
    for finding in statuses::findings(&statuses) {
        report.add(finding)?;
    }
    for finding in queries::traffic(&client, args.listen).await {
        report.add(finding)?;
    }
    report.add(listen::live(address, args.live_port, args.listen).await)?;
    client.close().await;
    if let Some(file) = &args.save_profile {
        let unmarked = report.findings.iter().any(|finding| finding.check == queries::MARKS);
        statuses::save_profile((file, args.overwrite), &statuses, unmarked)?;
    }
    Ok(())
}
