//! Follows a workflow to its end.
//!
//! The end is SYSTEM_STATE_IDLE after SYSTEM_STATE_WORK_FLOW_RUNNING, and nothing else. What a run
//! reports is in `run_events.rs`; starting and joining are in `mod.rs`.

use std::time::Duration;

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{Class, CommandCode, time::Instant};
use smol::{Timer, future};

use super::run_events::{CODES, RunEvent, RunSummary, StackComplete, unknown_text};
use crate::{Error, Microscope, SystemState};
use flamingo_runtime_std::Error as ClientError;
use flamingo_runtime_std::{Event, EventFrame, Subscription};

/// The number of texts that are kept for an error.
const MOST_TEXTS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Uploaded at this time and not begun. An IDLE is older than the workflow.
    Uploaded(Instant),
    Running,
    /// The connection is lost. Whether the workflow had begun before.
    Disconnected {
        began: bool,
    },
    Ended,
}

/// A workflow that was started or joined. Dropping it does not stop the workflow: use
/// [`Run::abort`].
#[derive(Debug)]
pub struct Run {
    microscope: Microscope,
    events: Subscription,
    /// All codes, for the texts of unknown ones. They are apart from the events, so that pushes of
    /// positions never displace an event.
    texts: Subscription,
    phase: Phase,
    /// Images that are done, and all images, from the progress gauge.
    progress: (u32, u32),
    summary: RunSummary,
    /// The images of complete stacks.
    images_of_stacks: u64,
    /// The texts of unknown codes that came before the workflow began.
    said: Vec<String>,
    /// Whether the start was found by asking: then messages may not come at all.
    asks: bool,
    /// When to ask for the system state, unless a message arrives before.
    ask_at: Option<Instant>,
    /// The state that the instrument answered. Events that arrived before the answer come first.
    answered_state: Option<SystemState>,
    /// Whether the instrument has acknowledged a stop.
    stopped: bool,
    /// Whether the microscope counts this run as one of its own.
    counted: bool,
}

impl Run {
    /// Makes a run for a workflow that is about to be uploaded.
    pub(super) fn before_upload(microscope: &Microscope) -> Self {
        microscope.run_began();
        let mut run = Self::joined(microscope);
        run.counted = true;
        run.phase = Phase::Uploaded(microscope.client().clock().now());
        run
    }

    /// Makes a run for a workflow that is running.
    pub(super) fn joined(microscope: &Microscope) -> Self {
        Self {
            events: microscope.client().subscribe(&CODES),
            texts: microscope.client().subscribe(&[]),
            microscope: microscope.clone(),
            phase: Phase::Running,
            progress: (0, 0),
            summary: RunSummary::default(),
            images_of_stacks: 0,
            said: Vec::new(),
            asks: false,
            ask_at: None,
            answered_state: None,
            stopped: false,
            counted: false,
        }
    }

    /// Waits for the next event; `None` when the workflow has ended: the instrument was IDLE after
    /// it had been running. After [`crate::Patience::workflow_silence`] without a message, the system
    /// state is asked for.
    ///
    /// Cancel-safe: the next call returns the event that this one did not return.
    ///
    /// # Errors
    /// [`Error::Refused`]: the instrument refused the workflow. [`Error::NotStarted`]: it did not
    /// begin within [`crate::Patience::workflow_start`]. [`Error::Timeout`]: by then the instrument
    /// does not answer. [`Error::ConnectionLost`]: it is not known whether it still runs.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, Error> {
        loop {
            if let Some(text) = self.next_text() {
                return Ok(Some(text));
            }
            if self.phase == Phase::Ended {
                return Ok(None);
            }
            // Events that arrived before the answered state come first.
            let next = if let Some(event) = self.events.try_next() {
                self.event(event)?
            } else if let Some(state) = self.answered_state.take() {
                self.state(state)?
            } else {
                self.wait_or_ask().await?
            };
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Waits for an event; asks for the system state when that is due.
    async fn wait_or_ask(&mut self) -> Result<Option<RunEvent>, Error> {
        let now = self.microscope.client().clock().now();
        let span = self.allowed_silence();
        // Kept from call to call: a caller that cancels often does not defer the question.
        let due = *self.ask_at.get_or_insert(now + span.into());
        let next = async { Some(self.events.next().await) };
        let quiet = async {
            Timer::after(due.since(now).into()).await;
            None
        };
        let text = async {
            match self.texts.next().await {
                Some(event) => Ok(event),
                // The other subscription reports the end of the connection.
                None => future::pending().await,
            }
        };
        let first = async { Err(future::or(next, quiet).await) };
        match future::or(text, first).await {
            Ok(event) => Ok(self.text(&event)),
            Err(Some(Some(event))) => self.event(event),
            Err(Some(None)) => Err(self.lost()),
            Err(None) => {
                self.ask().await?;
                self.ask_at = None;
                Ok(None)
            }
        }
    }

    /// The next text of an unknown code that has arrived.
    fn next_text(&mut self) -> Option<RunEvent> {
        loop {
            let event = self.texts.try_next()?;
            let text = self.text(&event);
            if text.is_some() {
                return text;
            }
        }
    }

    fn text(&mut self, event: &Event) -> Option<RunEvent> {
        let Event::Frame(event) = event else { return None };
        let text = unknown_text(event)?;
        if matches!(self.phase, Phase::Uploaded(_)) && self.said.len() < MOST_TEXTS {
            self.said.push(text.clone());
        }
        Some(RunEvent::Text { code: event.frame.code, text })
    }

    fn event(&mut self, event: Event) -> Result<Option<RunEvent>, Error> {
        match event {
            Event::Frame(event) => {
                if self.phase == Phase::Running {
                    self.ask_at = None;
                }
                self.asks = false;
                self.frame(&event)
            }
            Event::Lagged(missed) => {
                self.summary.missed += missed;
                Ok(Some(RunEvent::Missed(missed)))
            }
            Event::ConnectionLost => {
                let began =
                    matches!(self.phase, Phase::Running | Phase::Disconnected { began: true });
                self.phase = Phase::Disconnected { began };
                self.answered_state = None;
                self.summary.missed += 1;
                Ok(Some(RunEvent::Disconnected))
            }
            Event::Reconnected if self.is_disconnected() => {
                self.ask_at = Some(self.microscope.client().clock().now());
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Waits until the workflow has ended, and returns its totals.
    ///
    /// Cancel-safe: a later call continues with the same totals.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn wait(&mut self) -> Result<RunSummary, Error> {
        while self.next().await?.is_some() {}
        Ok(self.summary())
    }

    /// The totals so far.
    #[must_use]
    pub fn summary(&self) -> RunSummary {
        let (done, total) = self.progress;
        let images = self.images_of_stacks.max(done.into());
        RunSummary { images, images_total: total.into(), ..self.summary }
    }

    /// Stops the workflow with [`crate::Workflows::abort`]. Wait for its end with [`Self::wait`].
    ///
    /// # Errors
    /// As [`crate::Workflows::abort`].
    pub async fn abort(&mut self) -> Result<(), Error> {
        let stopped = self.microscope.workflows().abort().await;
        // A stop without an answer was sent nevertheless.
        self.summary.aborted |= matches!(stopped, Ok(()) | Err(Error::Timeout { .. }));
        self.stopped |= stopped.is_ok();
        // The IDLE may be older than the stop, and a workflow that never ran has no IDLE: ask now.
        self.ask_at = Some(self.microscope.client().clock().now());
        stopped
    }

    /// The time without a message after which the system state is asked for.
    fn allowed_silence(&self) -> Duration {
        let patience = self.microscope.patience();
        let often = patience.workflow_poll.min(patience.workflow_silence);
        match self.phase {
            Phase::Uploaded(_) => often.min(patience.workflow_start),
            Phase::Running if self.asks => often,
            _ => patience.workflow_silence,
        }
    }

    fn frame(&mut self, event: &EventFrame) -> Result<Option<RunEvent>, Error> {
        let frame = &event.frame;
        let [data0, data1, data2] = frame.int32_data;
        Ok(match frame.code {
            CommandCode::CAMERA_WORK_FLOW_START => return self.upload_echo(event),
            CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING => {
                let before = std::mem::replace(&mut self.phase, Phase::Running);
                match before {
                    Phase::Uploaded(_) | Phase::Disconnected { began: false } => {
                        Some(RunEvent::Started)
                    }
                    Phase::Disconnected { began: true } => Some(RunEvent::Reconnected),
                    Phase::Running | Phase::Ended => None,
                }
            }
            CommandCode::SYSTEM_STATE_IDLE => {
                if self.phase == Phase::Running {
                    self.ended();
                    return Ok(None);
                }
                Some(RunEvent::State(SystemState::Idle))
            }
            code if SystemState::CODES.contains(&code) => {
                Some(RunEvent::State(SystemState::from_code(code.0 as i32)))
            }
            CommandCode::UI_SET_GAUGE_SIZE | CommandCode::UI_SET_GAUGE_VALUE
                if self.phase == Phase::Running =>
            {
                self.gauge(data0, data1)
            }
            CommandCode::CAMERA_STACK_COMPLETE if self.phase == Phase::Running => {
                let [acquired, expected, errors] = [data0, data1, data2];
                self.summary.stacks += 1;
                self.images_of_stacks += u64::try_from(acquired).unwrap_or(0);
                let missing = expected.saturating_sub(acquired);
                self.summary.images_missing += u64::try_from(missing).unwrap_or(0);
                self.summary.errors += u64::try_from(errors).unwrap_or(0);
                let acquisition_us = frame.value;
                Some(RunEvent::Stack(StackComplete { acquired, expected, errors, acquisition_us }))
            }
            CommandCode::UI_IMAGES_SAVED_TO_STORAGE if self.phase == Phase::Running => {
                self.summary.saved = true;
                Some(RunEvent::ImagesSaved)
            }
            _ => None,
        })
    }

    /// An echo of the upload. The instrument need not send one, but a failure in it counts.
    fn upload_echo(&mut self, event: &EventFrame) -> Result<Option<RunEvent>, Error> {
        let waits = matches!(self.phase, Phase::Uploaded(_));
        let from_us = !matches!(event.class, Class::Late { .. });
        let frame = &event.frame;
        if !waits || !from_us || self.microscope.client().outcome(frame) != Status::Failure {
            return Ok(None);
        }
        self.ended();
        let reason = String::from_utf8_lossy(frame.buffer_bytes()).trim().to_owned();
        let (what, code, status) = ("the workflow".to_owned(), frame.code, frame.status);
        Err(Error::Refused { what, code, status, reason })
    }

    /// Keeps the gauge from going back or beyond its end.
    fn gauge(&mut self, done: i32, total: i32) -> Option<RunEvent> {
        let (done, total) = (u32::try_from(done).ok()?, u32::try_from(total).ok()?);
        let (before, size) = self.progress;
        let size = size.max(total);
        let done = done.max(before).min(size);
        let changed = (done, size) != self.progress;
        self.progress = (done, size);
        changed.then_some(RunEvent::Progress { done, total: size })
    }

    /// Asks the instrument for its state. Without an answer the question is repeated later, unless the
    /// workflow should have begun. The events report a lost connection.
    async fn ask(&mut self) -> Result<(), Error> {
        match self.microscope.state().await {
            Ok(state) => self.answered_state = Some(state.value),
            Err(error @ Error::Timeout { .. }) if self.is_overdue() => {
                self.ended();
                return Err(error);
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Whether the workflow should have begun by now.
    fn is_overdue(&self) -> bool {
        let Phase::Uploaded(at) = self.phase else { return false };
        let waited = self.microscope.client().clock().now().since(at);
        Duration::from(waited) >= self.microscope.patience().workflow_start
    }

    /// The state that the instrument answered.
    fn state(&mut self, state: SystemState) -> Result<Option<RunEvent>, Error> {
        let running = state == SystemState::WorkflowRunning;
        match self.phase {
            Phase::Uploaded(_) if running => {
                self.phase = Phase::Running;
                self.asks = true;
                return Ok(Some(RunEvent::Started));
            }
            // The workflow was stopped before it began.
            Phase::Uploaded(_) if self.stopped => self.ended(),
            Phase::Uploaded(_) if self.is_overdue() => {
                let after = self.microscope.patience().workflow_start;
                self.ended();
                let said = std::mem::take(&mut self.said);
                return Err(Error::NotStarted { state, after, said });
            }
            Phase::Disconnected { .. } if running => {
                self.phase = Phase::Running;
                return Ok(Some(RunEvent::Reconnected));
            }
            // It may have begun and ended meanwhile. If it begins later, an event reports it.
            Phase::Disconnected { began: false } => {
                self.phase = Phase::Uploaded(self.microscope.client().clock().now());
            }
            Phase::Running | Phase::Disconnected { .. } if state == SystemState::Idle => {
                self.ended();
            }
            _ => {}
        }
        Ok(None)
    }

    fn is_disconnected(&self) -> bool {
        matches!(self.phase, Phase::Disconnected { .. })
    }

    fn ended(&mut self) {
        self.phase = Phase::Ended;
        self.uncount();
    }

    fn uncount(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.microscope.run_ended();
        }
    }

    fn lost(&self) -> Error {
        let address = self.microscope.client().address();
        let source = ClientError::lost(address, "whether the workflow still runs is not known");
        Error::ConnectionLost { what: "following the workflow".to_owned(), source }
    }
}

impl Drop for Run {
    /// The end is no longer known here; from now on the system state is asked for.
    fn drop(&mut self) {
        self.uncount();
    }
}
