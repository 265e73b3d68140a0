//! How fast `LiveStream` reads images of 2048 × 2048 pixels, and how much processor time an image takes,
//! compared with a plain loop that reads into one buffer. The images come from a sender that repeats one
//! image as fast as it can, and from the simulator. Both run in a process of their own, so that the
//! processor time is that of the reader.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use flamingo_microscope::live::{LiveOptions, LiveStream};
use flamingo_microscope::{LiveUpdates, Microscope};
use flamingo_runtime_std::protocol::image::{HEADER_LEN, ImageHeader};
use flamingo_runtime_std::protocol::time::Instant;
use flamingo_runtime_std::{Clock, Options};
use flamingo_runtime_testkit::bench::{Figure, Report, Target, processor_time, run};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};

const SIDE: u32 = 2048;
const IMAGES: u64 = 60;
/// Images after which a stream has all its buffers.
const WARM_UP: u64 = 5;
const ROUNDS: usize = 5;
const LEAST_RATE: f64 = 0.95;
const MOST_PROCESSOR_TIME: f64 = 1.1;
/// Set in the process of a source: which one it is.
const SOURCE: &str = "LIVE_BENCH_SOURCE";
const SENDER: &str = "plain sender";
const SIMULATOR: &str = "simulator";

/// A source of images, in a process of its own.
struct Source {
    process: Child,
    address: SocketAddr,
}

impl Source {
    fn start(name: &str) -> Self {
        let this = std::env::current_exe().expect("the path of this program");
        let mut source = Command::new(this);
        source.env(SOURCE, name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = source.spawn().expect("this program starts again");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("an address");
        Self { process, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends the same image without end to each client, one client at a time.
fn send() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("an address"));
    let size = 2 * SIDE * SIDE;
    let header = ImageHeader { size, width: SIDE, height: SIDE, ..ImageHeader::default() };
    let mut image = header.encode().to_vec();
    image.resize(HEADER_LEN + size as usize, 7);
    while let Ok((mut viewer, _)) = listener.accept() {
        while viewer.write_all(&image).is_ok() {}
    }
}

/// Simulates an instrument in live view, until stdin is closed.
fn simulate() {
    let scenario = format!("[images]\nwidth = {SIDE}\nheight = {SIDE}\nframes_per_s = 2000\n");
    let scenario = Scenario::from_toml(&scenario).expect("a scenario");
    let options = SimulatorOptions::new(scenario);
    smol::block_on(async {
        let simulator = Simulator::start(options).await.expect("free ports");
        let client = Options::new(simulator.control().to_string());
        let microscope = Microscope::connect(client).await.expect("it speaks");
        microscope.camera().start_live_view(LiveUpdates::Always).await.expect("a live view");
        println!("{}", simulator.live());
        let closed = smol::unblock(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
        closed.expect("stdin is closed");
        microscope.close().await;
        simulator.stop().await;
    });
}

/// What reading some images has cost.
#[derive(Clone, Copy)]
struct Sample {
    images_per_s: f64,
    /// Per image.
    processor_s: f64,
}

/// Times the reading of images.
struct Watch<'a> {
    clock: &'a Clock,
    began: Instant,
    spent: Duration,
}

impl<'a> Watch<'a> {
    fn start(clock: &'a Clock) -> Self {
        Self { clock, began: clock.now(), spent: processor_time() }
    }

    fn stop(self, images: u64) -> Sample {
        let (took, spent) =
            (self.clock.now().since(self.began), processor_time().saturating_sub(self.spent));
        #[allow(clippy::cast_precision_loss)] // a few
        let images = images as f64;
        let processor_s = spent.as_secs_f64() / images;
        Sample { images_per_s: images / Duration::from(took).as_secs_f64(), processor_s }
    }
}

/// The plain loop: reads the header, and then the whole image into one buffer.
fn plain(address: SocketAddr, clock: &Clock) -> Sample {
    let mut socket = TcpStream::connect(address).expect("it listens");
    let mut image = vec![0; HEADER_LEN + 2 * (SIDE * SIDE) as usize];
    let mut next = || {
        socket.read_exact(&mut image[..HEADER_LEN]).expect("a header");
        let header = ImageHeader::decode(&image[..HEADER_LEN], u32::MAX).expect("a header");
        let end = HEADER_LEN + header.size as usize;
        socket.read_exact(&mut image[HEADER_LEN..end]).expect("an image");
    };
    next();
    let watch = Watch::start(clock);
    for _ in 0..IMAGES {
        next();
    }
    watch.stop(IMAGES)
}

/// The same with `LiveStream`. Images that arrived but were dropped count as well.
fn stream(address: SocketAddr, clock: &Clock, options: LiveOptions) -> Sample {
    smol::block_on(async {
        let address = address.to_string();
        let mut stream = LiveStream::connect(&address, options).await.expect("it listens");
        // As the plain loop has its buffer before it is timed, the stream has all of its own.
        let mut first = 0;
        while first < WARM_UP {
            first = stream.next_image().await.expect("an image").expect("an image").number;
        }
        let watch = Watch::start(clock);
        loop {
            let image = stream.next_image().await.expect("an image").expect("an image");
            let came = image.number - first;
            if came >= IMAGES {
                return watch.stop(came);
            }
        }
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(report: &mut Report, name: &str) {
    let (source, clock) = (Source::start(name), Clock::start());
    let address = source.address;
    let (mut every, mut latest) = (Vec::new(), Vec::new());
    for _ in 0..report.repetitions(ROUNDS) {
        // Compared with the loop of the same round, because the load of the machine changes.
        let plain = plain(address, &clock);
        every.push((stream(address, &clock, LiveOptions::every()), plain));
        latest.push((stream(address, &clock, LiveOptions::default()), plain));
    }
    let plain = median(every.iter().map(|(_, plain)| plain.images_per_s));
    let figure = Figure::new(plain, "images/s").ratio(1.0);
    report.line(&format!("{name}, plain loop"), figure, Target::None);
    for (mode, samples) in [("every image", every), ("latest image", latest)] {
        let rate = median(samples.iter().map(|(it, plain)| it.images_per_s / plain.images_per_s));
        let figure = Figure::new(plain * rate, "images/s").ratio(rate);
        report.line(&format!("{name}, {mode}"), figure, Target::RatioAtLeast(LEAST_RATE));
        let spent = median(samples.iter().map(|(it, _)| it.processor_s * 1e6));
        let ratio = median(samples.iter().map(|(it, plain)| it.processor_s / plain.processor_s));
        let figure = Figure::new(spent, "µs/image").ratio(ratio);
        let most = Target::RatioAtMost(MOST_PROCESSOR_TIME);
        report.line(&format!("{name}, {mode}, processor time"), figure, most);
    }
}

fn measure(report: &mut Report) {
    compare(report, SENDER);
    compare(report, SIMULATOR);
}

fn main() -> ExitCode {
    match std::env::var(SOURCE).as_deref() {
        Ok(SENDER) => send(),
        Ok(SIMULATOR) => simulate(),
        _ => return run("live", measure),
    }
    ExitCode::SUCCESS
}
