//! How fast `OmeZarr` writes images of 2048 × 2048 pixels, compared with a loop that writes the same images
//! into one file with `write`, compressed by the same codec in pieces of the same size, on as many threads.
//! `FLAMINGO_ZARR_GB` sets how much is written (1). The memory is the peak of this process.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime};

use flamingo_microscope::image_file::{ImageFacts, OmeZarr, Picture, Sequence};
use flamingo_microscope::units::{Micros, MmPerPixel};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::time::Instant;
use flamingo_runtime_testkit::bench::{Figure, Report, Target, processor_time, run};
use flamingo_runtime_testkit::folder::Folder;
use zarrs::array::CodecOptions;
use zarrs::array::codec::ZstdCodec;
use zarrs::array::codec::api::BytesToBytesCodecTraits;

const SIDE: usize = 2048;
const IMAGE_BYTES: usize = 2 * SIDE * SIDE;
/// Bytes of a chunk of an OME-Zarr image.
const CHUNK_BYTES: usize = 2 * 512 * 512;
/// Images that differ from one another.
const DIFFERENT: usize = 4;
const LEAST_RATE: f64 = 0.8;
const MOST_MB: f64 = 300.0;
const ROUNDS: usize = 3;

/// An image of dark background with some bright cells that have noise.
fn image(seed: usize) -> Vec<u16> {
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let mut pixels = vec![100_u16; SIDE * SIDE];
    for _ in 0..60 {
        let (left, top) = (random.usize(..SIDE - 64), random.usize(..SIDE - 64));
        for row in pixels.chunks_mut(SIDE).skip(top).take(64) {
            for pixel in &mut row[left..left + 64] {
                *pixel = 1_000 + random.u16(..500);
            }
        }
    }
    pixels
}

/// What writing the images has cost.
#[derive(Clone, Copy)]
struct Sample {
    images_per_s: f64,
    /// Of all threads, per image.
    processor_ms: f64,
}

/// Times the writing of images.
struct Watch<'a> {
    clock: &'a Clock,
    began: Instant,
    spent: Duration,
}

impl<'a> Watch<'a> {
    fn start(clock: &'a Clock) -> Self {
        Self { clock, began: clock.now(), spent: processor_time() }
    }

    fn sample(&self, images: usize) -> Sample {
        let took = Duration::from(self.clock.now().since(self.began));
        let spent = processor_time().saturating_sub(self.spent);
        #[allow(clippy::cast_precision_loss)] // a few thousand
        let images = images as f64;
        let processor_ms = 1000.0 * spent.as_secs_f64() / images;
        Sample { images_per_s: images / took.as_secs_f64(), processor_ms }
    }
}

/// The loop.
fn plain(path: &Path, images: &[Vec<u16>], count: usize, threads: usize, clock: &Clock) -> Sample {
    let watch = Watch::start(clock);
    let codec = ZstdCodec::new(1, false);
    let mut file = File::create(path).expect("a new file");
    std::thread::scope(|scope| {
        let compressors: Vec<_> = (0..threads)
            .map(|thread| {
                let (sender, receiver) = sync_channel(1);
                let codec = &codec;
                scope.spawn(move || {
                    for at in (thread..count).step_by(threads) {
                        let bytes: &[u8] = bytemuck::cast_slice(&images[at % images.len()]);
                        let compress = |piece| {
                            let options = CodecOptions::default();
                            codec.encode(Cow::Borrowed(piece), &options).expect("zstd takes it")
                        };
                        let pieces: Vec<_> = bytes.chunks(CHUNK_BYTES).map(compress).collect();
                        sender.send(pieces).expect("the loop runs");
                    }
                });
                receiver
            })
            .collect();
        for at in 0..count {
            for piece in compressors[at % threads].recv().expect("an image") {
                file.write_all(&piece).expect("the disk takes it");
            }
        }
    });
    watch.sample(count)
}

fn zarr(path: &Path, images: &[Vec<u16>], count: usize, clock: &Clock) -> Sample {
    let watch = Watch::start(clock);
    let mut movie = OmeZarr::create(path, Sequence::Time).expect("a new folder");
    for at in 0..count {
        let side = u32::try_from(SIDE).expect("a small number");
        let picture = Picture::new(side, side, &images[at % images.len()]).expect("its size");
        let taken_at = SystemTime::UNIX_EPOCH + Duration::from_millis(25 * at as u64);
        let facts = ImageFacts::at(taken_at).pixel_size(MmPerPixel(0.000_253));
        movie.add(&picture, &facts.exposure(Micros(9_002))).expect("the disk takes it");
    }
    movie.finish().expect("the disk takes it");
    watch.sample(count)
}

/// The most memory that this process has used since the last call, in MB; `None` where Linux is not.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    // The kernel forgets the peak.
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(kib * 1024.0 / 1e6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(report: &mut Report) {
    let wanted = std::env::var("FLAMINGO_ZARR_GB").ok();
    let wanted = wanted.map(|text| text.parse().expect("FLAMINGO_ZARR_GB must be a number"));
    let bytes: f64 = wanted.unwrap_or(1.0) * 1e9;
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // a few thousand
    let count = (bytes / IMAGE_BYTES as f64) as usize;
    let count = report.repetitions(count).max(DIFFERENT);
    let images: Vec<_> = (0..DIFFERENT).map(image).collect();
    let (folder, clock) = (Folder::new("bench-zarr"), Clock::start());
    let (mut samples, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..report.repetitions(ROUNDS) {
        let (one, other) = (folder.0.join("plain"), folder.0.join("a.ome.zarr"));
        let plain = plain(&one, &images, count, report.cpus(), &clock);
        let _ = peak_mb();
        let zarr = zarr(&other, &images, count, &clock);
        memory.extend(peak_mb());
        std::fs::remove_file(&one).expect("it was written");
        std::fs::remove_dir_all(&other).expect("it was written");
        samples.push((plain, zarr));
    }
    #[allow(clippy::cast_precision_loss)] // 8 MB
    let mb = IMAGE_BYTES as f64 / 1e6;
    let of = |figure: fn(&(Sample, Sample)) -> f64| median(samples.iter().map(figure).collect());
    let plain = of(|(plain, _)| plain.images_per_s);
    let rate = of(|(plain, zarr)| zarr.images_per_s / plain.images_per_s);
    let figure = Figure::new(plain * mb, "MB/s").ratio(1.0);
    report.line("compress and write, plain loop", figure, Target::None);
    let figure = Figure::new(plain * rate * mb, "MB/s").ratio(rate);
    report.line("compress and write, OME-Zarr", figure, Target::RatioAtLeast(LEAST_RATE));
    let time = of(|(plain, zarr)| zarr.processor_ms / plain.processor_ms);
    let figure = Figure::new(of(|(_, zarr)| zarr.processor_ms), "ms/image").ratio(time);
    report.line("OME-Zarr, processor time", figure, Target::None);
    if let Some(most) = memory.into_iter().max_by(f64::total_cmp) {
        let figure = Figure::new(most, "MB");
        report.line("OME-Zarr, most memory", figure, Target::ValueAtMost(MOST_MB));
    }
}

fn main() -> ExitCode {
    run("ome_zarr", measure)
}
