//! What is known about the images besides their pixels, and when there are no more: from answers of the
//! instrument, or without sending anything.

use std::time::Duration;

use flamingo_microscope::image_file::ImageFacts;
use flamingo_microscope::live::{LiveError, LiveImage, LiveStream};
use flamingo_microscope::units::{Micros, MmPerPixel};
use flamingo_microscope::{Microscope, PoseTracker, SystemState};
use flamingo_runtime_std::ClockStep;
use smol::future::or;

use super::args::LiveArgs;
use super::events::{Completed, Events};
use crate::connect::within;
use crate::failure::{CommandResult, Failure, LOST, NO_ANSWER, PROTOCOL};

/// When the workflow has ended, the images that are on their way come within this time.
const ON_THEIR_WAY: Duration = Duration::from_secs(1);

/// What happens next while images are received.
pub(super) enum Next {
    Image(Box<LiveImage>),
    /// There are no more images, as intended.
    Over,
    Failed(Failure),
}

/// Where the facts come from.
pub(super) enum Source {
    /// The instrument, which answers.
    Asked(Box<Asked>),
    /// Nothing is sent.
    Listening(Listening),
}

/// An instrument in live view, and what all its images have in common.
pub(super) struct Asked {
    pub(super) microscope: Microscope,
    pub(super) pixel_size: Option<MmPerPixel>,
    pub(super) exposure: Option<Micros>,
    pub(super) pose_tracker: PoseTracker,
}

/// A program that only listens.
pub(super) struct Listening {
    pub(super) events: Option<Events>,
}

impl Source {
    pub(super) async fn facts(&mut self, image: &LiveImage) -> CommandResult<ImageFacts> {
        let facts = ImageFacts::at(image.received_at)
            .number(image.number)
            .camera(image.header.device)
            .clock_step(ClockStep::now());
        Ok(match self {
            Self::Asked(asked) => facts
                .pixel_size(asked.pixel_size)
                .exposure(asked.exposure)
                .pose(asked.pose_tracker.at(image.received_at).await?),
            Self::Listening(listening) => {
                facts.pose(listening.events.as_ref().and_then(|it| it.pose_at(image.received_at)))
            }
        })
    }

    /// The stacks that were reported complete since the last call.
    pub(super) fn take_completed(&self) -> Vec<Completed> {
        match self {
            Self::Asked(_) => Vec::new(),
            Self::Listening(it) => it.events.as_ref().map_or_else(Vec::new, Events::take_completed),
        }
    }

    /// The next image. `first`: no image has come yet.
    pub(super) async fn next(
        &mut self,
        stream: &mut LiveStream,
        args: &LiveArgs,
        first: bool,
    ) -> Next {
        match self {
            Self::Asked(asked) => {
                next_of_view(stream, &asked.microscope, args.client.timeout, first).await
            }
            Self::Listening(listening) => listening.next(stream, args, first).await,
        }
    }
}

/// The next image of a live view. The first one must come within `patience`, a later one while the view
/// is on.
async fn next_of_view(
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

impl Listening {
    /// The next image. The first one may take any time. The images end with the workflow, with a pause of
    /// `--idle`, or when the peer closes the port.
    async fn next(&self, stream: &mut LiveStream, args: &LiveArgs, first: bool) -> Next {
        if !first && args.listening.stack {
            self.events.iter().for_each(Events::workflow_runs);
        }
        let over = async {
            let idle = async {
                match args.listening.idle.filter(|_| !first) {
                    Some(idle) => drop(smol::Timer::after(idle).await),
                    None => std::future::pending().await,
                }
            };
            let ended = async {
                match self.events.as_ref().filter(|_| args.listening.stack) {
                    Some(events) => events.workflow_ended().await,
                    None => std::future::pending().await,
                }
                smol::Timer::after(ON_THEIR_WAY).await;
            };
            or(idle, ended).await;
            Next::Over
        };
        let image = async {
            match stream.next_image().await {
                Ok(Some(image)) => Next::Image(Box::new(image)),
                Ok(None) if first || args.count.is_some() => {
                    Next::Failed(Failure::new(LOST, "the instrument closed the image port"))
                }
                Ok(None) => Next::Over,
                Err(error) => Next::Failed(failure(&error)),
            }
        };
        or(image, over).await
    }
}

/// The exit code of an error in the stream of images.
pub(super) fn failure(error: &LiveError) -> Failure {
    let code = match error {
        LiveError::Connect(error) => error.exit_code(),
        LiveError::Header { .. } => PROTOCOL,
        LiveError::CutOff { .. } => LOST,
        _ => 1,
    };
    Failure::new(code, error.to_string())
}
