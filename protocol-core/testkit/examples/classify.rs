//! Does one thing for a number of frames: `scripts/instructions-x86` counts what a frame takes.
//!
//! `cargo run --release -p flamingo-testkit --example classify -- event 1000`

use std::hint::black_box;

use flamingo_protocol_core::Frame;
use flamingo_protocol_core::time::Instant;
use flamingo_testkit::situations::{
    HostClient, event, query, receive_chunks, turn, with_pending, with_waiting, write_all,
};

/// Frames in the stream that comes in chunks of 100 bytes: 32 of them.
const STREAM: usize = 25;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let frames = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(1000);
    let now = Instant::from_micros(0);
    match what.as_str() {
        "decode" => decode(frames),
        "encode" => encode(frames),
        "event" => events(&mut with_pending(1, now), now, frames),
        "event, 16 in flight" => events(&mut with_pending(16, now), now, frames),
        "chunks" => chunks(&mut with_pending(1, now), now, frames),
        "answer" => answers(&mut with_pending(0, now), now, frames),
        "answer, 16 in flight" => answers(&mut with_pending(15, now), now, frames),
        "waiting" => polls(&mut with_waiting(15, now), now, frames),
        other => panic!("unknown: {other:?}"),
    }
}

fn decode(frames: usize) {
    let bytes = event();
    for _ in 0..frames {
        black_box(&Frame::decode(black_box(&bytes)));
    }
}

fn encode(frames: usize) {
    let frame = query();
    for _ in 0..frames {
        black_box(&black_box(&frame).encode());
    }
}

fn events(client: &mut HostClient, now: Instant, frames: usize) {
    let bytes = event();
    for _ in 0..frames {
        black_box(&client.handle_input(now, black_box(&bytes)));
    }
}

/// The same in chunks of 100 bytes.
fn chunks(client: &mut HostClient, now: Instant, frames: usize) {
    let stream = event().repeat(STREAM);
    for _ in 0..frames / STREAM {
        assert_eq!(receive_chunks(client, now, black_box(&stream), 100), STREAM);
    }
}

/// Requests, each written and answered.
fn answers(client: &mut HostClient, now: Instant, frames: usize) {
    let query = query();
    let answer = query.encode();
    for _ in 0..frames {
        black_box(&turn(client, now, black_box(&query), black_box(&answer)));
    }
}

/// Asks what to write, while nothing of what is queued may go.
fn polls(client: &mut HostClient, now: Instant, frames: usize) {
    for _ in 0..frames {
        assert_eq!(write_all(black_box(client), now), 0);
    }
}
