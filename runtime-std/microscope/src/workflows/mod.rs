//! Workflows at the instrument: checked there, started, joined, aborted. Following one to its end
//! is `run.rs`; what stands in the file is `workflow/`.

mod run;

use flamingo_protocol_core::{CommandCode, Frame};

pub use run::{Run, RunEvent, RunSummary, StackComplete};

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

/// What the instrument says about a workflow before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackReport {
    /// Its text.
    pub text: String,
    /// Whether it would run: the text does not speak of a hard limit.
    pub accepted: bool,
}

impl Workflows {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// Has the instrument look at a workflow: CAMERA_CHECK_STACK (0x302B), the file up, a report
    /// down. Nothing moves.
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
        let accepted = !text.to_ascii_lowercase().contains("hard limit");
        Ok(StackReport { text, accepted })
    }

    /// Uploads a workflow (CAMERA_WORK_FLOW_START, 0x3004) and gives the run to follow. Header and
    /// file go out as one, the file's bytes untouched. The run is armed before anything is sent.
    ///
    /// Checked before that: the file against the limits of the scope settings, and the state of
    /// the system.
    ///
    /// # Errors
    /// [`Error::Workflow`] with the findings, [`Error::Busy`]: nothing was sent.
    /// [`Error::ConnectionLost`]: it may run. What the instrument has against it ends the run.
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
        let run = Run::armed(&self.microscope);
        let frame = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
        let sent = self.microscope.client().send_with_payload(frame, workflow.bytes()).await;
        sent.map_err(|error| Error::of(what, error))?;
        Ok(run)
    }

    /// Joins a workflow that runs already, whoever started it.
    ///
    /// # Errors
    /// [`Error::Unsupported`]: none runs.
    pub async fn join(&self) -> Result<Run, Error> {
        let run = Run::joined(&self.microscope);
        match self.microscope.state().await?.value {
            SystemState::WorkflowRunning => Ok(run),
            state => Err(Error::Unsupported {
                what: "following a workflow".to_owned(),
                why: format!("none runs, the instrument is in state {state}"),
            }),
        }
    }

    /// Stops the workflow that runs: CAMERA_WORK_FLOW_STOP (0x3005), sent without
    /// TRIGGER_CALL_BACK and acknowledged all the same. Its end is told to the run.
    ///
    /// # Errors
    /// [`Error::Timeout`]: it was sent, and the workflow may still run; [`Error::Refused`],
    /// [`Error::ConnectionLost`].
    pub async fn abort(&self) -> Result<(), Error> {
        let frame = Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP);
        self.microscope.ask("stop of the workflow", frame).await.map(|_| ())
    }
}
