//! Measures the processor time of recording, over all threads of this process.
//!
//! Without pixels: 4 000 frames and 30 images of 2048 × 2048 pixels a second, compared with the same loop
//! without a recorder, as a part of the elapsed time. With pixels: compared with writing the same bytes
//! to a file, in alternation. No bytes may be left out.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use flamingo_recording::{Port, Recorder, RecorderOptions, Tap};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::{
    CommandCode, Flags, Frame,
    image::{HEADER_LEN, ImageHeader},
};
use flamingo_runtime_testkit::bench::{Figure, Report, Target, processor_time, run};

const SIDE: u32 = 2048;
const FRAMES_PER_S: u32 = 4_000;
const IMAGES_PER_S: u32 = 30;
/// The length of the steady load, and its interval.
const LOAD: Duration = Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(1);
/// The size of a read of the relay.
const CHUNK: usize = 256 * 1024;
const IMAGES: usize = 40;
const ROUNDS: usize = 5;
/// In percent.
const MOST_OF_A_CORE: f64 = 10.0;
const MOST_OF_WRITING: f64 = 1.3;

fn spent_since(before: Duration) -> Duration {
    processor_time().saturating_sub(before)
}

fn image() -> Bytes {
    let size = 2 * SIDE * SIDE;
    let header = ImageHeader { size, width: SIDE, height: SIDE, ..ImageHeader::default() };
    let mut image = header.encode().to_vec();
    let pixels = std::iter::repeat_with(|| fastrand::u8(..)).take(size as usize);
    image.extend(pixels);
    Bytes::from(image)
}

fn chunks(image: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    (0..image.len()).step_by(CHUNK).map(|at| image.slice(at..image.len().min(at + CHUNK)))
}

/// A position update, as it is pushed during a motion.
fn update() -> Bytes {
    let mut frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(1);
    frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    frame.set_text("1=7.635\n2=15\n3=19\n").expect("it fits");
    Bytes::copy_from_slice(&frame.encode())
}

fn recorder(file: &Path, pixels: bool) -> Recorder {
    Recorder::to_file(file, RecorderOptions::default().pixels(pixels))
        .expect("the file can be written")
}

fn open(recorder: &Recorder, port: Port) -> [Tap; 2] {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    recorder.open(port, at(40_000), at(53_717 + port.steps()))
}

/// Runs the load in ticks of 1 ms. Returns how much of a core it takes.
fn load(report: &Report, image: &Bytes, recorder: Option<&Recorder>) -> f64 {
    let clock = Clock::start();
    let mut taps =
        recorder.map(|recorder| (open(recorder, Port::Control), open(recorder, Port::Live)));
    let update = update();
    let ticks = report.repetitions(usize::try_from(LOAD.as_millis()).expect("a few"));
    let ticks = u32::try_from(ticks).expect("a few");
    let (mut frames, mut images) = (0, 0);
    let (begin, before) = (clock.now(), processor_time());
    for tick in 1..=ticks {
        let due = begin + (TICK * tick).into();
        smol::block_on(smol::Timer::at(clock.moment(due).expect("soon")));
        while frames < FRAMES_PER_S * tick / 1000 {
            frames += 1;
            if let Some(([_, instrument], _)) = &mut taps {
                instrument.bytes(update.clone());
            }
        }
        while images < IMAGES_PER_S * tick / 1000 {
            images += 1;
            if let Some((_, [_, instrument])) = &mut taps {
                chunks(image).for_each(|chunk| instrument.bytes(chunk));
            }
        }
    }
    let took: Duration = clock.now().since(begin).into();
    spent_since(before).as_secs_f64() / took.as_secs_f64()
}

/// The processor time that recording the images with their pixels takes.
fn record_pixels(image: &Bytes, file: &Path) -> (Duration, u64) {
    remove(file);
    let before = processor_time();
    let recorder = recorder(file, true);
    let [_client, mut instrument] = open(&recorder, Port::Live);
    for _ in 0..IMAGES {
        // Stay below the limit of the queue: the load is as fast as the disk.
        while recorder.waiting() > 64 * 1024 * 1024 {
            smol::block_on(smol::Timer::after(TICK));
        }
        chunks(image).for_each(|chunk| instrument.bytes(chunk));
    }
    instrument.finish();
    let status = recorder.finish();
    (spent_since(before), status.lost_bytes)
}

/// The processor time that writing the same bytes takes.
fn write_plainly(image: &Bytes, path: &Path) -> Duration {
    remove(path);
    let before = processor_time();
    let mut file = File::create(path).expect("the file can be written");
    for _ in 0..IMAGES {
        // Pieces of 1 MiB were the fastest of the sizes that were tried.
        image.chunks(1024 * 1024).for_each(|some| file.write_all(some).expect("the disk takes it"));
    }
    spent_since(before)
}

/// Removes the file before the measurement, so that truncating it is not measured.
fn remove(file: &Path) {
    // The file may not exist.
    let _ = std::fs::remove_file(file);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The part of a core that recording takes beside the steady load.
fn without_pixels(report: &mut Report, image: &Bytes, file: &Path) {
    let alone = load(report, image, None);
    let steady = recorder(file, false);
    let with = load(report, image, Some(&steady));
    let status = steady.finish();
    assert_eq!(status.lost_bytes, 0, "bytes were left out");
    let cost = Figure::new((with - alone) * 100.0, "% of a core");
    report.line("recording without pixels", cost, Target::ValueAtMost(MOST_OF_A_CORE));
}

/// The processor time of recording pixels, compared with writing them.
fn with_pixels(report: &mut Report, image: &Bytes, [one, other]: [&Path; 2]) {
    let (mut ratios, mut times) = (Vec::new(), Vec::new());
    for _ in 0..report.repetitions(ROUNDS) {
        let plain = write_plainly(image, other);
        let (recorded, left_out) = record_pixels(image, one);
        assert_eq!(left_out, 0, "bytes were left out");
        ratios.push(recorded.as_secs_f64() / plain.as_secs_f64());
        times.push(recorded.as_secs_f64() * 1e3);
    }
    let figure = Figure::new(median(times), "ms").ratio(median(ratios));
    let name = format!("processor time of recording {IMAGES} images, to writing their bytes");
    report.line(&name, figure, Target::RatioAtMost(MOST_OF_WRITING));
}

fn measure(report: &mut Report) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let [one, other] = ["recording.pcapng", "plain.raw"].map(|name| folder.join(name));
    let image = image();
    assert_eq!(image.len(), HEADER_LEN + 2 * (SIDE * SIDE) as usize);
    without_pixels(report, &image, &one);
    with_pixels(report, &image, [&one, &other]);
    for file in [&one, &other] {
        remove(file);
    }
}

fn main() -> ExitCode {
    run("recording", measure)
}
