//! Measures how fast captures are read: one that is mostly images, and one of control frames, compared
//! with reading the bytes of the same file. The most memory that the process had is a figure of its own.
//!
//! `BENCH_CAPTURE_MB` is the size of each capture (64); with 2000, the captures are as long as those of a
//! night. Linux tells how much memory a process had; elsewhere this figure is left out.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use etherparse::PacketBuilder;
use flamingo_recording::capture::{Capture, EventKind};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::{CommandCode, Frame, image::ImageHeader};
use flamingo_runtime_testkit::bench::{Figure, Report, Target, run};

const SIZE: &str = "BENCH_CAPTURE_MB";
const MB: f64 = 1e6;
const SIDE: u32 = 2048;
/// The payload of a packet in Ethernet with TCP options.
const SEGMENT: usize = 1448;
/// The size of a read, as the reader of captures has it.
const READ: usize = 256 * 1024;
const ROUNDS: usize = 5;
const LEAST_MB_PER_S: f64 = 200.0;
const MOST_MEMORY_MB: f64 = 100.0;
const CONTROL: u16 = 53_717;

/// Writes a capture.
struct Writer {
    file: BufWriter<File>,
    length: u64,
    micros: u64,
}

impl Writer {
    fn new(path: &Path) -> Self {
        let mut file = BufWriter::new(File::create(path).expect("the file can be written"));
        let header = [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 262_144, 1];
        file.write_all(&header.map(u32::to_le_bytes).concat()).expect("the disk takes it");
        Self { file, length: 24, micros: 0 }
    }

    /// A packet between a client and the port of the instrument.
    fn packet(&mut self, port: u16, is_answer: bool, numbers: [u32; 2], payload: &[u8]) {
        let (client, instrument) = (([10, 0, 0, 7], 40_000), ([10, 0, 0, 5], port));
        let (source, target) = if is_answer { (instrument, client) } else { (client, instrument) };
        let [number, acknowledged] = numbers;
        let mut packet = Vec::with_capacity(payload.len() + 66);
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(source.0, target.0, 64)
            .tcp(source.1, target.1, number, 1000)
            .ack(acknowledged)
            .options_raw(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1])
            .expect("they fit")
            .write(&mut packet, payload)
            .expect("memory takes it");
        self.micros += 10;
        let length = u32::try_from(packet.len()).expect("it is short");
        let (seconds, rest) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let time = [seconds, rest].map(|part| u32::try_from(part).expect("it is early"));
        let head = [time[0], time[1], length, length].map(u32::to_le_bytes).concat();
        for bytes in [&head[..], &packet] {
            self.file.write_all(bytes).expect("the disk takes it");
            self.length += bytes.len() as u64;
        }
    }
}

/// A capture of images. Returns how many there are.
fn images(path: &Path, size: u64) -> u64 {
    let bytes = 2 * SIDE * SIDE;
    let header = ImageHeader { size: bytes, width: SIDE, height: SIDE, ..ImageHeader::default() };
    let mut image = header.encode().to_vec();
    image.extend(std::iter::repeat_with(|| fastrand::u8(..)).take(bytes as usize));
    let mut writer = Writer::new(path);
    let (mut number, mut count) = (1_u32, 0);
    while writer.length < size {
        for (n, part) in image.chunks(SEGMENT).enumerate() {
            writer.packet(CONTROL + 1, true, [number, 1], part);
            number = number.wrapping_add(u32::try_from(part.len()).expect("it is short"));
            if n % 2 == 1 {
                writer.packet(CONTROL + 1, false, [1, number], &[]);
            }
        }
        count += 1;
    }
    writer.file.flush().expect("the disk takes it");
    count
}

/// A capture of queries and answers. Returns how many frames there are.
fn frames(path: &Path, size: u64) -> u64 {
    let mut writer = Writer::new(path);
    let (mut number, mut count) = (1_u32, 0);
    while writer.length < size {
        for axis in 1..4 {
            let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
            writer.packet(CONTROL, false, [number, number], &query.encode());
            writer.packet(CONTROL, true, [number, number.wrapping_add(128)], &query.encode());
            number = number.wrapping_add(128);
            count += 2;
        }
    }
    writer.file.flush().expect("the disk takes it");
    count
}

/// Reads the bytes alone.
fn read_plainly(clock: &Clock, path: &Path) -> Duration {
    let began = clock.now();
    let mut file = File::open(path).expect("it was written");
    let mut buffer = vec![0; READ];
    while file.read(&mut buffer).expect("it can be read") > 0 {}
    clock.now().since(began).into()
}

/// Reads the capture. Returns how many frames and images there are.
fn read_capture(clock: &Clock, path: &Path) -> (Duration, u64) {
    let began = clock.now();
    let events = Capture::open(path).expect("a capture").map(|event| event.expect("whole"));
    let counted =
        |kind: &EventKind| matches!(kind, EventKind::Message { .. } | EventKind::Image { .. });
    let count = events.filter(|event| counted(&event.kind)).count();
    (clock.now().since(began).into(), count as u64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(clock: &Clock, report: &mut Report, name: &str, path: &Path, expected: u64) {
    let bytes = std::fs::metadata(path).expect("it was written").len();
    #[allow(clippy::cast_precision_loss)] // far below 2⁵³
    let megabytes = bytes as f64 / MB;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..report.repetitions(ROUNDS) {
        let plain = read_plainly(clock, path);
        let (time, count) = read_capture(clock, path);
        assert_eq!(count, expected, "{name}");
        ratios.push(time.as_secs_f64() / plain.as_secs_f64());
        rates.push(megabytes / time.as_secs_f64());
    }
    let figure = Figure::new(median(rates), "MB/s").ratio(median(ratios));
    let name = format!("reading a capture of {name}, {megabytes:.0} MB");
    report.line(&name, figure, Target::ValueAtLeast(LEAST_MB_PER_S));
}

/// The most memory that this process had, in MB.
fn most_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0 / MB)
}

fn measure(report: &mut Report) {
    let size = std::env::var(SIZE).map_or(64, |size| size.parse().expect("a number of MB"));
    let clock = Clock::start();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("decode.pcap");
    for (name, write) in [("images", images as fn(&Path, u64) -> u64), ("control frames", frames)] {
        let expected = write(&path, size * 1_000_000);
        compare(&clock, report, name, &path, expected);
    }
    if let Some(memory) = most_memory() {
        let figure = Figure::new(memory, "MB");
        report.line("most memory", figure, Target::ValueAtMost(MOST_MEMORY_MB));
    }
    // The file may be large.
    let _ = std::fs::remove_file(path);
}

fn main() -> ExitCode {
    run("decode", measure)
}
