//! A bridge under load for a while (`bridge_soak [MINUTES]`, 10 unless told), and how its memory
//! grows: the slope of the resident set after a minute of warm-up, with its error. Linux only.
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

use flamingo_runtime_std::bridge::{Bridge, settings::Settings};
use flamingo_runtime_std::core::{CommandCode, Frame};
use flamingo_runtime_std::simulator::{Scenario, Simulator, SimulatorOptions};

/// KiB of the resident set.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// Slope and its standard error, by least squares.
fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sxx: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let sxy: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let slope = sxy / sxx;
    let rest = points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).powi(2));
    (slope, (rest.sum::<f64>() / (count - 2.0) / sxx).sqrt())
}

fn main() {
    let minutes: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    // The truth would grow; it is bounded, and full before the measuring begins.
    let text = "truth_capacity_frames = 1000\n[latency]\nmin_ms = 0.2\nmax_ms = 2\n\
        [background]\nframes_per_s = 400\n[stage]\ncontinuous_axes = [\"x\", \"y\", \"z\", \"r\"]\n";
    let scenario = Scenario::from_toml(text).expect("a scenario");
    let options = SimulatorOptions { scenario, ..SimulatorOptions::default() };
    let instrument = smol::block_on(Simulator::start(options)).expect("free ports");
    let mut settings = Settings::default();
    settings.upstream.address = instrument.control().to_string();
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
    for second in 0..60 * minutes {
        let _ = never.recv_timeout(Duration::from_secs(1));
        if second >= 60 {
            points.push((second as f64, resident()));
        }
        if second % 60 == 59 {
            let answered = answers.load(Ordering::Relaxed);
            println!("{} min: {} KiB resident, {answered} answers", second / 60 + 1, resident());
        }
    }
    end.store(true, Ordering::Relaxed);
    let (slope, error) = slope(&points);
    println!("slope {:.2} KiB/min, standard error {:.2} KiB/min", slope * 60.0, error * 60.0);
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
