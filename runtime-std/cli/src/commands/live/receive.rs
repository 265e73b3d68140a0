//! Receives images until the end that the arguments name, writes and reports each, and completes the file.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use flamingo_microscope::image_file::ImageFacts;
use flamingo_microscope::live::{LiveImage, LiveStream};
use smol::future::or;

use super::args::{Arrange, LiveArgs};
use super::disk::Estimate;
use super::report::Report;
use super::series_end::{Arrived, Stacks};
use super::sink::Sink;
use super::source::{Next, Source};
use crate::failure::{CommandResult, Failure, NO_ANSWER, USAGE};
use crate::interrupt::Interrupt;

/// After Ctrl-C, the time limit for the image that is being written.
const LAST_WRITE: Duration = Duration::from_secs(5);
/// After Ctrl-C, the time limit for the end of a file. The end for 100 000 images takes less than 2 s
/// where the disk takes it.
const END: Duration = Duration::from_secs(60);

/// What images are received from, and where they go.
pub(super) struct Session<'a, 'b> {
    pub(super) args: &'a LiveArgs,
    pub(super) source: Source,
    pub(super) stream: &'a mut LiveStream,
    pub(super) sink: Option<Sink>,
    /// Which stack each image belongs to; `None` for a live view.
    pub(super) stacks: Option<Stacks>,
    pub(super) report: &'a mut Report<'b>,
    pub(super) interrupt: &'a Interrupt,
}

impl Session<'_, '_> {
    /// Receives images until `--count`, `--for` or the end of the images is reached. A file that was begun
    /// is completed.
    pub(super) async fn run(mut self) -> CommandResult {
        if let (true, Source::Asked(asked)) = (self.args.snapshot, &self.source) {
            let camera = asked.microscope.camera();
            self.interrupt.or(async { Ok(camera.snapshot().await?) }).await?;
        }
        let ended = self.receive().await;
        // After a failure the images before it are still a complete file.
        let finished = match self.sink.take() {
            Some(sink) => finish(sink, self.interrupt, self.report).await,
            None => Ok(()),
        };
        // An end that is missing matters more than the reason for the end.
        finished.and(ended)
    }

    async fn receive(&mut self) -> CommandResult {
        let (args, interrupt) = (self.args, self.interrupt);
        let mut over = pin!(async {
            match args.during {
                Some(time) => drop(smol::Timer::after(time).await),
                None => smol::future::pending().await,
            }
            Next::Over
        });
        let mut taken = 0;
        loop {
            let pressed = async {
                interrupt.pressed().await;
                Next::Failed(Failure::interrupted())
            };
            let next = self.source.next(self.stream, args, taken == 0);
            let image = match or(or(pressed, over.as_mut()), next).await {
                Next::Image(image) => image,
                Next::Over if taken == 0 && args.listens() => {
                    let message = "no image came; does another program take images?";
                    return Err(Failure::new(NO_ANSWER, message));
                }
                Next::Over => return Ok(()),
                Next::Failed(failure) => return Err(failure),
            };
            if taken == 0 {
                self.check_space(&image)?;
            }
            taken = self.process(*image).await?;
            if args.last().is_some_and(|count| taken >= count) {
                return Ok(());
            }
        }
    }

    /// Checks whether `--count` images like this one fit on the disk. The instrument tells the size of its
    /// images only while it takes images.
    fn check_space(&self, image: &LiveImage) -> CommandResult {
        let (Some(folder), Some(images)) = (&self.args.out, self.args.last()) else {
            return Ok(());
        };
        let size = [image.header.width, image.header.height];
        let code = if self.args.listens() { USAGE } else { 1 };
        let estimate = Estimate { images, size, format: self.args.format };
        estimate.check(folder, self.args.ignore_space, code)
    }

    /// Writes and reports an image; returns the number of images so far.
    async fn process(&mut self, image: LiveImage) -> CommandResult<u64> {
        let mut facts = self.source.facts(&image).await?;
        let mut begins = false;
        if let Some(stacks) = &mut self.stacks {
            let before = stacks.number();
            self.source.take_completed().into_iter().for_each(|it| stacks.complete(it));
            let (header, number, at) = (&image.header, image.number, image.received_at);
            let stack = stacks.number_of(&Arrived { header, number, at, pose: facts.pose });
            facts = facts.stack(stack);
            begins = stack > before && self.args.arrangement() == Arrange::Stacks;
        }
        let Some(writing) = self.sink.take() else { return self.report.image(image, &facts, None) };
        let (written, image, writing) = self.write(writing, image, facts, begins).await?;
        self.report.wrote(&writing);
        self.sink = Some(writing);
        self.report.image(image, &facts, Some(written?))
    }

    /// Writes an image. After Ctrl-C it has only a short time.
    async fn write(
        &self,
        mut writing: Sink,
        image: LiveImage,
        facts: ImageFacts,
        begins_series: bool,
    ) -> CommandResult<(CommandResult<PathBuf>, LiveImage, Sink)> {
        let file = writing.file().map(Path::to_owned);
        let write = smol::unblock(move || {
            let ended = if begins_series { writing.end_series() } else { Ok(()) };
            let written = ended.and_then(|()| writing.write(&image, &facts));
            (written, image, writing)
        });
        let limit = if begins_series { END } else { LAST_WRITE };
        let written = or(async { Some(write.await) }, time_is_over(self.interrupt, limit)).await;
        written.ok_or_else(|| no_end(file.as_deref(), limit))
    }
}

/// Completes the file.
async fn finish(mut sink: Sink, interrupt: &Interrupt, report: &mut Report<'_>) -> CommandResult {
    let file = sink.file().map(Path::to_owned);
    let finish = async {
        let finish = smol::unblock(move || {
            let ended = sink.end_series();
            (ended, sink)
        });
        Some(finish.await)
    };
    let Some((finished, sink)) = or(finish, time_is_over(interrupt, END)).await else {
        return Err(no_end(file.as_deref(), END));
    };
    report.wrote(&sink);
    finished
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
