//! A workflow followed to its end: what the instrument tells of it, and when it is over.
//!
//! SYSTEM_STATE_IDLE is the one completion, and only behind SYSTEM_STATE_WORK_FLOW_RUNNING.

use std::time::Duration;

use flamingo_protocol_core::{Class, CommandCode, Instant};
use smol::{Timer, future};

use crate::{Error, Microscope, SystemState};
use flamingo_runtime_std::Error as ClientError;
use flamingo_runtime_std::{Event, EventFrame, Subscription};

/// Everything that tells of a workflow.
const CODES: [CommandCode; 10] = [
    CommandCode::CAMERA_WORK_FLOW_START,
    CommandCode::CAMERA_STACK_COMPLETE,
    CommandCode::UI_SET_GAUGE_SIZE,
    CommandCode::UI_SET_GAUGE_VALUE,
    CommandCode::UI_IMAGES_SAVED_TO_STORAGE,
    CommandCode::SYSTEM_STATE_DISCONNECTED,
    CommandCode::SYSTEM_STATE_IDLE,
    CommandCode::SYSTEM_STATE_SNAP_SHOT,
    CommandCode::SYSTEM_STATE_LIVE_VIEW,
    CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING,
];

/// What happens in a workflow.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RunEvent {
    /// SYSTEM_STATE_WORK_FLOW_RUNNING.
    Started,
    /// The state of the system that was broadcast and is neither its start nor its end, such as an
    /// IDLE that is older than the workflow.
    State(SystemState),
    /// The gauge: images that are done, and all of them. It never goes back.
    Progress {
        /// Done.
        done: u32,
        /// All.
        total: u32,
    },
    /// CAMERA_STACK_COMPLETE.
    Stack(StackComplete),
    /// UI_IMAGES_SAVED_TO_STORAGE.
    ImagesSaved,
    /// The connection was lost; the workflow goes on without us. Only where the client connects
    /// again.
    Disconnected,
    /// There is a connection again, and the workflow still runs.
    Reconnected,
    /// This many messages were not taken in time, and are lost.
    Missed(u64),
}

/// A stack that was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StackComplete {
    /// Images that were acquired.
    pub acquired: i32,
    /// Images that should have been.
    pub expected: i32,
    /// Errors.
    pub errors: i32,
    /// How long it took, in µs.
    pub acquisition_us: f64,
}

/// A workflow that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunSummary {
    /// Stacks that were told complete.
    pub stacks: u32,
    /// Images acquired in them.
    pub images: u64,
    /// Images that they miss.
    pub images_missing: u64,
    /// Errors in them.
    pub errors: u64,
    /// Whether the images were told saved.
    pub saved: bool,
    /// Whether it was stopped by [`Run::abort`]: the stop was sent, and not refused.
    pub aborted: bool,
    /// Messages that were lost, because they were not taken in time or the connection was gone:
    /// above 0 the counts here are too small.
    pub missed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Uploaded at this time; an IDLE is a stale one.
    Uploaded(Instant),
    Running,
    /// Without a connection; whether it had begun before.
    Away {
        began: bool,
    },
    Over,
}

/// A workflow that was started or joined. Dropping it does not stop the workflow.
#[derive(Debug)]
pub struct Run {
    microscope: Microscope,
    events: Subscription,
    phase: Phase,
    /// As the gauge says.
    progress: (u32, u32),
    summary: RunSummary,
    /// When to ask for the state, if nothing is heard before.
    look_at: Option<Instant>,
    /// What the instrument said when it was asked, and what came before that was not taken yet.
    asked: Option<SystemState>,
    /// A stop was acknowledged.
    stopped: bool,
    /// It is counted among those of the microscope.
    counted: bool,
}

impl Run {
    /// Of a workflow that is uploaded next.
    pub(super) fn armed(microscope: &Microscope) -> Self {
        microscope.run_began();
        let mut run = Self::joined(microscope);
        run.counted = true;
        run.phase = Phase::Uploaded(microscope.client().clock().now());
        run
    }

    /// Of one that runs.
    pub(super) fn joined(microscope: &Microscope) -> Self {
        Self {
            events: microscope.client().subscribe(&CODES),
            microscope: microscope.clone(),
            phase: Phase::Running,
            progress: (0, 0),
            summary: RunSummary::default(),
            look_at: None,
            asked: None,
            stopped: false,
            counted: false,
        }
    }

    /// What happens next; `None` when the workflow is over: the instrument said IDLE after it had
    /// said that it runs. When nothing is heard for [`crate::Patience::workflow_silence`], the state is asked.
    ///
    /// Cancel-safe: what was not returned is returned by the next call.
    ///
    /// # Errors
    /// [`Error::Refused`]: the instrument declined it. [`Error::NotStarted`].
    /// [`Error::ConnectionLost`]: whether it still runs is not known.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, Error> {
        loop {
            if self.phase == Phase::Over {
                return Ok(None);
            }
            // What came before the state was said counts before it.
            let told = if let Some(event) = self.events.try_next() {
                self.heard(event)?
            } else if let Some(state) = self.asked.take() {
                self.said(state)?
            } else {
                self.wait_or_ask().await?
            };
            if told.is_some() {
                return Ok(told);
            }
        }
    }

    /// Waits for an event; when it is due, asks for the state.
    async fn wait_or_ask(&mut self) -> Result<Option<RunEvent>, Error> {
        let now = self.microscope.client().clock().now();
        let span = self.span();
        // However often this is called: what is due is due.
        let due = *self.look_at.get_or_insert(now + span.into());
        let next = async { Some(self.events.next().await) };
        let quiet = async {
            Timer::after(due.since(now).into()).await;
            None
        };
        match future::or(next, quiet).await {
            Some(Some(event)) => self.heard(event),
            Some(None) => Err(self.lost()),
            None => {
                self.ask().await;
                self.look_at = None;
                Ok(None)
            }
        }
    }

    fn heard(&mut self, event: Event) -> Result<Option<RunEvent>, Error> {
        match event {
            Event::Frame(event) => {
                if self.phase == Phase::Running {
                    self.look_at = None;
                }
                self.frame(&event)
            }
            Event::Lagged(missed) => {
                self.summary.missed += missed;
                Ok(Some(RunEvent::Missed(missed)))
            }
            Event::ConnectionLost => {
                let began = matches!(self.phase, Phase::Running | Phase::Away { began: true });
                self.phase = Phase::Away { began };
                self.asked = None;
                self.summary.missed += 1;
                Ok(Some(RunEvent::Disconnected))
            }
            Event::Reconnected if self.is_away() => {
                self.look_at = Some(self.microscope.client().clock().now());
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Until the workflow is over.
    ///
    /// Cancel-safe: what was heard is kept.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn wait(&mut self) -> Result<RunSummary, Error> {
        while self.next().await?.is_some() {}
        Ok(self.summary)
    }

    /// What is known of it so far.
    #[must_use]
    pub fn summary(&self) -> RunSummary {
        self.summary
    }

    /// Stops it: [`crate::Workflows::abort`]. Its end is told by [`Self::wait`].
    ///
    /// # Errors
    /// As [`crate::Workflows::abort`].
    pub async fn abort(&mut self) -> Result<(), Error> {
        let stopped = self.microscope.workflows().abort().await;
        // One that was not answered was sent all the same.
        self.summary.aborted |= matches!(stopped, Ok(()) | Err(Error::Timeout { .. }));
        self.stopped |= stopped.is_ok();
        // An IDLE may be older than the stop, or never come: what never ran has no end.
        self.look_at = Some(self.microscope.client().clock().now());
        stopped
    }

    /// How long it may be quiet.
    fn span(&self) -> Duration {
        let patience = self.microscope.patience();
        match self.phase {
            Phase::Uploaded(_) => patience.workflow_start.min(patience.workflow_silence),
            _ => patience.workflow_silence,
        }
    }

    fn frame(&mut self, event: &EventFrame) -> Result<Option<RunEvent>, Error> {
        let frame = &event.frame;
        let [data0, data1, data2] = frame.int32_data;
        Ok(match frame.code {
            CommandCode::CAMERA_WORK_FLOW_START => return self.answered(event),
            CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING => {
                let before = std::mem::replace(&mut self.phase, Phase::Running);
                match before {
                    Phase::Uploaded(_) | Phase::Away { began: false } => Some(RunEvent::Started),
                    Phase::Away { began: true } => Some(RunEvent::Reconnected),
                    Phase::Running | Phase::Over => None,
                }
            }
            CommandCode::SYSTEM_STATE_IDLE => {
                if self.phase == Phase::Running {
                    self.over();
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
                self.summary.images += u64::try_from(acquired).unwrap_or(0);
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

    /// An echo of the upload: nobody promises one, but what says failure is meant.
    fn answered(&mut self, event: &EventFrame) -> Result<Option<RunEvent>, Error> {
        let waits = matches!(self.phase, Phase::Uploaded(_));
        let from_us = !matches!(event.class, Class::Late { .. });
        if !waits || !from_us || event.frame.status != 0 {
            return Ok(None);
        }
        self.over();
        let reason = String::from_utf8_lossy(event.frame.buffer_bytes()).into_owned();
        let code = event.frame.code;
        Err(Error::Refused { what: "the workflow".to_owned(), code, status: 0, reason })
    }

    /// A gauge that goes back, or beyond its end, is not told.
    fn gauge(&mut self, done: i32, total: i32) -> Option<RunEvent> {
        let (done, total) = (u32::try_from(done).ok()?, u32::try_from(total).ok()?);
        let (before, size) = self.progress;
        let size = size.max(total);
        let done = done.max(before).min(size);
        let told = (done, size) != self.progress;
        self.progress = (done, size);
        told.then_some(RunEvent::Progress { done, total: size })
    }

    /// Asks the instrument what it is doing, since nothing tells.
    async fn ask(&mut self) {
        // An answer that does not come is no end: it is asked again later. That the connection is
        // lost is told by the events.
        if let Ok(state) = self.microscope.state().await {
            self.asked = Some(state.value);
        }
    }

    /// What the instrument is doing, when it was asked.
    fn said(&mut self, state: SystemState) -> Result<Option<RunEvent>, Error> {
        let running = state == SystemState::WorkflowRunning;
        match self.phase {
            Phase::Uploaded(_) if running => {
                self.phase = Phase::Running;
                return Ok(Some(RunEvent::Started));
            }
            // It was stopped before it began, and the stop was acknowledged.
            Phase::Uploaded(_) if self.stopped => self.over(),
            Phase::Uploaded(at) => {
                let waited = self.microscope.client().clock().now().since(at);
                let after = self.microscope.patience().workflow_start;
                if Duration::from(waited) >= after {
                    self.over();
                    return Err(Error::NotStarted { state, after });
                }
            }
            Phase::Away { .. } if running => {
                self.phase = Phase::Running;
                return Ok(Some(RunEvent::Reconnected));
            }
            // It may have begun and ended meanwhile; if it begins, that will be told.
            Phase::Away { began: false } => {
                self.phase = Phase::Uploaded(self.microscope.client().clock().now());
            }
            Phase::Running | Phase::Away { .. } if state == SystemState::Idle => self.over(),
            _ => {}
        }
        Ok(None)
    }

    fn is_away(&self) -> bool {
        matches!(self.phase, Phase::Away { .. })
    }

    fn over(&mut self) {
        self.phase = Phase::Over;
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
    /// Nobody looks for its end any more: the state of the system tells from now on.
    fn drop(&mut self) {
        self.uncount();
    }
}
