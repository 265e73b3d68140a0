//! `flamingo workflow run`: uploads a workflow and follows it to its end. Ctrl-C stops it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flamingo_microscope::workflow::{FieldOfView, Severity, Workflow};
use flamingo_microscope::{Error, Microscope, Patience, Run, RunEvent, RunSummary, StackComplete};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::time::Instant;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use smol::future::or;

use super::{field_of_view, print_finding, read_workflow};
use crate::args::ClientArgs;
use crate::connect::{self, within};
use crate::failure::{CommandResult, Failure, INTERRUPTED, NO_ANSWER, REFUSED, note};
use crate::interrupt::Interrupt;
use crate::output::{Out, counted, milliseconds};

/// The time limit for the end of a workflow after it was stopped.
const STOPPING: Duration = Duration::from_secs(10);

/// The time limit for the upload.
const UPLOAD: Duration = Duration::from_secs(30);

/// Run a workflow and follow it to its end
///
/// The file is checked against the limits of the instrument and then uploaded unchanged. The command
/// ends when the instrument is idle again; that is a success unless the instrument reported errors or
/// missing images. Texts that the instrument sends meanwhile are shown. Ctrl-C stops the workflow.
/// Closing the output pipe does not stop the workflow.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Workflow file; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    client: ClientArgs,
}

/// The JSON of an event of the run.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum RunEventJson {
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
    Text {
        code: u32,
        text: String,
    },
    Disconnected,
    Reconnected,
    Missed {
        messages: u64,
    },
    Ended {
        stacks: u32,
        /// The number of stacks that the file asks for, if that is known.
        stacks_expected: Option<u32>,
        /// Whether the instrument reported complete stacks at all.
        stacks_told: bool,
        images: u64,
        images_total: u64,
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
    let connect = connect::connect_to_instrument(
        &args.client.peer,
        &args.client.server.connect,
        args.client.timeout,
    );
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client, Patience::default());
    interrupt.or(check(&microscope, &workflow, &args, out)).await?;
    let view = async { Ok(field_of_view(&microscope, &workflow).await) };
    let stacks = stacks(&workflow, interrupt.or(view).await?);
    // Ctrl-C does not interrupt the upload: only after it is it known whether there is a workflow to
    // stop. A stop at an earlier time could stop the workflow of another client.
    let started = within(UPLOAD, microscope.workflows().start(&workflow)).await;
    let run = started.ok_or_else(|| {
        let limit = humantime::format_duration(UPLOAD);
        Failure::new(NO_ANSWER, format!("the instrument did not accept the file within {limit}"))
    })?;
    let mut follower = Follower::new(run?, stacks, out);
    let bytes = workflow.bytes().len();
    follower.report(&RunEventJson::Uploaded { bytes }, || format!("uploaded    {bytes} bytes"))?;
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
    check_result(stacks, &summary)
}

/// Reports findings about the workflow, with the limits of the instrument.
async fn check(
    microscope: &Microscope,
    workflow: &Workflow,
    args: &RunArgs,
    out: &mut Out,
) -> CommandResult {
    let settings = match microscope.settings().load().await {
        Ok(settings) => settings.value,
        Err(error @ (Error::ConnectionLost { .. } | Error::Client { .. })) => {
            return Err(error.into());
        }
        Err(error) => {
            let file = args.file.display();
            return Err(Failure::usage(format!(
                "{file}: the limits of the stage are not known: {error}; nothing was sent; correct the \
                 scope settings"
            )));
        }
    };
    for finding in workflow.check(Some(&settings)) {
        if finding.severity == Severity::Warning {
            note(&format!("warning: {}: {finding}", args.file.display()));
        } else {
            print_finding(out, &args.file, &finding)?;
        }
    }
    Ok(())
}

/// Follows a run and prints its events.
struct Follower<'a> {
    run: Run,
    out: &'a mut Out,
    /// Hidden if stderr is no terminal.
    bar: ProgressBar,
    clock: Clock,
    /// The time of the first progress message, and its number of images.
    first: Option<(Instant, u32)>,
    /// The number of stacks, if the file determines it.
    stacks: Option<u32>,
}

impl<'a> Follower<'a> {
    fn new(run: Run, stacks: Option<u32>, out: &'a mut Out) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} images  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { run, out, bar, clock: Clock::start(), first: None, stacks }
    }

    fn report(&mut self, event: &RunEventJson, text: impl FnOnce() -> String) -> CommandResult {
        // The progress bar must not overwrite the line.
        let (bar, out) = (self.bar.clone(), &mut *self.out);
        bar.suspend(|| out.either(event, text))
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
        if let RunEvent::Text { code, text } = event {
            let (code, text) = (code.0, text.clone());
            let line = format!("message     0x{code:04X} {text:?}");
            return self.report(&RunEventJson::Text { code, text }, || line);
        }
        match *event {
            RunEvent::Started => self.report(&RunEventJson::Started, || "running".to_owned()),
            RunEvent::State(state) => {
                let event = RunEventJson::State { state: state.to_string() };
                self.report(&event, || format!("state       {state}"))
            }
            RunEvent::Progress { done, total } => self.progress(done, total),
            RunEvent::Stack(StackComplete { acquired, expected, errors, acquisition_us }) => {
                let stack = self.run.summary().stacks;
                let event =
                    RunEventJson::Stack { stack, acquired, expected, errors, acquisition_us };
                let seconds = acquisition_us / 1e6;
                self.report(&event, || {
                    let errors = if errors == 0 {
                        String::new()
                    } else {
                        format!(", {}", counted(errors, "error"))
                    };
                    format!(
                        "stack {stack:<5} {acquired} of {} in {seconds:.2} s{errors}",
                        counted(expected, "image")
                    )
                })
            }
            RunEvent::ImagesSaved => self.report(&RunEventJson::ImagesSaved, || "saved".to_owned()),
            RunEvent::Disconnected => {
                note("warning: connection lost; the workflow continues");
                self.report(&RunEventJson::Disconnected, || "connection lost".to_owned())
            }
            RunEvent::Reconnected => {
                self.report(&RunEventJson::Reconnected, || "connected again".to_owned())
            }
            RunEvent::Missed(messages) => {
                note(&format!("warning: {} missed", counted(messages, "message")));
                self.report(&RunEventJson::Missed { messages }, || {
                    format!("missed      {}", counted(messages, "message"))
                })
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
            Some(all) => format!("{} of {}", self.run.summary().stacks, counted(all, "stack")),
            None => counted(self.run.summary().stacks, "stack"),
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
        self.out.object(&RunEventJson::Progress {
            images_done: done,
            images_total: total,
            remaining_ms,
        })
    }

    fn ended(&mut self, summary: &RunSummary) -> CommandResult {
        let elapsed = Duration::from(self.clock.now().since(Instant::default()));
        let RunSummary { images_missing, errors, saved, aborted, missed, .. } = *summary;
        let RunSummary { stacks, images, images_total, .. } = *summary;
        let event = RunEventJson::Ended {
            stacks,
            stacks_expected: self.stacks,
            stacks_told: stacks > 0,
            images,
            images_total,
            images_missing,
            errors,
            saved,
            aborted,
            missed,
            elapsed_ms: milliseconds(elapsed),
        };
        let how = if aborted { "stopped" } else { "done" };
        self.report(&event, || {
            let seconds = elapsed.as_secs_f64();
            let told = if stacks == 0 { " (complete stacks were not told)" } else { "" };
            let (stacks, images) = (counted(stacks, "stack"), counted(images, "image"));
            format!("{how:<11} {stacks}{told}, {images} in {seconds:.1} s")
        })
    }

    /// Stops the workflow after Ctrl-C and waits for its end.
    async fn stop(&mut self) -> Failure {
        self.bar.finish_and_clear();
        let stopped = async {
            self.run.abort().await?;
            self.run.wait().await
        };
        let message = match within(STOPPING, stopped).await {
            Some(Ok(summary)) => {
                // Stderr has this, too, in case stdout is closed.
                let _ = self.ended(&summary);
                format!("interrupted, workflow stopped after {}", done(&summary, self.stacks))
            }
            Some(Err(error)) => format!("interrupted, but: {error}; the workflow may still run"),
            None => "interrupted, but the instrument is not idle yet; check it".to_owned(),
        };
        Failure::new(INTERRUPTED, message)
    }
}

/// Fails if the instrument reported errors or missing images. The counts of stacks and images fail
/// nothing, since not all firmware sends them; a lower count than expected is a warning.
fn check_result(expected: Option<u32>, summary: &RunSummary) -> CommandResult {
    let RunSummary { errors, images_missing, stacks, images, images_total, missed, .. } = *summary;
    if errors > 0 || images_missing > 0 {
        let (errors, missing) = (counted(errors, "error"), counted(images_missing, "image"));
        let message = format!("the workflow ended with {errors}, {missing} missing");
        return Err(Failure::new(REFUSED, message));
    }
    let fewer_stacks = stacks > 0 && expected.is_some_and(|expected| stacks < expected);
    if missed == 0 && (fewer_stacks || images < images_total) {
        note(&format!(
            "warning: the instrument is idle after {}; did another client stop the workflow?",
            done(summary, expected)
        ));
    }
    Ok(())
}

/// Images and stacks, with their expected numbers where these are known.
fn done(summary: &RunSummary, expected: Option<u32>) -> String {
    let RunSummary { stacks, images, images_total, .. } = *summary;
    let images = match images_total {
        0 => counted(images, "image"),
        total => format!("{images} of {}", counted(total, "image")),
    };
    let stacks = match expected {
        Some(expected) => format!("{stacks} of {}", counted(expected, "complete stack")),
        None => counted(stacks, "complete stack"),
    };
    format!("{images} and {stacks}")
}

/// The number of stacks, if the workflow runs once and the file and the field of view determine it.
fn stacks(workflow: &Workflow, view: Option<FieldOfView>) -> Option<u32> {
    let once = matches!(workflow.repetitions(), Ok(1));
    workflow.stacks(view).ok().flatten().filter(|_| once)
}
