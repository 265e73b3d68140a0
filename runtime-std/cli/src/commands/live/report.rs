//! The output of `flamingo live`: a line or a JSON object for each image, and one for the totals.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flamingo_microscope::image_file::ImageFacts;
use flamingo_microscope::live::{LiveImage, LiveStats};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::time::Instant;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{LiveArgs, preview};
use crate::failure::CommandResult;
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
    file: Option<String>,
    time: String,
}

/// The JSON of the totals.
#[derive(Serialize)]
struct TotalsJson {
    received: u64,
    taken: u64,
    written: u64,
    dropped: u64,
    options: u64,
    frames_per_s: Option<f64>,
    mb_per_s: Option<f64>,
    min: Option<u16>,
    max: Option<u16>,
    elapsed_ms: f64,
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
    keep_newest: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(args: &LiveArgs, out: &'a mut Out) -> Self {
        let bar = args.last().map_or_else(ProgressBar::new_spinner, ProgressBar::new);
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
            keep_newest: args.preview.is_some(),
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
        self.written += u64::from(file.is_some());
        self.first.get_or_insert((now, image.number));
        self.last = Some((now, image.number));
        let (min, max) = min_max(image.pixels());
        let range = self.range.map_or((min, max), |(low, high)| (low.min(min), high.max(max)));
        self.range = Some(range);
        if self.out.json() {
            let record = ImageJson {
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
                position_x_mm: facts.pose.map(|pose| pose.x.0),
                position_y_mm: facts.pose.map(|pose| pose.y.0),
                position_z_mm: facts.pose.map(|pose| pose.z.0),
                position_r_deg: facts.pose.map(|pose| pose.r.0),
                file: file.map(|file| file.display().to_string()),
                time: rfc3339(image.received_at),
            };
            self.out.object(&record)?;
        } else {
            let due =
                self.last_line.is_none_or(|last| Duration::from(now.since(last)) >= LINE_INTERVAL);
            if due {
                self.last_line = Some(now);
                let rate =
                    self.rate().map_or(String::new(), |rate| format!("  {rate:.1} images/s"));
                let (width, height) = (image.header.width, image.header.height);
                let number = image.number;
                let line =
                    format!("image {number:<6} {width} x {height}  min {min}  max {max}{rate}");
                let (bar, out) = (self.bar.clone(), &mut *self.out);
                bar.suspend(|| out.line(&line))?;
            }
        }
        self.bar.inc(1);
        if self.keep_newest {
            self.newest = Some(image);
        }
        Ok(self.taken)
    }

    /// Received images per second, including dropped ones.
    fn rate(&self) -> Option<f64> {
        let ((begin, first), (end, last)) = (self.first?, self.last?);
        let seconds = Duration::from(end.since(begin)).as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // fewer than 2^52
        (last > first && seconds > 0.0).then(|| (last - first) as f64 / seconds)
    }

    /// Prints the totals, and shows the preview.
    pub(super) fn end(&mut self, stats: &LiveStats, preview: Option<&Path>) -> CommandResult {
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
            options: stats.options,
            frames_per_s: rate.map(rounded),
            mb_per_s: rate.zip(each).map(|(rate, each)| rounded(rate * each)),
            min: self.range.map(|(min, _)| min),
            max: self.range.map(|(_, max)| max),
            elapsed_ms: milliseconds(self.clock.now().since(Instant::default()).into()),
        };
        self.out.either(&totals, || totals.text())?;
        match (preview, self.newest.take()) {
            (Some(file), Some(image)) => preview::show(&image, file, self.out),
            _ => Ok(()),
        }
    }
}

impl TotalsJson {
    fn text(&self) -> String {
        let Self { received, taken, written, dropped, .. } = self;
        let rate = match (self.frames_per_s, self.mb_per_s) {
            (Some(rate), Some(mb)) => format!("; {rate:.1} images/s, {mb:.1} MB/s"),
            _ => String::new(),
        };
        let range = match (self.min, self.max) {
            (Some(min), Some(max)) => format!("; min {min}, max {max}"),
            _ => String::new(),
        };
        format!(
            "{received} images received, {taken} taken, {written} written, {dropped} dropped{rate}{range}"
        )
    }
}

fn min_max(pixels: &[u16]) -> (u16, u16) {
    let fold = |(low, high): (u16, u16), pixel: &u16| (low.min(*pixel), high.max(*pixel));
    pixels.iter().fold((u16::MAX, u16::MIN), fold)
}
