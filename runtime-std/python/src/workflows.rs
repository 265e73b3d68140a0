//! Workflows: check, start, follow, abort.

use std::sync::Arc;

use flamingo_microscope as typed;
use flamingo_microscope::workflow::Workflow;
use flamingo_microscope::{RunEvent, RunSummary};
use pyo3::prelude::*;
use smol::lock::Mutex;

use crate::call::Call;
use crate::failure::Failure;
use crate::waiting::{seconds, within};

/// The text of a workflow file.
#[derive(FromPyObject)]
pub(crate) enum FileText {
    Text(String),
    Bytes(Vec<u8>),
}

impl FileText {
    fn workflow(self) -> Result<Workflow, Failure> {
        let bytes = match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        };
        let read = Workflow::parse(&bytes);
        read.map_err(|error| Failure::new("WorkflowInvalid", format!("workflow: {error}")))
    }
}

/// The workflows of the instrument.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Workflows(pub(crate) typed::Workflows);

/// The report of the instrument about a workflow.
#[pyclass(module = "flamingo", frozen, get_all)]
pub(crate) struct StackReport {
    text: String,
    /// Whether the instrument would run it.
    accepted: bool,
}

#[pymethods]
impl Workflows {
    /// Lets the instrument check a workflow. Nothing moves.
    fn check(&self, workflow: FileText) -> Result<Call, Failure> {
        let (workflows, workflow) = (self.0.clone(), workflow.workflow()?);
        Ok(Call::new(async move {
            let typed::StackReport { text, accepted } = workflows.check(&workflow).await?;
            Ok::<_, typed::Error>(StackReport { text, accepted })
        }))
    }

    /// Uploads a workflow, which starts it.
    fn start(&self, workflow: FileText) -> Result<Call, Failure> {
        let (workflows, workflow) = (self.0.clone(), workflow.workflow()?);
        Ok(Call::new(async move {
            let run = workflows.start(&workflow).await?;
            Ok::<_, typed::Error>(Run::new(run, workflows))
        }))
    }

    /// Follows a workflow that is already running.
    fn join(&self) -> Call {
        let workflows = self.0.clone();
        Call::new(async move {
            let run = workflows.join().await?;
            Ok::<_, typed::Error>(Run::new(run, workflows))
        })
    }

    /// Stops the workflow that runs.
    fn abort(&self) -> Call {
        let workflows = self.0.clone();
        Call::new(async move { workflows.abort().await })
    }
}

/// A workflow that was started or joined.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Run {
    run: Arc<Mutex<typed::Run>>,
    workflows: typed::Workflows,
}

impl Run {
    fn new(run: typed::Run, workflows: typed::Workflows) -> Self {
        Self { run: Arc::new(Mutex::new(run)), workflows }
    }
}

#[pymethods]
impl Run {
    /// The next event; `None` when the workflow has ended.
    fn next(&self) -> Call {
        let run = Arc::clone(&self.run);
        Call::new(async move {
            let event = run.lock().await.next().await?;
            Ok::<_, typed::Error>(event.map(PyRunEvent))
        })
    }

    /// Waits until the workflow has ended, and returns its totals. It goes on if the wait is cancelled.
    #[pyo3(signature = (*, timeout = None))]
    fn wait(&self, timeout: Option<f64>) -> Result<Call, Failure> {
        let run = Arc::clone(&self.run);
        let limit = timeout.map(|time| seconds("timeout", time)).transpose()?;
        Ok(Call::new(async move {
            within(limit, "workflow", async {
                let summary = run.lock().await.wait().await?;
                Ok(PyRunSummary(summary))
            })
            .await
        }))
    }

    /// Stops the workflow. Wait for its end afterwards.
    fn abort(&self) -> Call {
        let (run, workflows) = (Arc::clone(&self.run), self.workflows.clone());
        Call::new(async move {
            match run.try_lock() {
                Some(mut run) => run.abort().await,
                // Somebody waits for its end.
                None => workflows.abort().await,
            }
        })
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(&self) -> Call {
        let run = Arc::clone(&self.run);
        Call::new(async move {
            let event = run.lock().await.next().await?;
            event.map(PyRunEvent).ok_or_else(Failure::end_of_iteration)
        })
    }
}

/// What happens during a workflow.
#[pyclass(name = "RunEvent", module = "flamingo", frozen)]
pub(crate) struct PyRunEvent(RunEvent);

#[pymethods]
impl PyRunEvent {
    /// "started", "state", "progress", "stack", "images_saved", "text", "disconnected", "reconnected" or "missed".
    #[getter]
    fn kind(&self) -> &'static str {
        match &self.0 {
            RunEvent::Started => "started",
            RunEvent::State(_) => "state",
            RunEvent::Progress { .. } => "progress",
            RunEvent::Stack(_) => "stack",
            RunEvent::ImagesSaved => "images_saved",
            RunEvent::Text { .. } => "text",
            RunEvent::Disconnected => "disconnected",
            RunEvent::Reconnected => "reconnected",
            RunEvent::Missed(_) => "missed",
            _ => "other",
        }
    }

    /// Images that are done, of the kind "progress"; acquired, of the kind "stack"; messages, of the kind "missed".
    #[getter]
    fn done(&self) -> Option<i64> {
        match &self.0 {
            RunEvent::Progress { done, .. } => Some((*done).into()),
            RunEvent::Stack(stack) => Some(stack.acquired.into()),
            RunEvent::Missed(messages) => i64::try_from(*messages).ok(),
            _ => None,
        }
    }

    /// All images, of the kind "progress"; expected, of the kind "stack".
    #[getter]
    fn total(&self) -> Option<i64> {
        match &self.0 {
            RunEvent::Progress { total, .. } => Some((*total).into()),
            RunEvent::Stack(stack) => Some(stack.expected.into()),
            _ => None,
        }
    }

    /// The state, or the text, of these kinds.
    #[getter]
    fn text(&self) -> Option<String> {
        match &self.0 {
            RunEvent::State(state) => Some(state.to_string()),
            RunEvent::Text { text, .. } => Some(text.clone()),
            _ => None,
        }
    }

    fn __repr__(&self) -> String {
        format!("<RunEvent {:?}>", self.0)
    }
}

/// The totals of a workflow.
#[pyclass(name = "RunSummary", module = "flamingo", frozen)]
pub(crate) struct PyRunSummary(RunSummary);

#[pymethods]
impl PyRunSummary {
    #[getter]
    fn stacks(&self) -> u32 {
        self.0.stacks
    }

    #[getter]
    fn images(&self) -> u64 {
        self.0.images
    }

    #[getter]
    fn images_total(&self) -> u64 {
        self.0.images_total
    }

    #[getter]
    fn images_missing(&self) -> u64 {
        self.0.images_missing
    }

    #[getter]
    fn errors(&self) -> u64 {
        self.0.errors
    }

    #[getter]
    fn saved(&self) -> bool {
        self.0.saved
    }

    #[getter]
    fn aborted(&self) -> bool {
        self.0.aborted
    }

    #[getter]
    fn missed(&self) -> u64 {
        self.0.missed
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}
