//! `flamingo queue`: workflows one after another, for hours or days. The state is in `state.rs`, running is in
//! `runner.rs`, one
//! workflow in `one_run.rs`, requests meanwhile in `control.rs`, and what others are told in `notices.rs`.

mod control;
mod notices;
mod one_run;
mod runner;
mod state;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use flamingo_microscope::workflow::{Severity, Workflow};
use serde_json::json;

use crate::args::{ClientArgs, duration, time};
use crate::commands::workflow::read_file;
use crate::failure::{CommandResult, Failure};
use crate::interrupt::Interrupt;
use crate::output::Out;
use notices::NoticeArgs;
use runner::Runner;
use state::{Files, Queue, Request};

/// Run workflows one after another
///
/// The state is in a file, which is on the disk before a workflow is sent. So the queue goes on after a lost
/// connection, and with `queue resume` after a restart of this program or computer. A workflow that may have begun
/// is never sent again: if its end is not known, it is "unknown".
#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    Run(Box<RunArgs>),
    Resume(Box<ResumeArgs>),
    Status(StateArgs),
    /// Begin no other workflow, until `queue resume`; the one that runs goes on
    Pause(StateArgs),
    Stop(StopArgs),
}

#[derive(Debug, Args)]
struct StateArgs {
    /// File with the state of the queue
    #[arg(long, value_name = "FILE", default_value = "flamingo-queue.json")]
    state: PathBuf,
}

/// Run workflow files one after another
///
/// Each file is checked before the first one is sent, and again, with the limits of the instrument, before it is sent
/// itself. If another program runs a workflow, the queue waits. Ctrl-C stops the workflow that runs; `queue resume`
/// goes on with the next one. Exit codes: 5: a workflow failed; 7: one is unknown.
#[derive(Debug, Args)]
struct RunArgs {
    /// Workflow files, in their order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Run all of them this many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,

    /// Wait between two workflows, such as 10m
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pause: Duration,

    /// At the end, move the stage back to where it stands now
    #[arg(long)]
    return_to_start: bool,

    /// End after a workflow that failed or is unknown, instead of going on with the next one
    #[arg(long)]
    stop_on_failure: bool,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    notices: NoticeArgs,

    /// How long to wait before the next try to connect
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    retry: Duration,

    #[command(flatten)]
    client: ClientArgs,
}

/// Go on with a queue: one that is paused, or one whose program has ended
///
/// A workflow that was sent before the program ended is followed to its end if it still runs. Otherwise it is
/// unknown, and it is not sent again.
#[derive(Debug, Args)]
struct ResumeArgs {
    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    notices: NoticeArgs,

    /// How long to wait before the next try to connect
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    retry: Duration,

    #[command(flatten)]
    client: ClientArgs,
}

/// End the queue that runs, after the workflow that runs
#[derive(Debug, Args)]
struct StopArgs {
    #[command(flatten)]
    state: StateArgs,

    /// Stop the workflow that runs, too
    #[arg(long)]
    now: bool,
}

pub(crate) async fn run(args: QueueArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    match args.command {
        QueueCommand::Run(args) => begin(*args, out, interrupt).await,
        QueueCommand::Resume(args) => resume(*args, out, interrupt).await,
        QueueCommand::Status(args) => status(&Files(args.state), out),
        QueueCommand::Pause(args) => ask(&Files(args.state), Request::Pause, out),
        QueueCommand::Stop(args) => {
            let request = if args.now { Request::StopNow } else { Request::Stop };
            ask(&Files(args.state.state), request, out)
        }
    }
}

async fn begin(args: RunArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let mut files = Vec::new();
    for file in &args.files {
        check(file).await?;
        // The queue may be resumed in another folder.
        files.push(std::path::absolute(file).unwrap_or_else(|_| file.clone()));
    }
    let state = Files(args.state.state);
    let lock = state.lock()?.ok_or_else(|| held(&state))?;
    if let Some(old) = state.read()?.filter(|old| !old.is_over()) {
        return Err(Failure::usage(format!(
            "{}: this queue is not over ({}); go on with it: flamingo queue resume, or give another file with \
             --state",
            state.0.display(),
            old.totals()
        )));
    }
    let mut queue = Queue::new(&files, args.repeat, args.pause);
    queue.stop_on_failure = args.stop_on_failure;
    let notices = args.notices.open()?;
    let runner = Runner::new(queue, state, args.client, args.retry, notices, out);
    let ended = runner.run(args.return_to_start, interrupt).await;
    drop(lock);
    ended
}

async fn resume(args: ResumeArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let state = Files(args.state.state);
    let Some(queue) = state.read()? else { return Err(none(&state)) };
    let Some(lock) = state.lock()? else { return ask(&state, Request::Resume, out) };
    if queue.is_over() {
        return Err(Failure::usage(format!("{}: this queue is over", state.0.display())));
    }
    // A request that an earlier run has not taken is not for this one.
    let _ = state.take_request();
    let notices = args.notices.open()?;
    let runner = Runner::new(queue, state, args.client, args.retry, notices, out);
    let ended = runner.run(false, interrupt).await;
    drop(lock);
    ended
}

/// Checks a file without the instrument, so that an error at its end is not found in the night.
async fn check(file: &std::path::Path) -> CommandResult {
    if file == std::path::Path::new("-") {
        return Err(Failure::usage(
            "queue: expected files, which can be read again later, found stdin",
        ));
    }
    let refused = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("{}: {error}; nothing was sent", file.display()))
    };
    let workflow = Workflow::parse(&read_file(file).await?).map_err(|error| refused(&error))?;
    let findings = workflow.check(None);
    match findings.iter().find(|finding| finding.severity == Severity::Error) {
        Some(finding) => Err(refused(finding)),
        None => Ok(()),
    }
}

fn none(state: &Files) -> Failure {
    Failure::usage(format!("{}: there is no queue; --state names another file", state.0.display()))
}

fn held(state: &Files) -> Failure {
    let message =
        "this queue runs already; give another file with --state, or: flamingo queue status";
    Failure::usage(format!("{}: {message}", state.0.display()))
}

/// Leaves a request for the process that runs the queue.
fn ask(state: &Files, request: Request, out: &mut Out) -> CommandResult {
    if state.read()?.is_none() {
        return Err(none(state));
    }
    if state.lock()?.is_some() {
        return Err(Failure::usage(format!(
            "{}: no program runs this queue now",
            state.0.display()
        )));
    }
    state.ask(request)?;
    let text = match request {
        Request::Pause => "the queue pauses after the workflow that runs",
        Request::Resume => "the queue goes on",
        Request::Stop => "the queue ends after the workflow that runs",
        Request::StopNow => "the workflow that runs is stopped, and the queue ends",
    };
    out.either(&json!({ "asked": text }), || text.to_owned())
}

fn status(state: &Files, out: &mut Out) -> CommandResult {
    let Some(queue) = state.read()? else { return Err(none(state)) };
    let runs = state.lock()?.is_none();
    for (number, entry) in (1..).zip(&queue.entries) {
        let file = entry.file.display().to_string();
        let json = json!({
            "number": number, "file": file, "stage": entry.stage.name(), "note": entry.note,
            "began": entry.began, "ended": entry.ended,
        });
        out.either(&json, || {
            let note =
                if entry.note.is_empty() { String::new() } else { format!(": {}", entry.note) };
            format!("{number:>4}  {:<8}  {file}{note}", entry.stage.name())
        })?;
    }
    let program = match (runs, queue.is_over()) {
        (true, _) => "a program runs it",
        (false, true) => "over",
        (false, false) => "no program runs it; go on: flamingo queue resume",
    };
    let json =
        json!({ "summary": true, "runs": runs, "over": queue.is_over(), "totals": queue.totals() });
    out.either(&json, || format!("{}; {program}", queue.totals()))
}
