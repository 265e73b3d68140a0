//! Measures how the memory of a bridge grows under load (`soak [MINUTES]`, default 10): the slope of the
//! resident set after the warm-up, with its standard error. Linux only.
//!
//! Eight clients ask and connect again and again. Beside them, clients come and go that send nothing, half
//! a frame, or close only their own direction.
//!
//! The bridge and the simulator run in one process: if their sum does not grow, neither grows.

#![allow(clippy::cast_precision_loss)] // seconds and KiB

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::spawn;
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};

/// The resident set, in KiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// The time after which the memory should have its final size.
const WARM_UP_MINUTES: u64 = 5;

/// The mean growth between two points and its standard error. The points are not independent, since a
/// resident set changes rarely, but the steps between them are. A fitted line would therefore give an
/// error that is far too small.
fn growth(points: &[f64]) -> (f64, f64) {
    let steps: Vec<_> = points.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let count = steps.len() as f64;
    let mean = steps.iter().sum::<f64>() / count;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

fn main() {
    let minutes: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    // The simulator's record of the truth is bounded, and full before the measurement begins.
    let text = "truth_capacity_frames = 1000\n[latency]\nmin_ms = 0.2\nmax_ms = 2\n\
        [background]\nframes_per_s = 400\n[stage]\ncontinuous_axes = [\"x\", \"y\", \"z\", \"r\"]\n";
    let scenario = Scenario::from_toml(text).expect("a scenario");
    let options = SimulatorOptions::new(scenario);
    let instrument = smol::block_on(Simulator::start(options)).expect("free ports");
    let mut settings = BridgeSettings::new(instrument.control().to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    let bridge = smol::block_on(Bridge::start(&settings)).expect("free ports");
    smol::block_on(bridge.until_connected());

    let (end, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
    let mut threads = Vec::new();
    for number in 0..8 {
        let (end, counts, address) = (Arc::clone(&end), Arc::clone(&counts), bridge.control());
        threads.push(spawn(move || client(address, number, &end, &counts)));
    }
    let (address, ended, counted) = (bridge.control(), Arc::clone(&end), Arc::clone(&counts));
    threads.push(spawn(move || half_open(address, &ended, &counted)));
    let (callback, ended) = (bridge.callback().expect("the port is on"), Arc::clone(&end));
    threads.push(spawn(move || {
        let mut socket = TcpStream::connect(callback).expect("the port is open");
        let mut buffer = vec![0; 65_536];
        while !ended.load(Ordering::Relaxed) && socket.read(&mut buffer).is_ok_and(|read| read > 0)
        {
        }
    }));

    let (_open, never) = channel::<()>();
    let mut points = Vec::new();
    for minute in 1..=WARM_UP_MINUTES + minutes {
        // Nothing is ever sent, so that this waits for a minute.
        let _ = never.recv_timeout(Duration::from_secs(60));
        let now = resident();
        println!("{minute} min: {now} KiB resident, {}", counts.text());
        if minute >= WARM_UP_MINUTES {
            points.push(now);
        }
    }
    end.store(true, Ordering::Relaxed);
    let (slope, error) = growth(&points);
    println!("slope {slope:.2} KiB/min, standard error {error:.2} KiB/min");
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
    for thread in threads {
        // A thread that lost its connection at the end may have failed.
        let _ = thread.join();
    }
}

/// What the clients did.
#[derive(Default)]
struct Counts {
    answers: AtomicU64,
    /// Connections that ended before their 500 answers.
    lost: AtomicU64,
    half_open: AtomicU64,
}

impl Counts {
    fn text(&self) -> String {
        let [answers, lost, half_open] =
            [&self.answers, &self.lost, &self.half_open].map(|count| count.load(Ordering::Relaxed));
        format!("{answers} answers, {lost} connections lost, {half_open} half-open clients")
    }
}

/// Sends queries, and connects again after every 500.
fn client(address: SocketAddr, number: i32, end: &AtomicBool, counts: &Counts) {
    let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1 + number % 4);
    while !end.load(Ordering::Relaxed) {
        let mut socket = TcpStream::connect(address).expect("the port is open");
        let mut answer = [0; 128];
        for _ in 0..500 {
            let asked = socket.write_all(&query.encode());
            if asked.and_then(|()| socket.read_exact(&mut answer)).is_err() {
                counts.lost.fetch_add(1, Ordering::Relaxed);
                break;
            }
            counts.answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps eight connections open that send no whole frame, and replaces the oldest every 10 ms.
fn half_open(address: SocketAddr, end: &AtomicBool, counts: &Counts) {
    let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1).encode();
    let (_open, never) = channel::<()>();
    let mut open = VecDeque::new();
    for nth in 0_usize.. {
        // Nothing is ever sent, so that this waits.
        let _ = never.recv_timeout(Duration::from_millis(10));
        if end.load(Ordering::Relaxed) {
            return;
        }
        let mut socket = TcpStream::connect(address).expect("the port is open");
        // An error means that the bridge has closed it, which is right.
        let _ = match nth % 3 {
            0 => Ok(()),
            1 => socket.write_all(&query[..60]),
            _ => socket.write_all(&query).and_then(|()| socket.shutdown(Shutdown::Write)),
        };
        open.push_back(socket);
        if open.len() > 8 {
            open.pop_front();
        }
        counts.half_open.fetch_add(1, Ordering::Relaxed);
    }
}
