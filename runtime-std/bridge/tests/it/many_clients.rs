//! Sixteen clients at once, beside three clients that misbehave. The simulator's ground truth is
//! compared with what the subscribers of the callback port received.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use crate::harness::{bridge, status};
use flamingo_protocol_core::{
    CommandCode, Frame,
    wire::{Assembler, Piece},
};
use flamingo_runtime_testkit::raw_client::{simulator, socket};
use flamingo_simulator::TrueClass;

const CLIENTS: i32 = 16;
/// Queries of each client.
const QUERIES: i32 = 2000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// 400 unsolicited frames per second.
const BUSY: &str = "truth_capacity_frames = 1000000\n[latency]\nmin_ms = 0\nmax_ms = 0.5\n\
    [background]\nframes_per_s = 400\n";

fn connect(address: SocketAddr) -> TcpStream {
    let socket = socket(address);
    socket.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    socket
}

/// Sends random queries, one at a time, and asserts that each answer belongs to its query.
fn client(address: SocketAddr, number: i32) -> JoinHandle<()> {
    spawn(move || {
        let mut socket = connect(address);
        let mut rng = fastrand::Rng::with_seed(number.unsigned_abs().into());
        for nth in 0..QUERIES {
            let code = [
                CommandCode::STAGE_POSITION_GET,
                CommandCode::STAGE_POSITION_GET,
                CommandCode::CAMERA_IMAGE_SIZE_GET,
                CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET,
                CommandCode::SYSTEM_STATE_GET,
            ][rng.usize(..5)];
            let mut query = Frame::command(code).with_selector(rng.i32(1..=4));
            query.hardware_id = number * QUERIES + nth;
            query.client_id = number;
            socket.write_all(&query.encode()).expect("the connection is open");
            let mut bytes = [0; 128];
            socket.read_exact(&mut bytes).expect("an answer");
            let answer = Frame::decode(&bytes).expect("a frame");
            assert_eq!((answer.code, answer.client_id), (query.code, number));
            assert_eq!(answer.hardware_id, query.hardware_id, "{answer} to {query}");
            assert_eq!(answer.status, 1, "{answer}");
        }
    })
}

/// Collects all frames of the callback port until the connection ends.
fn subscriber(address: SocketAddr) -> JoinHandle<Vec<Frame>> {
    let mut socket = connect(address);
    spawn(move || {
        let (mut assembler, mut buffer, mut frames) =
            (Assembler::default(), vec![0; 65_536], Vec::new());
        while let Ok(count @ 1..) = socket.read(&mut buffer) {
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let (consumed, piece) = assembler.push(rest);
                rest = &rest[consumed..];
                if let Some(Piece::Frame { frame, skipped }) = piece {
                    assert_eq!(skipped, 0);
                    frames.push(frame);
                }
            }
        }
        frames
    })
}

/// Starts three clients that misbehave until the senders are dropped: the first sends garbage, the
/// second disconnects with open queries again and again, and the third never reads.
fn nuisances(address: SocketAddr) -> (Vec<Sender<()>>, Vec<JoinHandle<()>>) {
    let each: [fn(SocketAddr, &Receiver<()>); 3] = [garbage, restless, stalled];
    let start = |nuisance: fn(SocketAddr, &Receiver<()>)| {
        let (end, ended) = channel();
        (end, spawn(move || nuisance(address, &ended)))
    };
    each.map(start).into_iter().unzip()
}

/// Waits, and returns whether the sender still exists.
fn continues(ended: &Receiver<()>, wait_ms: u64) -> bool {
    ended.recv_timeout(Duration::from_millis(wait_ms)) == Err(RecvTimeoutError::Timeout)
}

fn query() -> [u8; 128] {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1).encode()
}

/// Its pause is long, since each connection writes as fast as the processor allows: the processor is
/// for the clients whose answers are checked.
fn garbage(address: SocketAddr, ended: &Receiver<()>) {
    while continues(ended, 20) {
        let mut socket = connect(address);
        while socket.write_all(&[0xAA; 4096]).is_ok() {}
    }
}

fn restless(address: SocketAddr, ended: &Receiver<()>) {
    while continues(ended, 2) {
        let mut socket = connect(address);
        // The bridge refuses the connection if many of the earlier ones are still open.
        let _ = socket.write_all(&query()).and_then(|()| socket.write_all(&query()[..60]));
    }
}

fn stalled(address: SocketAddr, ended: &Receiver<()>) {
    let mut socket = connect(address);
    socket.set_write_timeout(Some(Duration::from_millis(100))).expect("a socket");
    while continues(ended, 2) {
        // Unread answers accumulate until the bridge disconnects it; then it connects again.
        if socket.write_all(&query()).is_err() {
            socket = connect(address);
        }
    }
}

#[test]
fn sixteen_clients_get_their_own_answers_beside_bad_ones() {
    let instrument = simulator(BUSY);
    let bridge = bridge(instrument.control(), |settings| {
        settings.upstream.request_timeout_ms = 30_000;
    });
    let callback = bridge.callback().expect("the port is on");
    let subscribers = [subscriber(callback), subscriber(callback)];
    let (ends, nuisances) = nuisances(bridge.control());
    let clients: Vec<_> = (1..=CLIENTS).map(|number| client(bridge.control(), number)).collect();
    for client in clients {
        client.join().expect("every answer is right");
    }
    drop(ends);
    for nuisance in nuisances {
        nuisance.join().expect("the thread ends");
    }
    let status = status(&bridge);
    smol::block_on(bridge.stop());
    let truth = instrument.truth();
    assert_eq!(truth.dropped(), 0, "the truth must be complete");
    let sent: Vec<_> = truth
        .sent()
        .into_iter()
        .filter(|record| matches!(record.truth, TrueClass::Unsolicited))
        .map(|record| record.frame)
        .collect();
    smol::block_on(instrument.stop());
    for subscriber in subscribers {
        let got = subscriber.join().expect("the thread ends");
        // The bridge publishes the state when it connects, which may be before the subscriber joined.
        let got: Vec<_> =
            got.into_iter().filter(|frame| frame.code != CommandCode::SYSTEM_STATE_IDLE).collect();
        let sent: Vec<_> = sent
            .iter()
            .filter(|frame| frame.code != CommandCode::SYSTEM_STATE_IDLE)
            .copied()
            .collect();
        let first = got.first().expect("events came");
        let from = sent.iter().position(|frame| frame == first).expect("the instrument sent it");
        let until = from + got.len();
        assert!(until <= sent.len() && got == sent[from..until], "each event once and in order");
        assert!(got.len() > 100 && sent.len() - got.len() < 200, "{} of {}", got.len(), sent.len());
    }
    let total = status.total();
    println!("{} answers, {} late, upstream {:?}", total.answers, total.late, status.upstream);
    assert!(total.answers >= u64::try_from(CLIENTS * QUERIES).unwrap());
    assert_eq!(status.callback.lost, 0);
    assert_eq!(status.upstream.ambiguous, 0);
}
