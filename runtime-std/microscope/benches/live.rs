//! Measures how fast `LiveStream` reads images of 2048 × 2048 pixels, compared with a plain loop that
//! reads into one buffer, in the same run. The images come from a sender that repeats one image as
//! fast as it can, and from the simulator. `LiveStream` must reach 0.95 of
//! the plain loop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread::spawn;
use std::time::Duration;

use flamingo_microscope::live::{LiveOptions, LiveStream};
use flamingo_microscope::{LiveUpdates, Microscope};
use flamingo_runtime_std::protocol::image::{HEADER_LEN, ImageHeader};
use flamingo_runtime_std::{Clock, Options};
use flamingo_runtime_testkit::bench::{Figure, Report, Target, run};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};

const SIDE: u32 = 2048;
const IMAGES: u64 = 60;
const ROUNDS: usize = 5;
const LEAST: f64 = 0.95;

/// Sends the same image without end to each client, one client at a time.
fn sender() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let size = 2 * SIDE * SIDE;
    let header = ImageHeader { size, width: SIDE, height: SIDE, ..ImageHeader::default() };
    let mut image = header.encode().to_vec();
    image.resize(HEADER_LEN + size as usize, 7);
    spawn(move || {
        while let Ok((mut viewer, _)) = listener.accept() {
            while viewer.write_all(&image).is_ok() {}
        }
    });
    address
}

/// Images per second.
fn rate(took: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss)] // a few
    let images = IMAGES as f64;
    images / took.as_secs_f64()
}

/// The plain loop: reads the header, and then the whole image into one buffer.
fn plain(address: SocketAddr, clock: &Clock) -> f64 {
    let mut socket = TcpStream::connect(address).expect("it listens");
    let mut image = vec![0; HEADER_LEN + 2 * (SIDE * SIDE) as usize];
    let mut next = || {
        socket.read_exact(&mut image[..HEADER_LEN]).expect("a header");
        let header = ImageHeader::decode(&image[..HEADER_LEN], u32::MAX).expect("a header");
        let end = HEADER_LEN + header.size as usize;
        socket.read_exact(&mut image[HEADER_LEN..end]).expect("an image");
    };
    next();
    let begin = clock.now();
    for _ in 0..IMAGES {
        next();
    }
    rate(clock.now().since(begin).into())
}

/// The same with `LiveStream`. Images that arrived but were dropped count as well.
fn stream(address: SocketAddr, clock: &Clock, options: LiveOptions) -> f64 {
    smol::block_on(async {
        let address = address.to_string();
        let mut stream = LiveStream::connect(&address, options).await.expect("it listens");
        let first = stream.next_image().await.expect("an image").expect("an image").number;
        let begin = clock.now();
        loop {
            let image = stream.next_image().await.expect("an image").expect("an image");
            let came = image.number - first;
            if came >= IMAGES {
                #[allow(clippy::cast_precision_loss)] // a few
                let more = came as f64 / IMAGES as f64;
                return more * rate(clock.now().since(begin).into());
            }
        }
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(report: &mut Report, name: &str, address: SocketAddr) {
    let clock = Clock::start();
    let (mut loops, mut every, mut latest) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..report.repetitions(ROUNDS) {
        let least = plain(address, &clock);
        loops.push(least);
        // Compared with the loop of the same round, because the load of the machine changes.
        every.push(stream(address, &clock, LiveOptions::every()) / least);
        latest.push(stream(address, &clock, LiveOptions::default()) / least);
    }
    let plain = median(&mut loops);
    let figure = Figure::new(plain, "images/s").ratio(1.0);
    report.line(&format!("{name}, plain loop"), figure, Target::None);
    for (mode, ratios) in [("every image", &mut every), ("latest image", &mut latest)] {
        let ratio = median(ratios);
        let figure = Figure::new(plain * ratio, "images/s").ratio(ratio);
        report.line(&format!("{name}, {mode}"), figure, Target::RatioAtLeast(LEAST));
    }
}

fn measure(report: &mut Report) {
    compare(report, "plain sender", sender());
    let scenario = format!("[images]\nwidth = {SIDE}\nheight = {SIDE}\nframes_per_s = 2000\n");
    let scenario = Scenario::from_toml(&scenario).expect("a scenario");
    let options = SimulatorOptions::new(scenario);
    let simulator = smol::block_on(Simulator::start(options)).expect("free ports");
    let client = Options::new(simulator.control().to_string());
    let microscope = smol::block_on(async {
        let microscope = Microscope::connect(client).await.expect("it speaks");
        microscope.camera().start_live_view(LiveUpdates::Always).await.expect("a live view");
        microscope
    });
    compare(report, "simulator", simulator.live());
    smol::block_on(microscope.close());
    smol::block_on(simulator.stop());
}

fn main() -> ExitCode {
    run("live", measure)
}
