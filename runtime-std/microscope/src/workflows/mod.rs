//! Workflows at the instrument: check, start, join, abort.
//!
//! Following a workflow to its end is in `run.rs`, its events are in `run_events.rs`. What a
//! workflow file contains is in `files/workflow/`.

mod run;
mod run_events;

use flamingo_protocol_core::{CommandCode, Frame};

pub use run::Run;
pub use run_events::{RunEvent, RunSummary, StackComplete};

use crate::answers::{succeeded, text_of};
use crate::files::workflow::{Severity, Workflow};
use crate::{Error, Microscope, SystemState};

/// The workflows of a [`Microscope`].
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::workflow::Workflow;
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// let file = b"<Workflow Settings>\n<Stack Settings>\nNumber of planes = 5\n</Stack Settings>\n\
///     <Start Position>\nX (mm) = 7.5\nY (mm) = 15\nZ (mm) = 19\nAngle (degrees) = 0\n\
///     </Start Position>\n</Workflow Settings>\n";
/// let workflow = Workflow::parse(file)?;
/// let mut run = microscope.workflows().start(&workflow).await?;
/// let summary = run.wait().await?;
/// assert_eq!((summary.stacks, summary.images), (1, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Workflows {
    microscope: Microscope,
}

/// The report of the instrument about a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackReport {
    /// The text of the report.
    pub text: String,
    /// Whether the instrument would run it: there is a text, and it does not contain "hard limit".
    /// Older firmware uses the code for something else; its empty report is no approval.
    pub accepted: bool,
}

impl Workflows {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// Lets the instrument check a workflow: CAMERA_CHECK_STACK (0x302B). The file is sent and a
    /// report comes back. Nothing moves.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn check(&self, workflow: &Workflow) -> Result<StackReport, Error> {
        let what = "check of the workflow";
        let client = self.microscope.client();
        let frame = Frame::command(CommandCode::CAMERA_CHECK_STACK);
        let answer = client.upload(frame, workflow.bytes(), client.timeout()).await;
        let answer = succeeded(what, answer.map_err(|error| Error::of(what, error))?)?;
        let payload = String::from_utf8_lossy(&answer.payload).into_owned();
        let text = if payload.is_empty() { text_of(&answer) } else { payload };
        let told = !text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).is_empty();
        let accepted = told && !text.to_ascii_lowercase().contains("hard limit");
        Ok(StackReport { text, accepted })
    }

    /// Uploads a workflow, CAMERA_WORK_FLOW_START (0x3004), and returns the run. The frame and the
    /// file are sent as one, and the bytes of the file are not changed. The run listens before
    /// anything is sent.
    ///
    /// Before that, the file is checked against the limits of the scope settings, and the system
    /// state is asked for.
    ///
    /// # Errors
    /// [`Error::Workflow`]: the file has errors. [`Error::Busy`]: another workflow runs. In both
    /// cases nothing was sent. [`Error::ConnectionLost`]: the workflow may run. If the instrument
    /// refuses the workflow, [`Run::next`] and [`Run::wait`] return the refusal.
    pub async fn start(&self, workflow: &Workflow) -> Result<Run, Error> {
        let what = "start of the workflow";
        let settings = self.microscope.settings().get().await?;
        let findings = workflow.check(Some(&settings)).into_iter();
        let errors = findings.filter(|finding| finding.severity == Severity::Error);
        let findings: Vec<_> = errors.map(|finding| finding.to_string()).collect();
        if !findings.is_empty() {
            return Err(Error::Workflow { findings });
        }
        self.microscope.not_while_running(what).await?;
        let run = Run::before_upload(&self.microscope);
        let frame = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
        let sent = self.microscope.client().send_with_payload(frame, workflow.bytes()).await;
        sent.map_err(|error| Error::of(what, error))?;
        Ok(run)
    }

    /// Follows a workflow that is already running, started by any client.
    ///
    /// # Errors
    /// [`Error::Unsupported`]: no workflow runs. [`Error::Timeout`], [`Error::Refused`],
    /// [`Error::ConnectionLost`].
    pub async fn join(&self) -> Result<Run, Error> {
        let run = Run::joined(&self.microscope);
        match self.microscope.state().await?.value {
            SystemState::WorkflowRunning => Ok(run),
            state => Err(Error::Unsupported {
                what: "following a workflow".to_owned(),
                why: format!("no workflow runs, the instrument is in state {state}"),
            }),
        }
    }

    /// Stops the workflow that runs: CAMERA_WORK_FLOW_STOP (0x3005). It is sent without
    /// TRIGGER_CALL_BACK, and the instrument acknowledges it nevertheless. The run then reports
    /// the end.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`]: the workflow may still
    /// run.
    pub async fn abort(&self) -> Result<(), Error> {
        let frame = Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP);
        self.microscope.ask("stop of the workflow", frame).await.map(|_| ())
    }
}
