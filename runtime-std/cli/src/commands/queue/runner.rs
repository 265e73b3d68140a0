//! Runs a queue: connects, sends one workflow after another, and writes down what is known before each step. Following
//! one workflow is in `one_run.rs`, what the user wants meanwhile in `control.rs`.

use std::time::Duration;

use flamingo_microscope::units::{Degrees, Mm, Position};
use flamingo_microscope::{Axis, Error, Microscope, Patience, Run, SystemState};
use flamingo_runtime_std::Clock;
use serde::Serialize;
use smol::future::or;

use super::control::Control;
use super::notices::{Notice, Notices};
use super::one_run::{Ending, Prepared, follow, prepared};
use super::state::{Files, Queue, Stage};
use crate::args::ClientArgs;
use crate::connect::{self, within};
use crate::failure::{CommandResult, Failure, INTERRUPTED, LOST, REFUSED, USAGE, note};
use crate::interrupt::Interrupt;
use crate::output::{Out, rfc3339};

/// How often the state is asked for while another program runs a workflow.
const BUSY: Duration = Duration::from_secs(1);
/// The time limit for an upload.
const UPLOAD: Duration = Duration::from_secs(30);

/// The JSON of what happens.
#[derive(Serialize)]
struct EventJson<'a> {
    event: &'a str,
    number: usize,
    total: usize,
    file: String,
    note: &'a str,
    time: String,
}

pub(super) struct Runner<'a> {
    queue: Queue,
    files: Files,
    client: ClientArgs,
    retry: Duration,
    notices: Notices,
    out: &'a mut Out,
    /// `None` while there is no connection.
    microscope: Option<Microscope>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        queue: Queue,
        files: Files,
        client: ClientArgs,
        retry: Duration,
        notices: Notices,
        out: &'a mut Out,
    ) -> Self {
        Self { queue, files, client, retry, notices, out, microscope: None }
    }

    /// Runs the queue to its end. The exit code says whether a workflow failed or is unknown.
    pub(super) async fn run(mut self, keep_start: bool, interrupt: &Interrupt) -> CommandResult {
        let files = self.files.clone();
        let mut control = Control::new(interrupt, files);
        let ran = Box::pin(self.run_all(keep_start, &mut control)).await;
        let ended = if control.interrupted {
            let message =
                format!("interrupted, {}; go on: flamingo queue resume", self.queue.totals());
            Err(Failure::new(INTERRUPTED, message))
        } else {
            ran.and_then(|()| self.result(control.ending))
        };
        self.tell("queue-ended", self.queue.entries.len().saturating_sub(1), &self.queue.totals());
        self.notices.close().await;
        ended
    }

    async fn run_all(&mut self, keep_start: bool, control: &mut Control<'_>) -> CommandResult {
        if keep_start {
            let Some(microscope) = self.connected(control).await? else { return Ok(()) };
            let pose = microscope.stage().pose().await?;
            self.queue.start = Some([pose.x.0, pose.y.0, pose.z.0, pose.r.0]);
        }
        self.files.write(&self.queue)?;
        self.tell("queue-started", 0, &self.queue.totals());
        for at in 0..self.queue.entries.len() {
            if self.queue.entries[at].stage.is_open() {
                self.resolve(at, control).await?;
                self.check_stop(at, control)?;
            }
        }
        while let Some(at) = self.next_waiting() {
            self.wait_while_paused(at, control).await?;
            if control.ending {
                return Ok(());
            }
            self.run_one(at, control).await?;
            let stage = self.queue.entries[at].stage;
            if self.queue.stop_on_failure && matches!(stage, Stage::Failed | Stage::Unknown) {
                return Ok(());
            }
            self.check_stop(at, control)?;
            if stage != Stage::Waiting && self.next_waiting().is_some() {
                control.wait(self.queue.pause).await;
            }
        }
        self.return_to_start(control).await
    }

    /// Ends the queue if another program has stopped this workflow: somebody at the instrument did, so nothing moves
    /// before a person says so.
    fn check_stop(&self, at: usize, control: &Control<'_>) -> CommandResult {
        if self.queue.entries[at].stage != Stage::Stopped || control.ending {
            return Ok(());
        }
        let totals = self.queue.totals();
        let message =
            format!("{totals}; another program stopped a workflow; go on: flamingo queue resume");
        Err(Failure::new(REFUSED, message))
    }

    fn next_waiting(&self) -> Option<usize> {
        self.queue.entries.iter().position(|entry| entry.stage == Stage::Waiting)
    }

    async fn wait_while_paused(&mut self, at: usize, control: &mut Control<'_>) -> CommandResult {
        if !control.paused {
            return Ok(());
        }
        self.report("paused", at, "go on: flamingo queue resume")?;
        while control.paused && !control.ending {
            control.next_request().await;
        }
        self.report("resumed", at, "")
    }

    /// The exit code of a queue that was not interrupted.
    fn result(&mut self, was_stopped: bool) -> CommandResult {
        let totals = self.queue.totals();
        let (unknown, failed) = (self.queue.count(Stage::Unknown), self.queue.count(Stage::Failed));
        match (unknown, failed) {
            (1.., _) => {
                Err(Failure::new(LOST, format!("{totals}; look at the data of the unknown ones")))
            }
            (0, 1..) => Err(Failure::new(REFUSED, totals)),
            _ if was_stopped => self.out.line_unless_json(&format!("stopped: {totals}")),
            _ => self.out.line_unless_json(&totals),
        }
    }

    fn tell(&mut self, event: &'static str, at: usize, note: &str) {
        let workflow = self.queue.entries.get(at).map(|entry| entry.file.display().to_string());
        self.notices.tell(Notice {
            event,
            workflow: workflow.unwrap_or_default(),
            number: at + 1,
            total: self.queue.entries.len(),
            note: note.to_owned(),
        });
    }

    /// Prints what happened to a workflow, and tells others.
    fn report(&mut self, event: &'static str, at: usize, note: &str) -> CommandResult {
        self.tell(event, at, note);
        let (number, total) = (at + 1, self.queue.entries.len());
        let file = self.queue.entries[at].file.display().to_string();
        let time = rfc3339(Clock::wall());
        let text = format!(
            "{}  {number}/{total}  {event:<8}  {file}{}{note}",
            time.get(11..19).unwrap_or_default(),
            if note.is_empty() { "" } else { ": " }
        );
        self.out.either(&EventJson { event, number, total, file, note, time }, || text)
    }

    /// Writes down a new stage of a workflow before anything else happens, and reports it.
    fn enter(&mut self, at: usize, stage: Stage, note: &str) -> CommandResult {
        let entry = &mut self.queue.entries[at];
        let now = Some(rfc3339(Clock::wall()));
        match stage {
            Stage::Sending => entry.began = now,
            Stage::Done | Stage::Failed | Stage::Unknown | Stage::Stopped => entry.ended = now,
            Stage::Waiting | Stage::Running => {}
        }
        entry.stage = stage;
        note.clone_into(&mut entry.note);
        self.files.write(&self.queue)?;
        match stage {
            Stage::Waiting | Stage::Sending => Ok(()),
            Stage::Running => self.report("started", at, note),
            other => self.report(other.name(), at, note),
        }
    }

    /// A connection; `None` if the queue is to end. It tries again until there is one.
    async fn connected(&mut self, control: &mut Control<'_>) -> CommandResult<Option<Microscope>> {
        if let Some(microscope) = &self.microscope {
            return Ok(Some(microscope.clone()));
        }
        let mut said = false;
        loop {
            let (client, timeout) = (&self.client, self.client.timeout);
            let connect =
                connect::connect_to_instrument(&client.peer, &client.server.connect, timeout);
            match connect.await {
                Ok(client) => {
                    if said {
                        note("connected");
                        self.tell("connected", 0, "");
                    }
                    let microscope = Microscope::over(client, Patience::default());
                    self.microscope = Some(microscope.clone());
                    return Ok(Some(microscope));
                }
                Err(Failure::Exit { code: USAGE, message }) => return Err(Failure::usage(message)),
                Err(Failure::ClosedPipe) => return Err(Failure::ClosedPipe),
                Err(Failure::Exit { message, .. }) if !said => {
                    said = true;
                    let retry = humantime::format_duration(self.retry);
                    note(&format!("warning: {message}; the queue tries again every {retry}"));
                    self.tell("connection-lost", 0, &message);
                }
                Err(_) => {}
            }
            control.wait(self.retry).await;
            if control.ending {
                return Ok(None);
            }
        }
    }

    /// Runs one workflow. It stays [`Stage::Waiting`] if nothing of it was sent and it can be tried again.
    async fn run_one(&mut self, at: usize, control: &mut Control<'_>) -> CommandResult {
        let Some(microscope) = self.connected(control).await? else { return Ok(()) };
        let workflow = match prepared(&self.queue.entries[at].file, &microscope).await {
            Ok(workflow) => workflow,
            Err(Prepared::Refused(why)) => {
                return self.enter(at, Stage::Failed, &format!("{why}; nothing was sent"));
            }
            Err(Prepared::Lost) => return self.lost(control).await,
        };
        match self.until_free(at, &microscope, control).await? {
            Some(true) => {}
            Some(false) => return self.lost(control).await,
            None => return Ok(()),
        }
        // From here on the workflow may begin. The disk knows that before the instrument does.
        self.enter(at, Stage::Sending, "")?;
        let started = within(UPLOAD, microscope.workflows().start(&workflow)).await;
        match started {
            Some(Ok(run)) => self.follow(at, run, control).await,
            Some(Err(error)) => self.not_started(at, &error, control).await,
            None => {
                self.microscope = None;
                self.enter(
                    at,
                    Stage::Unknown,
                    "the instrument did not take all of the file in time",
                )
            }
        }
    }

    /// What an error of the upload says about the workflow.
    async fn not_started(
        &mut self,
        at: usize,
        error: &Error,
        control: &mut Control<'_>,
    ) -> CommandResult {
        match error {
            Error::Busy { .. } => {
                self.enter(at, Stage::Waiting, "")?;
                control.wait(BUSY).await;
                Ok(())
            }
            Error::Workflow { .. } => self.enter(at, Stage::Failed, &error.to_string()),
            Error::Superseded { .. } => self.enter(at, Stage::Stopped, &error.to_string()),
            _ => {
                self.microscope = None;
                self.enter(at, Stage::Unknown, &format!("it may have begun: {error}"))
            }
        }
    }

    /// The connection is lost, and nothing of a workflow was sent.
    async fn lost(&mut self, control: &mut Control<'_>) -> CommandResult {
        self.microscope = None;
        control.wait(self.retry).await;
        Ok(())
    }

    /// Waits until no workflow runs. `Some(false)`: the connection is lost; `None`: the queue is to end.
    async fn until_free(
        &mut self,
        at: usize,
        microscope: &Microscope,
        control: &mut Control<'_>,
    ) -> CommandResult<Option<bool>> {
        let mut said = false;
        loop {
            match microscope.state().await {
                Ok(state) if state.value != SystemState::WorkflowRunning => return Ok(Some(true)),
                Ok(_) => {}
                Err(_) => return Ok(Some(false)),
            }
            if !std::mem::replace(&mut said, true) {
                self.report("busy", at, "another workflow runs; the queue waits for its end")?;
            }
            control.wait(BUSY).await;
            if control.ending {
                return Ok(None);
            }
        }
    }

    /// Follows a workflow to its end, also over lost connections.
    async fn follow(
        &mut self,
        at: usize,
        mut run: Run,
        control: &mut Control<'_>,
    ) -> CommandResult {
        let ending = follow(&mut run, control, || self.enter(at, Stage::Running, "")).await?;
        match ending {
            Ending::Known(stage, note) => self.enter(at, stage, &note),
            Ending::Lost(why) => {
                self.microscope = None;
                note(&format!("warning: connection lost: {why}"));
                self.tell("connection-lost", at, &why);
                self.resolve(at, control).await
            }
        }
    }

    /// Finds out about a workflow that was sent, after the connection or the program was lost. It is never sent again.
    async fn resolve(&mut self, at: usize, control: &mut Control<'_>) -> CommandResult {
        loop {
            let Some(microscope) = self.connected(control).await? else { return Ok(()) };
            let mut run = match microscope.workflows().join().await {
                Ok(run) => run,
                Err(Error::Unsupported { .. }) => {
                    let note = "the connection was lost; no workflow runs now, and it is not known how far it came";
                    return self.enter(at, Stage::Unknown, note);
                }
                Err(_) => {
                    self.lost(control).await?;
                    continue;
                }
            };
            let had_begun = self.queue.entries[at].stage == Stage::Running;
            match follow(&mut run, control, || Ok(())).await? {
                Ending::Lost(_) => self.lost(control).await?,
                Ending::Known(Stage::Done, _) if !had_begun => {
                    let note = "the connection was lost before its begin was reported; a workflow ran after that";
                    return self.enter(at, Stage::Unknown, note);
                }
                Ending::Known(stage, note) => {
                    return self.enter(
                        at,
                        stage,
                        &format!("{note}; the connection was lost meanwhile"),
                    );
                }
            }
        }
    }

    /// Moves the stage back to where it stood when the queue began.
    async fn return_to_start(&mut self, control: &mut Control<'_>) -> CommandResult {
        let Some(start) = self.queue.start else { return Ok(()) };
        let Some(microscope) = self.connected(control).await? else { return Ok(()) };
        let targets: Vec<(Axis, Position)> = Axis::ALL
            .into_iter()
            .zip(start)
            .map(|(axis, at)| match axis {
                Axis::R => (axis, Degrees(at).into()),
                _ => (axis, Mm(at).into()),
            })
            .collect();
        let failed =
            |error: Error| Failure::new(error.exit_code(), format!("return to the start: {error}"));
        let mut motions = microscope.stage().move_together(&targets).await.map_err(failed)?;
        let pressed = async {
            control.until_stop_now().await;
            None
        };
        let moved = async { Some(motions.wait().await) };
        match or(pressed, moved).await {
            Some(moved) => moved.map(drop).map_err(failed)?,
            None => microscope.stage().halt_all().await.map_err(failed)?,
        }
        // It is there: a later resume does not move it again.
        self.queue.start = None;
        self.files.write(&self.queue)
    }
}
