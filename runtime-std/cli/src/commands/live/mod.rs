//! `flamingo live`: receives images. It starts and stops the live view, or only listens.
//!
//! ```text
//! args.rs        the arguments
//! source.rs      what is known about an image, and when there are no more: asked, or by listening
//! events.rs      positions, and the ends of stacks and of a workflow, from a port that sends without being asked
//! receive.rs     the loop: receive, write, report
//! series_end.rs  what begins a new stack
//! sink.rs        files in a folder, series after series; writers.rs: one writer for each format
//! disk.rs        whether a folder can be written, and what fits
//! report.rs      text and JSON; preview.rs and contact_sheet.rs: pictures
//! ```

mod args;
mod contact_sheet;
mod disk;
mod events;
mod preview;
mod receive;
mod report;
mod series_end;
mod sink;
mod source;
mod totals;
mod writers;

use std::path::Path;

use flamingo_microscope::control_settings::camera_names;
use flamingo_microscope::image_file::Sequence;
use flamingo_microscope::live::LiveStream;
use flamingo_microscope::{Error, LiveUpdates, Microscope, Patience, SystemState};

use crate::connect;
use crate::failure::{CommandResult, Failure, USAGE, note};
use crate::interrupt::Interrupt;
use crate::output::Out;
use args::Arrange;
pub(crate) use args::LiveArgs;
use disk::Estimate;
use events::Events;
use receive::Session;
use report::Report;
use sink::Sink;
use source::{Asked, Listening, Source, failure};
use writers::SeriesSettings;

pub(crate) async fn run(args: LiveArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    preview::check("--preview", args.preview.as_deref(), out.json())?;
    preview::check("--thumbnail", args.thumbnail.as_deref(), out.json())?;
    let sink = args.out.as_deref().map(|folder| create_sink(folder, &args)).transpose()?;
    if args.listens() {
        listen(&args, sink, out, interrupt).await
    } else {
        view(&args, sink, out, interrupt).await
    }
}

/// Everything that can be wrong with the folder is found here, before anything is sent.
fn create_sink(folder: &Path, args: &LiveArgs) -> CommandResult<Sink> {
    let cameras = args.control_settings.as_deref().map(read_camera_names).transpose()?;
    disk::check_writable(folder)?;
    let sequence = match args.arrangement() {
        Arrange::Time => Sequence::Time,
        Arrange::Stacks | Arrange::Position => Sequence::Positions,
    };
    let settings = SeriesSettings {
        kind: if args.listening.stack { "stack" } else { "live" },
        numbered: args.arrangement() == Arrange::Stacks,
        sequence,
        cameras: cameras.unwrap_or_default(),
    };
    Ok(Sink::create(folder, args.format, settings))
}

fn read_camera_names(file: &Path) -> CommandResult<Vec<(u32, String)>> {
    let failed =
        |error: String| Failure::usage(format!("--control-settings: {}: {error}", file.display()));
    let text = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    let names = camera_names(&text).map_err(|error| failed(error.to_string()))?;
    if names.is_empty() {
        let expected = "expected the section <Attached devices> with `Attached camera 1 = 1` and \
            `Name camera 1 = NAME`, found no camera that is attached and has a name";
        return Err(failed(expected.to_owned()));
    }
    Ok(names)
}

/// Receives what another program has started. Nothing is sent, so there is no control connection.
async fn listen(
    args: &LiveArgs,
    sink: Option<Sink>,
    out: &mut Out,
    interrupt: &Interrupt,
) -> CommandResult {
    let events = match &args.listening.events {
        Some(address) => Some(interrupt.or(Events::connect(address)).await?),
        None => None,
    };
    let address = args.address()?;
    let connect = async {
        LiveStream::connect(&address, args.options()).await.map_err(|error| failure(&error))
    };
    let mut stream = interrupt.or(connect).await?;
    let mut report = Report::new(args, out);
    let ended = Session {
        args,
        source: Source::Listening(Listening { events }),
        stream: &mut stream,
        sink,
        stacks: args.stacks(),
        report: &mut report,
        interrupt,
    };
    let ended = Box::pin(ended.run()).await;
    let stats = stream.stats();
    drop(stream);
    let reported = report.end(&stats);
    ended.and(reported)
}

/// Receives the images of the live view, which is started if it is not on.
async fn view(
    args: &LiveArgs,
    sink: Option<Sink>,
    out: &mut Out,
    interrupt: &Interrupt,
) -> CommandResult {
    let connect = connect::connect_to_instrument(
        &args.client.peer,
        &args.client.server.connect,
        args.client.timeout,
    );
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client, Patience::default());
    let (start_view, asked, mut stream) = Box::pin(interrupt.or(begin(&microscope, args))).await?;
    let mut report = Report::new(args, out);
    // From here on Ctrl-C only ends the wait for images, so that a live view that was started is stopped.
    let camera = microscope.camera();
    let started =
        if start_view { camera.start_live_view(LiveUpdates::Always).await } else { Ok(()) };
    let refused = matches!(started, Err(Error::Busy { .. } | Error::Refused { .. }));
    let ended = match started {
        Ok(()) => {
            let session = Session {
                args,
                source: Source::Asked(Box::new(asked)),
                stream: &mut stream,
                sink,
                stacks: args.stacks(),
                report: &mut report,
                interrupt,
            };
            Box::pin(session.run()).await
        }
        Err(error) => Err(error.into()),
    };
    // Nothing reads the port any more, so it is closed before the view is stopped.
    let stats = stream.stats();
    drop(stream);
    let stopped = if start_view && !refused { camera.stop_live_view().await } else { Ok(()) };
    let reported = report.end(&stats);
    ended?;
    stopped
        .map_err(|error| Failure::new(error.exit_code(), format!("stop of live view: {error}")))?;
    reported
}

/// Connects to the live port. The first value says whether the live view must be started.
async fn begin(
    microscope: &Microscope,
    args: &LiveArgs,
) -> CommandResult<(bool, Asked, LiveStream)> {
    let state = microscope.state().await?.value;
    if state == SystemState::WorkflowRunning {
        let message = "live view: a workflow runs, and starting the live view between workflows \
            crashes the instrument; wait for its end, or receive its images with --stack (nothing was \
            sent)";
        return Err(Failure::new(USAGE, message));
    }
    let camera = microscope.camera();
    let asked = Asked {
        microscope: microscope.clone(),
        pixel_size: known("pixel size", camera.pixel_size().await)?,
        exposure: known("exposure", camera.exposure().await)?,
        pose_tracker: microscope.stage().pose_tracker().await?,
    };
    if let (Some(folder), Some(images)) = (&args.out, args.count)
        && let Ok(size) = camera.image_size().await
        && let Some(size) = size.value
    {
        let estimate = Estimate { images, size: [size.width, size.height], format: args.format };
        estimate.check(folder, args.ignore_space, USAGE)?;
    }
    let stream = LiveStream::connect(&args.address()?, args.options())
        .await
        .map_err(|error| failure(&error))?;
    let start_view = !args.snapshot && state != SystemState::LiveView;
    Ok((start_view, asked, stream))
}

/// Images are useful without this value, so a failure is only a warning, unless the connection is lost.
fn known<T>(
    what: &str,
    reading: Result<flamingo_microscope::Reading<T>, Error>,
) -> CommandResult<Option<T>> {
    match reading {
        Ok(reading) => Ok(Some(reading.value)),
        Err(error @ Error::ConnectionLost { .. }) => Err(error.into()),
        Err(error) => {
            note(&format!("warning: {what} not known: {error}"));
            Ok(None)
        }
    }
}
