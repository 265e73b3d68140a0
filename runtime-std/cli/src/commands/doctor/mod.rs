//! `flamingo doctor`: what is wrong between here and the instrument, one finding a line.
//!
//! Here are the order of the questions and the verdict; the questions are `queries.rs`, listening
//! without a word `listen.rs`.

mod listen;
mod queries;

use std::time::Duration;

use clap::Args;
use flamingo_runtime_std::{Client, Options};
use serde::Serialize;

use crate::args::{ClientArgs, duration};
use crate::failure::{CommandResult, Failure};
use crate::output::Out;

/// Find out what is wrong between here and the instrument
///
/// Nothing moves and nothing lights up: it listens, asks harmless queries, and says what it sees,
/// how it knows, and what that means. The last line names the cause.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    client: ClientArgs,

    /// How long to listen to what comes unasked
    #[arg(long = "listen", value_name = "TIME", default_value = "1s", value_parser = duration)]
    listen: Duration,

    /// The live port, where it is not the one behind the control port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    live_port: Option<u16>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// As it should be.
    Ok,
    /// It works, but it is worth knowing.
    Warning,
    /// It does not work.
    Failed,
}

/// A line.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    check: &'static str,
    outcome: Outcome,
    /// What was seen.
    evidence: String,
    /// What that means, and what to do.
    meaning: String,
    /// The exit code of the whole, if this ends it.
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
struct Verdict {
    healthy: bool,
    warnings: usize,
    cause: String,
}

/// What was found so far, as it is printed.
struct Chart<'a> {
    out: &'a mut Out,
    findings: Vec<Finding>,
}

impl Chart<'_> {
    /// Says a finding; gives whether the examination can go on.
    fn add(&mut self, finding: Finding) -> CommandResult<bool> {
        self.out.either(&finding, || finding.text())?;
        let goes_on = finding.outcome != Outcome::Failed;
        self.findings.push(finding);
        Ok(goes_on)
    }

    /// The last line names the cause.
    fn verdict(&mut self) -> CommandResult {
        let failed = self.findings.iter().find(|finding| finding.outcome == Outcome::Failed);
        let warned = |finding: &&Finding| finding.outcome == Outcome::Warning;
        let warnings: Vec<_> = self.findings.iter().filter(warned).collect();
        let cause = match (failed, warnings.first()) {
            (Some(finding), _) => format!("{}: {}", finding.evidence, finding.meaning),
            (None, Some(first)) => format!("healthy, but {}: {}", first.evidence, first.meaning),
            (None, None) => "healthy".to_owned(),
        };
        let verdict =
            Verdict { healthy: failed.is_none(), warnings: warnings.len(), cause: cause.clone() };
        self.out.either(&verdict, || format!("=> {cause}"))?;
        failed.map_or(Ok(()), |finding| Err(Failure::reported(finding.code)))
    }
}

pub(crate) async fn run(args: DoctorArgs, out: &mut Out) -> CommandResult {
    let mut chart = Chart { out, findings: Vec::new() };
    examine(&args, &mut chart).await?;
    chart.verdict()
}

/// Asks one thing after the other, as long as the one before allows for it.
async fn examine(args: &DoctorArgs, chart: &mut Chart<'_>) -> CommandResult {
    let address = &args.client.server.connect;
    let (heard, finding) = listen::unasked(address, args.listen).await;
    if !chart.add(finding)? {
        return Ok(());
    }
    let mut options = Options::new(address);
    options.timeout = args.client.timeout;
    let client = match Client::connect(options).await {
        Ok(client) => client,
        Err(error) => return chart.add(queries::not_connected(&error, &heard)).map(drop),
    };
    if !chart.add(queries::speaks(&client))? {
        return Ok(());
    }
    for finding in queries::echoes(&client).await {
        chart.add(finding)?;
    }
    for finding in queries::settings(&client).await {
        chart.add(finding)?;
    }
    for finding in queries::traffic(&client, args.listen).await {
        chart.add(finding)?;
    }
    chart.add(listen::live(address, args.live_port, args.listen).await)?;
    client.close().await;
    Ok(())
}
