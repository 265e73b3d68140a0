//! One workflow of a queue: the check before it is sent, and following it to its end.

use std::path::Path;
use std::time::Duration;

use flamingo_microscope::workflow::{Severity, Workflow};
use flamingo_microscope::{Error, Microscope, Run, RunEvent, RunSummary};
use smol::future::or;

use super::control::Control;
use super::state::Stage;
use crate::commands::workflow::read_file;
use crate::connect::within;
use crate::failure::{CommandResult, Failure, note};
use crate::output::counted;

/// The time limit for the end of a workflow that was stopped.
const STOPPING: Duration = Duration::from_secs(10);

/// How following a workflow ended.
pub(super) enum Ending {
    /// This is known about it, with a note for people.
    Known(Stage, String),
    /// The connection is lost, and the workflow may go on.
    Lost(String),
}

/// Follows a run. `began` is called when the instrument reports that it runs.
pub(super) async fn follow(
    run: &mut Run,
    control: &mut Control<'_>,
    mut began: impl FnMut() -> CommandResult,
) -> CommandResult<Ending> {
    // The connection was lost, so an IDLE says nothing about the end.
    let mut lost = false;
    loop {
        let pressed = async {
            control.until_stop_now().await;
            None
        };
        let next = async { Some(run.next().await) };
        match or(pressed, next).await {
            None => return Ok(stop(run).await),
            Some(Ok(Some(event))) => match event {
                RunEvent::Started => began()?,
                RunEvent::Disconnected => lost = true,
                RunEvent::Reconnected => lost = false,
                RunEvent::Text { code, text } => note(&format!("message of {code}: {text:?}")),
                _ => {}
            },
            Some(Ok(None)) if lost => return Ok(Ending::Lost("it ended meanwhile".to_owned())),
            Some(Ok(None)) => return Ok(ended(&run.summary())),
            Some(Err(error)) => return Ok(failed(&error)),
        }
    }
}

fn ended(summary: &RunSummary) -> Ending {
    let RunSummary { errors, images_missing, images, images_total, stacks, missed, .. } = *summary;
    if errors > 0 || images_missing > 0 {
        let (errors, missing) = (counted(errors, "error"), counted(images_missing, "image"));
        return Ending::Known(Stage::Failed, format!("it ended with {errors}, {missing} missing"));
    }
    if missed == 0 && images < images_total {
        let note = format!(
            "{images} of {}; another program may have stopped it",
            counted(images_total, "image")
        );
        return Ending::Known(Stage::Stopped, note);
    }
    let text = format!("{}, {}", counted(images, "image"), counted(stacks, "stack"));
    Ending::Known(Stage::Done, text)
}

fn failed(error: &Error) -> Ending {
    match error {
        Error::Refused { .. } => Ending::Known(Stage::Failed, error.to_string()),
        // It was sent, and nothing says that it will not begin later.
        Error::NotStarted { .. } => Ending::Known(Stage::Unknown, error.to_string()),
        other => Ending::Lost(other.to_string()),
    }
}

/// Stops the workflow.
async fn stop(run: &mut Run) -> Ending {
    let stopped = async {
        run.abort().await?;
        run.wait().await
    };
    match within(STOPPING, stopped).await {
        Some(Ok(summary)) => {
            let images = counted(summary.images, "image");
            Ending::Known(Stage::Stopped, format!("stopped after {images}"))
        }
        Some(Err(error)) => {
            Ending::Known(Stage::Unknown, format!("it may still run: the stop failed: {error}"))
        }
        None => {
            Ending::Known(Stage::Unknown, "stopped, but the instrument is not idle yet".to_owned())
        }
    }
}

/// Why a workflow cannot be sent.
pub(super) enum Prepared {
    Refused(String),
    Lost,
}

/// Reads a workflow again and checks it with the limits of the instrument.
pub(super) async fn prepared(file: &Path, microscope: &Microscope) -> Result<Workflow, Prepared> {
    let bytes = read_file(file).await.map_err(|failure| match failure {
        Failure::Exit { message, .. } => Prepared::Refused(message),
        Failure::ClosedPipe => Prepared::Lost,
    })?;
    let workflow = Workflow::parse(&bytes).map_err(|error| Prepared::Refused(error.to_string()))?;
    let settings = match microscope.settings().load().await {
        Ok(settings) => settings.value,
        Err(Error::ConnectionLost { .. } | Error::Client { .. } | Error::Timeout { .. }) => {
            return Err(Prepared::Lost);
        }
        Err(error) => {
            return Err(Prepared::Refused(format!(
                "the limits of the stage are not known: {error}"
            )));
        }
    };
    let findings = workflow.check(Some(&settings));
    match findings.iter().find(|finding| finding.severity == Severity::Error) {
        Some(finding) => Err(Prepared::Refused(finding.to_string())),
        None => Ok(workflow),
    }
}
