//! The output of `flamingo live`: a line or a JSON object for each image, and the progress line. The
//! totals are in `totals.rs`.

use std::path::PathBuf;
use std::time::Duration;

use flamingo_microscope::image_file::ImageFacts;
use flamingo_microscope::live::{LiveImage, LiveStats};
use flamingo_microscope::units::Pose;
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::time::Instant;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::args::LiveArgs;
use super::contact_sheet::ContactSheet;
use super::disk::time_text;
use super::preview;
use super::sink::Sink;
use super::totals::{DiskJson, OnDisk, TotalsJson};
use crate::failure::{CommandResult, note};
use crate::output::{Out, milliseconds, rfc3339};

/// The interval between two lines of text.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// The JSON of an image.
#[derive(Serialize)]
struct ImageJson {
    number: u64,
    width: u32,
    height: u32,
    device: u32,
    index_start: i32,
    index_stop: i32,
    scale_min: u32,
    scale_max: u32,
    options: u32,
    min: u16,
    max: u16,
    dropped_before: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_x_mm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_y_mm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_z_mm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_r_deg: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    time: String,
}

pub(super) struct Report<'a> {
    out: &'a mut Out,
    clock: Clock,
    /// Hidden if stderr is no terminal.
    bar: ProgressBar,
    taken: u64,
    written: u64,
    range: Option<(u16, u16)>,
    /// The time and the number of the first image, and of the last one.
    first: Option<(Instant, u64)>,
    last: Option<(Instant, u64)>,
    last_line: Option<Instant>,
    newest: Option<LiveImage>,
    /// Images that were dropped before the last one.
    dropped: u64,
    disk: Option<OnDisk>,
    /// Whether it was said that the disk does not last.
    warned: bool,
    sheet: Option<ContactSheet>,
    args: &'a LiveArgs,
}

impl<'a> Report<'a> {
    pub(super) fn new(args: &'a LiveArgs, out: &'a mut Out) -> Self {
        let bar = args.last().map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let of = if args.last().is_some() { "/{len}" } else { "" };
        let style = ProgressStyle::with_template(&format!("{{pos}}{of} images  {{wide_msg}}"));
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self {
            out,
            clock: Clock::start(),
            bar,
            taken: 0,
            written: 0,
            range: None,
            first: None,
            last: None,
            last_line: None,
            newest: None,
            dropped: 0,
            disk: None,
            warned: false,
            sheet: args.thumbnail.as_ref().map(|_| ContactSheet::new()),
            args,
        }
    }

    /// Reports an image; returns the number of images so far.
    pub(super) fn image(
        &mut self,
        image: LiveImage,
        facts: &ImageFacts,
        file: Option<PathBuf>,
    ) -> CommandResult<u64> {
        let now = self.clock.now();
        self.taken += 1;
        self.dropped += image.dropped_before;
        self.written += u64::from(file.is_some());
        self.first.get_or_insert((now, image.number));
        self.last = Some((now, image.number));
        let (min, max) = min_max(image.pixels());
        let range = self.range.map_or((min, max), |(low, high)| (low.min(min), high.max(max)));
        self.range = Some(range);
        if let Some(sheet) = &mut self.sheet {
            sheet.add(image.number, image.header.width as usize, image.pixels());
        }
        let due =
            self.last_line.is_none_or(|last| Duration::from(now.since(last)) >= LINE_INTERVAL);
        let disk = if due { self.disk_now() } else { None };
        if due {
            self.last_line = Some(now);
        }
        if self.out.json() {
            let record = record(&image, facts, (min, max), file);
            self.out.object(&record)?;
        } else if due {
            let rate = self.rate().map_or(String::new(), |rate| format!("  {rate:.1} images/s"));
            let (width, height) = (image.header.width, image.header.height);
            let (number, dropped) = (image.number, self.dropped);
            let mut line =
                format!("image {number:<6} {width} x {height}  min {min}  max {max}{rate}");
            if let Some(disk) = &disk {
                line = format!("{line}  {dropped} dropped  {disk}");
            }
            let (bar, out) = (self.bar.clone(), &mut *self.out);
            bar.suspend(|| out.line(&line))?;
        }
        if due {
            let rate = self.rate().map_or(String::new(), |rate| format!("{rate:.1} images/s  "));
            let disk = disk.unwrap_or_default();
            self.bar.set_message(format!("{rate}{} dropped  {disk}", self.dropped));
        }
        self.bar.inc(1);
        if self.args.preview.is_some() {
            self.newest = Some(image);
        }
        Ok(self.taken)
    }

    /// The number of images so far.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Received images per second, including dropped ones.
    fn rate(&self) -> Option<f64> {
        let ((begin, first), (end, last)) = (self.first?, self.last?);
        let seconds = Duration::from(end.since(begin)).as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // fewer than 2^52
        (last > first && seconds > 0.0).then(|| (last - first) as f64 / seconds)
    }

    /// How long the images have been coming.
    fn span(&self) -> Duration {
        match (self.first, self.last) {
            (Some((begin, _)), Some((end, _))) => end.since(begin).into(),
            _ => Duration::ZERO,
        }
    }

    /// Notes what is on the disk now.
    pub(super) fn wrote(&mut self, sink: &Sink) {
        self.disk = Some(OnDisk::of(sink));
    }

    /// What the disk has and how long it lasts. Warns once if that is shorter than `--for`.
    fn disk_now(&mut self) -> Option<String> {
        let (span, disk) = (self.span(), self.disk.as_ref()?);
        let left = disk.free().and_then(|free| disk.time_left(free, span));
        let left = left.filter(|_| span >= LINE_INTERVAL);
        let wanted = self.args.during.map(|during| during.saturating_sub(span));
        if let (Some(left), Some(wanted)) = (left, wanted)
            && left < wanted
            && !self.warned
        {
            self.warned = true;
            let [left, wanted] = [left, wanted].map(time_text);
            let warning = format!(
                "warning: at this rate the disk is full in {left}, and --for ends in {wanted}"
            );
            self.bar.suspend(|| note(&warning));
        }
        Some(disk.text(left))
    }

    /// Prints the totals, and shows the pictures.
    pub(super) fn end(&mut self, stats: &LiveStats) -> CommandResult {
        self.bar.finish_and_clear();
        let rate = self.rate();
        #[allow(clippy::cast_precision_loss)] // fewer than 2^52
        let each = (stats.received > 0).then(|| stats.bytes as f64 / stats.received as f64 / 1e6);
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        let totals = TotalsJson {
            received: stats.received,
            taken: self.taken,
            written: self.written,
            dropped: stats.dropped,
            waiting: stats.waiting,
            options: stats.options,
            frames_per_s: rate.map(rounded),
            mb_per_s: rate.zip(each).map(|(rate, each)| rounded(rate * each)),
            min: self.range.map(|(min, _)| min),
            max: self.range.map(|(_, max)| max),
            disk: self.disk.as_ref().map(|disk| DiskJson::of(disk, self.span())),
            elapsed_ms: milliseconds(self.clock.now().since(Instant::default()).into()),
        };
        self.out.either(&totals, || totals.text())?;
        if let (Some(file), Some(image)) = (&self.args.preview, self.newest.take()) {
            preview::show(&image, file, self.out)?;
        }
        match (&self.args.thumbnail, self.sheet.take()) {
            (Some(file), Some(sheet)) => sheet.show(file, self.out),
            _ => Ok(()),
        }
    }
}

fn record(
    image: &LiveImage,
    facts: &ImageFacts,
    (min, max): (u16, u16),
    file: Option<PathBuf>,
) -> ImageJson {
    // A position that is not known is left out.
    let known = |axis: fn(&Pose) -> f64| {
        facts.pose.as_ref().map(axis).filter(|position| position.is_finite())
    };
    ImageJson {
        number: image.number,
        width: image.header.width,
        height: image.header.height,
        device: image.header.device,
        index_start: image.header.index_start,
        index_stop: image.header.index_stop,
        scale_min: image.header.scale_min,
        scale_max: image.header.scale_max,
        options: image.header.options,
        min,
        max,
        dropped_before: image.dropped_before,
        position_x_mm: known(|pose| pose.x.0),
        position_y_mm: known(|pose| pose.y.0),
        position_z_mm: known(|pose| pose.z.0),
        position_r_deg: known(|pose| pose.r.0),
        stack: facts.stack,
        file: file.map(|file| file.display().to_string()),
        time: rfc3339(image.received_at),
    }
}

fn min_max(pixels: &[u16]) -> (u16, u16) {
    let fold = |(low, high): (u16, u16), pixel: &u16| (low.min(*pixel), high.max(*pixel));
    pixels.iter().fold((u16::MAX, u16::MIN), fold)
}
