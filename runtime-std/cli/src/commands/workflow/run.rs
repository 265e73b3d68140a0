//! `flamingo workflow run`: uploads a workflow and follows it to its end. Ctrl-C stops it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flamingo_microscope::workflow::{Severity, StackOption, Workflow};
use flamingo_microscope::{Microscope, Patience, Run, RunEvent, RunSummary, StackComplete};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::Instant;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use smol::future::or;

use super::{print_finding, read_workflow};
use crate::args::ClientArgs;
use crate::connect::{self, within};
use crate::failure::{CommandResult, Failure, INTERRUPTED, NO_ANSWER, REFUSED, note};
use crate::interrupt::Interrupt;
use crate::output::{Out, milliseconds};

/// How long a workflow may take to end after it was stopped.
const STOPPING: Duration = Duration::from_secs(10);

/// How long the instrument may take to take the file.
const UPLOAD: Duration = Duration::from_secs(30);

/// Run a workflow and follow it to its end
///
/// The file is checked first, against the limits of the instrument, and uploaded as it is. The
/// command ends when the instrument is idle again. Ctrl-C stops the workflow; it runs on when whoever
/// reads the output goes away.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The workflow file; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    client: ClientArgs,
}

/// The JSON of what happens.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Told {
    Uploaded {
        bytes: usize,
    },
    Started,
    State {
        state: String,
    },
    Progress {
        images_done: u32,
        images_total: u32,
        remaining_ms: Option<f64>,
    },
    Stack {
        stack: u32,
        acquired: i32,
        expected: i32,
        errors: i32,
        acquisition_us: f64,
    },
    ImagesSaved,
    Disconnected,
    Reconnected,
    Missed {
        messages: u64,
    },
    Ended {
        stacks: u32,
        images: u64,
        images_missing: u64,
        errors: u64,
        saved: bool,
        aborted: bool,
        missed: u64,
        elapsed_ms: f64,
    },
}

pub(crate) async fn run(args: RunArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let workflow = interrupt.or(read_workflow(&args.file)).await?;
    let connect = connect::connect(&args.client.server.connect, args.client.timeout);
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client, Patience::default());
    interrupt.or(check(&microscope, &workflow, &args, out)).await?;
    // Not given up halfway: after it, it is known whether there is something to stop. (A stop to
    // be sure could be that of somebody else's workflow.)
    let started = within(UPLOAD, microscope.workflows().start(&workflow)).await;
    let run = started.ok_or_else(|| {
        let limit = humantime::format_duration(UPLOAD);
        Failure::new(NO_ANSWER, format!("the instrument did not take the file within {limit}"))
    })?;
    let mut follower = Follower::new(run?, &workflow, out);
    let bytes = workflow.bytes().len();
    follower.tell(&Told::Uploaded { bytes }, || format!("uploaded    {bytes} bytes"))?;
    let followed = async { Some(follower.follow().await) };
    let pressed = async {
        interrupt.pressed().await;
        None
    };
    let ended = or(pressed, followed).await;
    let summary = match ended {
        Some(Ok(summary)) => summary,
        Some(Err(failure)) => return Err(failure),
        None => return Err(follower.stop().await),
    };
    judge(&workflow, &summary)
}

/// Says what is wrong with the workflow; the instrument's own limits count.
async fn check(
    microscope: &Microscope,
    workflow: &Workflow,
    args: &RunArgs,
    out: &mut Out,
) -> CommandResult {
    let settings = microscope.settings().load().await?.value;
    for finding in workflow.check(Some(&settings)) {
        if finding.severity == Severity::Warning {
            note(&format!("warning: {}: {finding}", args.file.display()));
        } else {
            print_finding(out, &args.file, &finding)?;
        }
    }
    Ok(())
}

/// A run, and what is shown of it.
struct Follower<'a> {
    run: Run,
    out: &'a mut Out,
    /// Hidden where stderr is no terminal.
    bar: ProgressBar,
    clock: Clock,
    /// When the first image was done.
    first: Option<(Instant, u32)>,
    /// How many stacks there are to be, where the file says so.
    stacks: Option<u32>,
}

impl<'a> Follower<'a> {
    fn new(run: Run, workflow: &Workflow, out: &'a mut Out) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} images  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { run, out, bar, clock: Clock::start(), first: None, stacks: stacks(workflow) }
    }

    fn tell(&mut self, told: &Told, text: impl FnOnce() -> String) -> CommandResult {
        // The line must not be drawn over.
        let (bar, out) = (self.bar.clone(), &mut *self.out);
        bar.suspend(|| out.either(told, text))
    }

    async fn follow(&mut self) -> CommandResult<RunSummary> {
        while let Some(event) = self.run.next().await? {
            self.show(&event)?;
        }
        self.bar.finish_and_clear();
        let summary = self.run.summary();
        self.ended(&summary)?;
        Ok(summary)
    }

    fn show(&mut self, event: &RunEvent) -> CommandResult {
        match *event {
            RunEvent::Started => self.tell(&Told::Started, || "running".to_owned()),
            RunEvent::State(state) => {
                let told = Told::State { state: state.to_string() };
                self.tell(&told, || format!("state       {state}"))
            }
            RunEvent::Progress { done, total } => self.progress(done, total),
            RunEvent::Stack(StackComplete { acquired, expected, errors, acquisition_us }) => {
                let stack = self.run.summary().stacks;
                let told = Told::Stack { stack, acquired, expected, errors, acquisition_us };
                let seconds = acquisition_us / 1e6;
                self.tell(&told, || {
                    let errors =
                        if errors == 0 { String::new() } else { format!(", {errors} errors") };
                    format!(
                        "stack {stack:<5} {acquired} of {expected} images in {seconds:.2} s{errors}"
                    )
                })
            }
            RunEvent::ImagesSaved => self.tell(&Told::ImagesSaved, || "saved".to_owned()),
            RunEvent::Disconnected => {
                note("warning: connection lost; the workflow goes on");
                self.tell(&Told::Disconnected, || "connection lost".to_owned())
            }
            RunEvent::Reconnected => self.tell(&Told::Reconnected, || "connected again".to_owned()),
            RunEvent::Missed(messages) => {
                note(&format!("warning: {messages} messages were missed"));
                self.tell(&Told::Missed { messages }, || format!("missed      {messages} messages"))
            }
            _ => Ok(()),
        }
    }

    fn progress(&mut self, done: u32, total: u32) -> CommandResult {
        let now = self.clock.now();
        let (began, before) = *self.first.get_or_insert((now, done));
        let took = Duration::from(now.since(began)).as_secs_f64();
        let rate = f64::from(done.saturating_sub(before)) / took;
        let left = f64::from(total.saturating_sub(done)) / rate;
        let remaining = Duration::try_from_secs_f64(left).ok().filter(|_| rate > 0.0);
        self.bar.set_length(total.into());
        self.bar.set_position(done.into());
        let stacks = match self.stacks {
            Some(all) => format!("{} of {all} stacks", self.run.summary().stacks),
            None => format!("{} stacks", self.run.summary().stacks),
        };
        let left = remaining.map_or(String::new(), |left| {
            let whole = Duration::from_secs(left.as_secs());
            format!(", {} left", humantime::format_duration(whole))
        });
        self.bar.set_message(format!("{stacks}{left}"));
        if !self.out.json() {
            return Ok(());
        }
        let remaining_ms = remaining.map(milliseconds);
        self.out.object(&Told::Progress { images_done: done, images_total: total, remaining_ms })
    }

    fn ended(&mut self, summary: &RunSummary) -> CommandResult {
        let elapsed = Duration::from(self.clock.now().since(Instant::default()));
        let RunSummary { stacks, images, images_missing, errors, saved, aborted, missed } =
            *summary;
        let elapsed_ms = milliseconds(elapsed);
        let told = Told::Ended {
            stacks,
            images,
            images_missing,
            errors,
            saved,
            aborted,
            missed,
            elapsed_ms,
        };
        let how = if aborted { "stopped" } else { "done" };
        self.tell(&told, || {
            format!("{how:<11} {stacks} stacks, {images} images in {:.1} s", elapsed.as_secs_f64())
        })
    }

    /// Ctrl-C: the workflow is stopped, and its end waited for.
    async fn stop(&mut self) -> Failure {
        self.bar.finish_and_clear();
        let stopped = async {
            self.run.abort().await?;
            self.run.wait().await
        };
        let message = match within(STOPPING, stopped).await {
            Some(Ok(summary)) => {
                // It is said on stderr as well: who reads stdout may have gone.
                let _ = self.ended(&summary);
                format!("interrupted, workflow stopped after {} images", summary.images)
            }
            Some(Err(error)) => format!("interrupted, but: {error}; the workflow may still run"),
            None => "interrupted, but the instrument is not idle yet; look after it".to_owned(),
        };
        Failure::new(INTERRUPTED, message)
    }
}

/// Whether it did what the file asks for.
fn judge(workflow: &Workflow, summary: &RunSummary) -> CommandResult {
    if summary.errors > 0 || summary.images_missing > 0 {
        let RunSummary { errors, images_missing, .. } = summary;
        let message =
            format!("the workflow ended with {errors} errors, {images_missing} images missing");
        return Err(Failure::new(REFUSED, message));
    }
    if let Some(expected) = stacks(workflow)
        && summary.missed == 0
        && summary.stacks < expected
    {
        let message = format!(
            "the workflow ended after {} of {expected} stacks; was it stopped by somebody else?",
            summary.stacks
        );
        return Err(Failure::new(REFUSED, message));
    }
    Ok(())
}

/// The stacks of a workflow that is done once, if they can be counted.
fn stacks(workflow: &Workflow) -> Option<u32> {
    let counted = !matches!(workflow.stack_option(), Ok(StackOption::Other(_)));
    let once = matches!(workflow.repetitions(), Ok(1));
    workflow.stacks().ok().filter(|_| counted && once)
}
