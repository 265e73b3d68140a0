//! How fast live images pass the bridge to 1 viewer and to 5, compared with a plain loop that reads the same
//! images into one buffer straight from the sender, all in one run. The images have 2048 × 2048 pixels. The
//! sender writes one image again and again, as often as a camera takes one, or without a pause.
//!
//! Each viewer reads on a thread of its own. The figure of 5 viewers is the rate of the slowest of them.
//! Without a pause, the processors are the limit: an image that goes straight to a viewer is copied twice by
//! the operating system, and one that passes a relay four times. So no relay reaches more than half of the
//! plain loop on one processor, and five viewers have a fifth of it each without any relay.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread::{scope, spawn};
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_runtime_std::protocol::image::{HEADER_LEN, ImageHeader};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Stopwatch, Target, alternate, run,
};

const SIDE: u32 = 2048;
const IMAGE_LEN: usize = HEADER_LEN + 2 * (SIDE * SIDE) as usize;
const ROUNDS: usize = 5;
/// Images of a turn.
const IMAGES: usize = 20;
/// Images per second of a camera.
const CAMERA: u32 = 40;

/// The listeners of a control port and of the port of live images, which is the next one.
fn ports() -> (TcpListener, TcpListener) {
    loop {
        let control = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = control.local_addr().expect("an address").port();
        if let Ok(live) = TcpListener::bind(("127.0.0.1", port.saturating_add(1))) {
            return (control, live);
        }
    }
}

/// Sends the same image to each client: without end, or this many times per second.
#[allow(clippy::disallowed_methods)] // a camera has a pace
fn send(listener: &TcpListener, per_second: Option<u32>) {
    let size = 2 * SIDE * SIDE;
    let header = ImageHeader { size, width: SIDE, height: SIDE, ..ImageHeader::default() };
    let mut image = header.encode().to_vec();
    image.resize(IMAGE_LEN, 7);
    while let Ok((mut viewer, _)) = listener.accept() {
        let image = image.clone();
        spawn(move || {
            let watch = Stopwatch::start();
            let mut due = 0.0;
            while viewer.write_all(&image).is_ok() {
                due += per_second.map_or(0.0, |rate| 1e9 / f64::from(rate));
                let wait = (due - watch.nanos()).max(0.0);
                #[allow(clippy::disallowed_methods)] // a camera takes its time
                std::thread::sleep(Duration::from_secs_f64(wait / 1e9));
            }
        });
    }
}

/// A sender, and a bridge to it.
fn route(per_second: Option<u32>) -> (SocketAddr, Bridge) {
    let (control, live) = ports();
    let address = live.local_addr().expect("an address");
    let mut settings = BridgeSettings::new(control.local_addr().expect("an address").to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    spawn(move || {
        let _never_answers = control;
        send(&live, per_second);
    });
    (address, smol::block_on(Bridge::start(&settings)).expect("free ports"))
}

/// Reads images into one buffer. Returns the time of one in nanoseconds.
fn view(address: SocketAddr, images: usize) -> f64 {
    let mut socket = TcpStream::connect(address).expect("it listens");
    let mut image = vec![0; IMAGE_LEN];
    let mut next = || {
        socket.read_exact(&mut image[..HEADER_LEN]).expect("a header");
        let header = ImageHeader::decode(&image[..HEADER_LEN], u32::MAX).expect("a header");
        assert_eq!(HEADER_LEN + header.size as usize, IMAGE_LEN, "a whole image");
        socket.read_exact(&mut image[HEADER_LEN..]).expect("an image");
    };
    next();
    let watch = Stopwatch::start();
    (0..images).for_each(|_| next());
    #[allow(clippy::cast_precision_loss)] // a few
    let count = images as f64;
    watch.nanos() / count
}

/// Viewers that read at the same time. Their time is that of the slowest of them.
fn viewers(address: SocketAddr, count: usize, images: usize) -> Contender<'static> {
    Box::new(move |times| {
        let slowest = scope(|scope| {
            let each =
                [(); 8].into_iter().take(count).map(|()| scope.spawn(|| view(address, images)));
            let each: Vec<_> = each.collect();
            each.into_iter().map(|viewer| viewer.join().expect("it reads")).fold(0.0, f64::max)
        });
        times.push(slowest);
    })
}

/// Compares the viewers of one sender. `targets`: of one viewer, and of each of five.
fn compare(report: &mut Report, name: &str, per_second: Option<u32>, targets: [Target; 2]) {
    let images = report.repetitions(IMAGES);
    let (sender, bridge) = route(per_second);
    let live = bridge.live().expect("a port of live images");
    let contenders = vec![
        viewers(sender, 1, images),
        viewers(live, 1, images),
        viewers(sender, 5, images),
        viewers(live, 5, images),
    ];
    let rounds = alternate(ROUNDS, 1, contenders);
    let figure = |at| Figure::new(rounds.rate(at), "images/s").ratio(rounds.rate_ratio(at, 0));
    let [one, five] = targets;
    let name = |way| format!("{name}, {way}");
    report.line(&name("plain loop"), figure(0), Target::None);
    report.line(&name("bridge, 1 viewer"), figure(1), one);
    report.line(&name("5 plain loops, each"), figure(2), Target::None);
    report.line(&name("bridge, 5 viewers, each"), figure(3), five);
    smol::block_on(bridge.stop());
}

fn measure(report: &mut Report) {
    let targets = [Target::RatioAtLeast(0.9), Target::RatioAtLeast(0.7)];
    compare(report, "images of a camera", Some(CAMERA), targets);
    compare(report, "images without a pause", None, [Target::None; 2]);
}

fn main() -> ExitCode {
    run("images", measure)
}
