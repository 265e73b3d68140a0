//! Receives images until the end that the arguments name, writes and reports each, and completes the file.

use std::future::Future;
use std::path::PathBuf;
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
use crate::failure::{CommandResult, Failure, INTERRUPTED, NO_ANSWER, USAGE};
use crate::interrupt::Interrupt;

/// After Ctrl-C, the time in which images that have come are begun. The rest of [`END`] is for the end of
/// the file.
const LAST_IMAGES: Duration = Duration::from_secs(30);
/// After Ctrl-C, the time limit for everything: the images that have come, and the end of the file. The end
/// for 100 000 images takes less than 2 s where the disk takes it.
const END: Duration = Duration::from_mins(1);

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
        let mut ended = self.receive().await;
        if matches!(&ended, Err(Failure::Exit { code: INTERRUPTED, .. })) {
            // Without --count the end by Ctrl-C is the normal one.
            let cut = if self.args.last().is_some() { ended } else { Ok(()) };
            ended = self.write_waiting().await.and(cut);
        }
        // After a failure the images before it are still a complete file.
        let finished = match self.sink.take() {
            Some(sink) => finish(sink, self.interrupt, self.report).await,
            None => Ok(()),
        };
        // An end that is missing matters more than the reason for the end.
        finished.and(ended)
    }

    async fn receive(&mut self) -> CommandResult {
        let during = self.args.during;
        let mut over = pin!(async {
            match during {
                Some(time) => drop(smol::Timer::after(time).await),
                None => smol::future::pending().await,
            }
            Next::Over
        });
        let mut taken = 0;
        loop {
            match self.next(over.as_mut(), taken == 0).await {
                Next::Image(image) => taken = self.take(*image, taken).await?,
                Next::Over => break,
                Next::Failed(failure) => return Err(failure),
            }
            if self.args.last().is_some_and(|count| taken >= count) {
                return Ok(());
            }
        }
        let taken = self.receive_waiting(taken).await?;
        if taken == 0 && self.args.listens() {
            let message = "no image came; does another program take images?";
            return Err(Failure::new(NO_ANSWER, message));
        }
        Ok(())
    }

    /// Takes the images that have come in time and wait. Returns the number of images so far.
    async fn receive_waiting(&mut self, mut taken: u64) -> CommandResult<u64> {
        for _ in 0..self.stream.stats().waiting {
            if self.args.last().is_some_and(|count| taken >= count) {
                break;
            }
            match self.next(std::future::pending(), taken == 0).await {
                Next::Image(image) => taken = self.take(*image, taken).await?,
                Next::Over => break,
                Next::Failed(failure) => return Err(failure),
            }
        }
        Ok(taken)
    }

    /// After Ctrl-C, writes the images that have come. Those that are not begun in time are counted.
    async fn write_waiting(&mut self) -> CommandResult {
        self.stream.close();
        while self.sink.is_some() && self.args.last().is_none_or(|last| self.report.taken() < last)
        {
            let interrupt = self.interrupt;
            let time_is_over = async {
                interrupt.pressed_for(LAST_IMAGES).await;
                Ok(None)
            };
            // The end of the connection that was closed is no failure.
            let Ok(Some(image)) = or(time_is_over, self.stream.next_image()).await else { break };
            self.take(image, self.report.taken()).await?;
        }
        Ok(())
    }

    /// What happens next; `over` is the end that `--for` sets.
    async fn next(&mut self, over: impl Future<Output = Next>, first: bool) -> Next {
        let interrupt = self.interrupt;
        let pressed = async {
            interrupt.pressed().await;
            Next::Failed(Failure::interrupted())
        };
        let next = self.source.next(self.stream, self.args, first);
        or(or(pressed, over), next).await
    }

    /// Takes an image; returns the number of images so far.
    async fn take(&mut self, image: LiveImage, taken: u64) -> CommandResult<u64> {
        if taken == 0 {
            self.check_space(&image)?;
        }
        self.process(image).await
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
        self.report.image(image, &facts, written?)
    }

    /// Writes an image. After Ctrl-C there is a time limit.
    async fn write(
        &self,
        mut writing: Sink,
        image: LiveImage,
        facts: ImageFacts,
        begins_series: bool,
    ) -> CommandResult<(CommandResult<Option<PathBuf>>, LiveImage, Sink)> {
        let files = writing.files();
        let write = smol::unblock(move || {
            let ended = if begins_series { writing.end_series() } else { Ok(()) };
            let written = ended.and_then(|()| writing.write(&image, &facts));
            (written, image, writing)
        });
        let written = or(async { Some(write.await) }, time_is_over(self.interrupt)).await;
        written.ok_or_else(|| no_end(&files))
    }
}

/// Completes the file.
async fn finish(mut sink: Sink, interrupt: &Interrupt, report: &mut Report<'_>) -> CommandResult {
    let files = sink.files();
    let finish = async {
        let finish = smol::unblock(move || {
            let ended = sink.end_series();
            (ended, sink)
        });
        Some(finish.await)
    };
    let Some((finished, sink)) = or(finish, time_is_over(interrupt)).await else {
        return Err(no_end(&files));
    };
    report.wrote(&sink);
    finished
}

/// Completes at the end of the time that is left after Ctrl-C.
async fn time_is_over<T>(interrupt: &Interrupt) -> Option<T> {
    interrupt.pressed_for(END).await;
    None
}

/// The disk did not take the end of the file in time.
fn no_end(files: &[PathBuf]) -> Failure {
    let limit = humantime::format_duration(END);
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let names = names.join(", ");
    let left = match files.first() {
        Some(file) if file.is_dir() => {
            format!("{names} can be read; images of the last second may be missing")
        }
        Some(_) => format!("{names} can be read with the images so far, but without a description"),
        None => "the last image is not written".to_owned(),
    };
    Failure::new(
        1,
        format!("interrupted, and the disk did not take the end within {limit}: {left}"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use clap::Parser;
    use flamingo_protocol_core::image::ImageHeader;

    use super::super::source::Listening;
    use super::*;
    use crate::args::{Cli, Command};
    use crate::output::Out;

    /// Images that have come and wait when the time is over.
    const WAITING: u16 = 20;

    #[test]
    fn images_that_came_in_time_are_taken_after_its_end() {
        smol::block_on(async {
            let peer = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = peer.local_addr().unwrap().to_string();
            let line = ["flamingo", "live", "--listen-only", "--mode", "every"];
            let Some(Command::Live(mut args)) = Cli::parse_from(line).command else {
                unreachable!()
            };
            // The time is over before the first image is taken.
            args.during = Some(Duration::ZERO);
            let mut stream = LiveStream::connect(&address, args.options()).await.unwrap();
            let (mut viewer, _) = peer.accept().unwrap();
            let size = ImageHeader { size: 16, width: 4, height: 2, ..ImageHeader::default() };
            for value in 0..WAITING {
                let pixels = value.to_le_bytes().repeat(8);
                viewer.write_all(&[&size.encode()[..], &pixels].concat()).unwrap();
            }
            while stream.stats().waiting < WAITING.into() {
                smol::Timer::after(Duration::from_millis(1)).await;
            }
            let (mut out, interrupt) = (Out::new(false), Interrupt::never());
            let mut report = Report::new(&args, &mut out);
            let mut session = Session {
                args: &args,
                source: Source::Listening(Listening { events: None }),
                stream: &mut stream,
                sink: None,
                stacks: None,
                report: &mut report,
                interrupt: &interrupt,
            };
            session.receive().await.unwrap();
            assert_eq!(stream.stats().delivered, u64::from(WAITING));
        });
    }
}
