//! `flamingo live`: receives live images; starts and stops the live view.
//!
//! Image files are written in `sink.rs` and `writers.rs`, text and JSON in `report.rs`, the preview in `preview.rs`.

mod preview;
mod report;
mod sink;
mod writers;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use clap::{Args, ValueEnum};
use flamingo_microscope::image_file::ImageFacts;
use flamingo_microscope::live::{LiveError, LiveImage, LiveOptions, LiveStream, Mode};
use flamingo_microscope::units::{Micros, MmPerPixel};
use flamingo_microscope::{Error, LiveUpdates, Microscope, Patience, PoseTracker, SystemState};
use flamingo_runtime_std::ClockStep;
use smol::future::or;

use crate::args::{ClientArgs, duration};
use crate::connect::{self, within};
use crate::failure::{CommandResult, Failure, LOST, NO_ANSWER, PROTOCOL, USAGE, note};
use crate::interrupt::Interrupt;
use crate::output::Out;
use preview::TERMINAL;
use report::Report;
use sink::Sink;
use writers::SeriesSettings;

/// After Ctrl-C, the time limit for the image that is being written.
const LAST_WRITE: Duration = Duration::from_secs(5);
/// After Ctrl-C, the time limit for the end of a file. The end for 100 000 images takes less than 2 s
/// where the disk takes it.
const END: Duration = Duration::from_secs(60);

/// Receive live images, report their rate and brightness, and save them
///
/// The command starts the live view and stops it at the end, also after Ctrl-C. A live view that was
/// on before stays on. While a workflow runs, the command refuses to start. With --out every image is
/// written. If the disk is too slow, images are dropped and counted; receiving never stalls.
#[derive(Debug, Args)]
pub(crate) struct LiveArgs {
    /// End after this many images
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    during: Option<Duration>,

    /// Write the images into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Format of the files; ome-tiff writes all images into one file
    #[arg(long, value_name = "FORMAT", default_value = "ome-tiff", requires = "out")]
    format: Format,

    /// Take one image instead of starting the live view
    #[arg(long, conflicts_with_all = ["count", "during"])]
    snapshot: bool,

    /// Show the last image on the terminal, or write it to FILE as an 8-bit PNG; its contrast is
    /// stretched
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = TERMINAL)]
    preview: Option<PathBuf>,

    /// Process every image, or skip to the newest one [default: every with --out, latest without]
    #[arg(long, value_name = "MODE")]
    mode: Option<ModeName>,

    /// Memory for waiting images with --mode every
    #[arg(long, value_name = "MB", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,

    /// Live port, if it is not the one after the control port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    live_port: Option<u16>,

    #[command(flatten)]
    client: ClientArgs,
}

/// The format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// 16-bit PNG, one file per image
    Png,
    /// 16-bit TIFF, one file per image
    Tiff,
    /// OME-TIFF (BigTIFF), one file for all images
    OmeTiff,
}

/// Which images are processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Every image, within the memory
    Every,
    /// The newest image
    Latest,
}

impl LiveArgs {
    fn options(&self) -> LiveOptions {
        let every = match self.mode {
            Some(mode) => mode == ModeName::Every,
            None => self.out.is_some(),
        };
        let memory_bytes = self.memory as usize * 1_000_000;
        let mode = if every { Mode::Every { memory_bytes } } else { Mode::Latest };
        LiveOptions::default().mode(mode)
    }

    fn address(&self) -> CommandResult<String> {
        let control = &self.client.server.connect;
        let address = connect::live_address(control, self.live_port);
        address.ok_or_else(|| {
            Failure::usage(format!("there is no live port after {control}; use --live-port"))
        })
    }

    fn last(&self) -> Option<u64> {
        if self.snapshot { Some(1) } else { self.count }
    }
}

/// What all images have in common.
struct Setup {
    pixel_size: Option<MmPerPixel>,
    exposure: Option<Micros>,
    pose_tracker: PoseTracker,
}

pub(crate) async fn run(args: LiveArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    preview::check(args.preview.as_deref())?;
    let settings = SeriesSettings { kind: "live", numbered: false };
    let create = |folder| Sink::create(folder, args.format, settings);
    let sink = args.out.as_deref().map(create).transpose()?;
    let connect = connect::connect_to_instrument(
        &args.client.peer,
        &args.client.server.connect,
        args.client.timeout,
    );
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client, Patience::default());
    let (start_view, setup, mut stream) = Box::pin(interrupt.or(begin(&microscope, &args))).await?;
    let mut report = Report::new(&args, out);
    // From here on Ctrl-C only ends the wait for images, so that a live view that was started is stopped.
    let camera = microscope.camera();
    let started =
        if start_view { camera.start_live_view(LiveUpdates::Always).await } else { Ok(()) };
    let refused = matches!(started, Err(Error::Busy { .. } | Error::Refused { .. }));
    let ended = match started {
        Ok(()) => {
            receive(&microscope, &mut stream, setup, sink, &args, &mut report, interrupt).await
        }
        Err(error) => Err(error.into()),
    };
    // Nothing reads the port any more, so it is closed before the view is stopped.
    let stats = stream.stats();
    drop(stream);
    let stopped = if start_view && !refused { camera.stop_live_view().await } else { Ok(()) };
    let reported = report.end(&stats, args.preview.as_deref());
    ended?;
    stopped
        .map_err(|error| Failure::new(error.exit_code(), format!("stop of live view: {error}")))?;
    reported
}

/// Connects to the live port. The first value says whether the live view must be started.
async fn begin(
    microscope: &Microscope,
    args: &LiveArgs,
) -> CommandResult<(bool, Setup, LiveStream)> {
    let state = microscope.state().await?.value;
    if state == SystemState::WorkflowRunning {
        let message = "live view: a workflow runs, and starting the live view between workflows \
            crashes the instrument; wait for its end (nothing was sent)";
        return Err(Failure::new(USAGE, message));
    }
    let camera = microscope.camera();
    let setup = Setup {
        pixel_size: known("pixel size", camera.pixel_size().await)?,
        exposure: known("exposure", camera.exposure().await)?,
        pose_tracker: microscope.stage().pose_tracker().await?,
    };
    let stream = LiveStream::connect(&args.address()?, args.options())
        .await
        .map_err(|error| failure(&error))?;
    let start_view = !args.snapshot && state != SystemState::LiveView;
    Ok((start_view, setup, stream))
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

/// What happens next while images are received.
enum Next {
    Image(Box<LiveImage>),
    /// The time of `--for` has passed.
    Over,
    Failed(Failure),
}

/// Receives images until `--count` or `--for` is reached. A file that was begun is completed.
async fn receive(
    microscope: &Microscope,
    stream: &mut LiveStream,
    mut setup: Setup,
    mut sink: Option<Sink>,
    args: &LiveArgs,
    report: &mut Report<'_>,
    interrupt: &Interrupt,
) -> CommandResult {
    if args.snapshot {
        interrupt.or(async { Ok(microscope.camera().snapshot().await?) }).await?;
    }
    let mut over = pin!(async {
        match args.during {
            Some(time) => drop(smol::Timer::after(time).await),
            None => smol::future::pending().await,
        }
        Next::Over
    });
    let mut first = true;
    let ended = loop {
        let pressed = async {
            interrupt.pressed().await;
            Next::Failed(Failure::interrupted())
        };
        let next = next(stream, microscope, args.client.timeout, first);
        let image = match or(or(pressed, over.as_mut()), next).await {
            Next::Image(image) => image,
            Next::Over => break Ok(()),
            Next::Failed(failure) => break Err(failure),
        };
        first = false;
        match process(*image, &mut setup, &mut sink, report, interrupt).await {
            Ok(taken) if args.last().is_some_and(|count| taken >= count) => break Ok(()),
            Ok(_) => {}
            Err(failure) => break Err(failure),
        }
    };
    // After a failure the images before it are still a complete file.
    let finished = match sink {
        Some(sink) => finish(sink, interrupt).await,
        None => Ok(()),
    };
    // An end that is missing matters more than the reason for the end.
    finished.and(ended)
}

/// Completes the file.
async fn finish(mut sink: Sink, interrupt: &Interrupt) -> CommandResult {
    let file = sink.file().map(Path::to_owned);
    let finish = async { Some(smol::unblock(move || sink.end_series()).await) };
    let finished = or(finish, time_is_over(interrupt, END)).await;
    finished.unwrap_or_else(|| Err(no_end(file.as_deref(), END)))
}

/// The next image. The first one must come within `patience`, a later one while the live view is on.
async fn next(
    stream: &mut LiveStream,
    microscope: &Microscope,
    patience: Duration,
    first: bool,
) -> Next {
    let after = humantime::format_duration(patience);
    loop {
        let message = match within(patience, stream.next_image()).await {
            Some(Ok(Some(image))) => return Next::Image(Box::new(image)),
            Some(Ok(None)) => {
                return Next::Failed(Failure::new(LOST, "the instrument closed the live port"));
            }
            Some(Err(error)) => return Next::Failed(failure(&error)),
            None if first => format!("no image within {after}; is the camera on?"),
            None => match microscope.state().await {
                Ok(state) if state.value == SystemState::LiveView => continue,
                Ok(state) => format!(
                    "no image within {after}, and the instrument is in state {}; did another \
                     program stop the live view?",
                    state.value
                ),
                Err(error) => return Next::Failed(error.into()),
            },
        };
        return Next::Failed(Failure::new(NO_ANSWER, message));
    }
}

/// Writes and reports an image; returns the number of images so far.
async fn process(
    image: LiveImage,
    setup: &mut Setup,
    sink: &mut Option<Sink>,
    report: &mut Report<'_>,
    interrupt: &Interrupt,
) -> CommandResult<u64> {
    let facts = ImageFacts::at(image.received_at)
        .number(image.number)
        .camera(image.header.device)
        .clock_step(ClockStep::now())
        .pixel_size(setup.pixel_size)
        .exposure(setup.exposure)
        .pose(setup.pose_tracker.at(image.received_at).await?);
    let Some(mut writing) = sink.take() else { return report.image(image, &facts, None) };
    let file = writing.file().map(Path::to_owned);
    let write = smol::unblock(move || {
        let written = writing.write(&image, &facts);
        (written, image, writing)
    });
    let written = or(async { Some(write.await) }, time_is_over(interrupt, LAST_WRITE)).await;
    let Some((written, image, writing)) = written else {
        return Err(no_end(file.as_deref(), LAST_WRITE));
    };
    *sink = Some(writing);
    report.image(image, &facts, Some(written?))
}

/// Completes when Ctrl-C was pressed and `limit` has passed since.
async fn time_is_over<T>(interrupt: &Interrupt, limit: Duration) -> Option<T> {
    interrupt.pressed().await;
    smol::Timer::after(limit).await;
    None
}

/// The disk did not take the end of the file in time.
fn no_end(file: Option<&Path>, limit: Duration) -> Failure {
    let limit = humantime::format_duration(limit);
    let left = match file {
        Some(file) => format!(
            "{} has the images so far and can be read, but has no description of them",
            file.display()
        ),
        None => "the last image is not written".to_owned(),
    };
    Failure::new(1, format!("interrupted, and the disk took nothing for {limit}: {left}"))
}

/// The exit code of an error in the stream of images.
fn failure(error: &LiveError) -> Failure {
    let code = match error {
        LiveError::Connect(error) => error.exit_code(),
        LiveError::Header { .. } => PROTOCOL,
        LiveError::CutOff { .. } => LOST,
        _ => 1,
    };
    Failure::new(code, error.to_string())
}
