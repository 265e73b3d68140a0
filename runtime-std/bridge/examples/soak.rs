//! A bridge under load for a while (`soak [MINUTES]`, 10 unless told), and how its memory
//! grows: the slope of the resident set after the warm-up, with its error. Linux only.
//!
//! Everything is in one process, the simulated instrument included: what does not grow together
//! does not grow apart.

#![allow(clippy::cast_precision_loss)] // seconds and KiB

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::spawn;
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};

/// KiB of the resident set.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// How long everything may take to become as large as it will be.
const WARM_UP_MINUTES: u64 = 5;

/// The mean growth from one point to the next and its standard error. A resident set stays where
/// it was until something moves it, so that its points are not independent, but its steps are: a
/// line fitted through the points would give an error that is far too small.
fn growth(points: &[f64]) -> (f64, f64) {
    let steps: Vec<_> = points.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let count = steps.len() as f64;
    let mean = steps.iter().sum::<f64>() / count;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

fn main() {
    let minutes: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    // The truth would grow; it is bounded, and full before the measuring begins.
    let text = "truth_capacity_frames = 1000\n[latency]\nmin_ms = 0.2\nmax_ms = 2\n\
        [background]\nframes_per_s = 400\n[stage]\ncontinuous_axes = [\"x\", \"y\", \"z\", \"r\"]\n";
    let scenario = Scenario::from_toml(text).expect("a scenario");
    let options = SimulatorOptions::new(scenario);
    let instrument = smol::block_on(Simulator::start(options)).expect("free ports");
    let mut settings = BridgeSettings::new(instrument.control().to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    let bridge = smol::block_on(Bridge::start(&settings)).expect("free ports");
    smol::block_on(bridge.until_connected());

    let (end, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut threads = Vec::new();
    for number in 0..8 {
        let (end, answers, address) = (Arc::clone(&end), Arc::clone(&answers), bridge.control());
        threads.push(spawn(move || client(address, number, &end, &answers)));
    }
    let (callback, ended) = (bridge.callback().expect("it is on"), Arc::clone(&end));
    threads.push(spawn(move || {
        let mut socket = TcpStream::connect(callback).expect("it listens");
        let mut buffer = vec![0; 65_536];
        while !ended.load(Ordering::Relaxed) && socket.read(&mut buffer).is_ok_and(|read| read > 0)
        {
        }
    }));

    let (_open, never) = channel::<()>();
    let mut points = Vec::new();
    for minute in 1..=WARM_UP_MINUTES + minutes {
        // Nothing is ever sent: this only waits.
        let _ = never.recv_timeout(Duration::from_secs(60));
        let (now, answered) = (resident(), answers.load(Ordering::Relaxed));
        println!("{minute} min: {now} KiB resident, {answered} answers");
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
        // One that lost its connection at the end has nothing more to tell.
        let _ = thread.join();
    }
}

/// Asks, and now and then connects again.
fn client(address: SocketAddr, number: i32, end: &AtomicBool, answers: &AtomicU64) {
    let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1 + number % 4);
    while !end.load(Ordering::Relaxed) {
        let mut socket = TcpStream::connect(address).expect("it listens");
        let mut answer = [0; 128];
        for _ in 0..500 {
            if socket
                .write_all(&query.encode())
                .and_then(|()| socket.read_exact(&mut answer))
                .is_err()
            {
                return;
            }
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}
