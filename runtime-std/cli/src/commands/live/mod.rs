//! `flamingo live`: the live images, counted, saved, shown. Here is who starts and stops the live
//! view; where the images go is `sink.rs`, what is said of them `report.rs`.

mod report;
mod sink;

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use clap::{Args, ValueEnum};
use flamingo_microscope::image_file::ImageFacts;
use flamingo_microscope::live::{LiveError, LiveImage, LiveOptions, LiveStream, Mode};
use flamingo_microscope::units::{Micros, MmPerPixel};
use flamingo_microscope::{Error, LiveUpdates, Microscope, Patience, PoseTracker, SystemState};
use smol::future::or;

use crate::args::{ClientArgs, duration};
use crate::connect::{self, within};
use crate::failure::{CommandResult, Failure, INTERRUPTED, LOST, NO_ANSWER, PROTOCOL, USAGE, note};
use crate::interrupt::Interrupt;
use crate::output::Out;
use report::Report;
use sink::Sink;

/// What `--preview` without a file is.
const TERMINAL: &str = "-";
/// How long, after Ctrl-C, the image that is being written may still take.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Look at the live images: how many, how fast, how bright; and save them
///
/// The live view is started, and stopped again at the end, also by Ctrl-C; one that was on before
/// is left as it is. While a workflow runs it is not started. With --out every image is written, as
/// long as the disk keeps up; what it does not is dropped and counted, and reading never waits.
#[derive(Debug, Args)]
pub(crate) struct LiveArgs {
    /// End after so many images
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    during: Option<Duration>,

    /// Write the images into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// The form of the files; ome-tiff is one file for all of them
    #[arg(long, value_name = "FORMAT", default_value = "ome-tiff", requires = "out")]
    format: Format,

    /// Take one image instead of starting the live view
    #[arg(long, conflicts_with_all = ["count", "during"])]
    snapshot: bool,

    /// Show the last image on the terminal, or write it to FILE as an 8-bit PNG, with its contrast
    /// stretched
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = TERMINAL)]
    preview: Option<PathBuf>,

    /// Every image, or only the newest one while the last one is dealt with
    /// [default: every with --out, latest without]
    #[arg(long, value_name = "MODE")]
    mode: Option<ModeName>,

    /// Megabytes that images which wait may take with --mode every
    #[arg(long, value_name = "MB", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,

    /// The live port, where it is not the one behind the control port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    live_port: Option<u16>,

    #[command(flatten)]
    client: ClientArgs,
}

/// The form of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// 16-bit PNG, a file for each image
    Png,
    /// 16-bit TIFF, a file for each image
    Tiff,
    /// OME-TIFF (BigTIFF), one file
    OmeTiff,
}

/// Which images are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Every one, as far as memory goes
    Every,
    /// The newest one
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
        address.ok_or_else(|| Failure::usage(format!("no live port behind {control}; --live-port")))
    }

    fn last(&self) -> Option<u64> {
        if self.snapshot { Some(1) } else { self.count }
    }
}

/// What every image has in common.
struct Setup {
    pixel_size: Option<MmPerPixel>,
    exposure: Option<Micros>,
    pose_tracker: PoseTracker,
}

pub(crate) async fn run(args: LiveArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    report::check_preview(args.preview.as_deref())?;
    let sink = args.out.as_deref().map(|folder| Sink::create(folder, args.format)).transpose()?;
    let connect = connect::connect(&args.client.server.connect, args.client.timeout);
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client, Patience::default());
    let (ours, setup, mut stream) = Box::pin(interrupt.or(begin(&microscope, &args))).await?;
    let mut report = Report::new(&args, out);
    // From here on Ctrl-C is heard between two steps only: what was started is stopped.
    let camera = microscope.camera();
    let started = if ours { camera.start_live_view(LiveUpdates::Always).await } else { Ok(()) };
    let refused = matches!(started, Err(Error::Busy { .. } | Error::Refused { .. }));
    let ended = match started {
        Ok(()) => look(&microscope, &mut stream, setup, sink, &args, &mut report, interrupt).await,
        Err(error) => Err(error.into()),
    };
    // Nothing more is read from here on: the port is closed before the view is stopped.
    let stats = stream.stats();
    drop(stream);
    let stopped = if ours && !refused { camera.stop_live_view().await } else { Ok(()) };
    let told = report.end(&stats, args.preview.as_deref());
    ended?;
    stopped
        .map_err(|error| Failure::new(error.exit_code(), format!("stop of live view: {error}")))?;
    told
}

/// Connects to the live port; gives whether the live view is to be started, as it is not on.
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
    let ours = !args.snapshot && state != SystemState::LiveView;
    Ok((ours, setup, stream))
}

/// What images can do without is no reason to have none.
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

/// What ends the looking, and what goes on with it.
enum Next {
    Image(Box<LiveImage>),
    /// The time of `--for` is over.
    Over,
    Failed(Failure),
}

/// Takes images until there were enough. What was begun to be written is written to its end.
async fn look(
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
        match deal_with(*image, &mut setup, &mut sink, report, interrupt).await {
            Ok(taken) if args.last().is_some_and(|count| taken >= count) => break Ok(()),
            Ok(_) => {}
            Err(failure) => break Err(failure),
        }
    };
    // Also what was written before it failed is a file.
    let finished = match sink {
        Some(sink) => {
            let finish = async { Some(smol::unblock(move || sink.finish()).await) };
            or(finish, stuck(interrupt)).await.unwrap_or_else(|| Err(disk_takes_nothing()))
        }
        None => Ok(()),
    };
    ended.and(finished)
}

/// The next image. The first one may take `patience`; a later one as long as the live view is on.
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

/// Writes an image, and says so; gives how many were dealt with.
async fn deal_with(
    image: LiveImage,
    setup: &mut Setup,
    sink: &mut Option<Sink>,
    report: &mut Report<'_>,
    interrupt: &Interrupt,
) -> CommandResult<u64> {
    let facts = ImageFacts::at(image.received_at)
        .pixel_size(setup.pixel_size)
        .exposure(setup.exposure)
        .pose(setup.pose_tracker.at(image.received_at).await?);
    let Some(mut writing) = sink.take() else { return report.image(image, &facts, None) };
    let write = smol::unblock(move || {
        let written = writing.write(&image, &facts);
        (written, image, writing)
    });
    let written = or(async { Some(write.await) }, stuck(interrupt)).await;
    let Some((written, image, writing)) = written else { return Err(disk_takes_nothing()) };
    *sink = Some(writing);
    report.image(image, &facts, Some(written?))
}

/// Ctrl-C was pressed, and the disk had its time.
async fn stuck<T>(interrupt: &Interrupt) -> Option<T> {
    interrupt.pressed().await;
    smol::Timer::after(LAST_WRITE).await;
    None
}

fn disk_takes_nothing() -> Failure {
    Failure::new(INTERRUPTED, "interrupted, but the disk takes nothing")
}

/// How a stream of images fails, as an exit code.
fn failure(error: &LiveError) -> Failure {
    let code = match error {
        LiveError::Connect(error) => error.exit_code(),
        LiveError::Header { .. } => PROTOCOL,
        LiveError::CutOff { .. } => LOST,
        _ => 1,
    };
    Failure::new(code, error.to_string())
}
