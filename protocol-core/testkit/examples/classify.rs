//! Decodes and classifies a number of frames: `scripts/instructions-x86` counts what a frame takes.
//!
//! `cargo run --release -p flamingo-testkit --example classify -- event 1000`

use std::hint::black_box;

use flamingo_protocol_core::time::{Duration, Instant};
use flamingo_protocol_core::{CommandCode, Connection, Frame, Transmit};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let frames = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(1000);
    let mut client = Connection::<4, 12, 9, 4>::default();
    let now = Instant::from_micros(0);
    let query = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    let answer = query.encode();
    let event = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    for _ in 0..frames {
        // Asked and written for an event as well, so that the two differ only in the frame.
        let asked = client.request(now, &query, now + Duration::from_millis(1000));
        if let (Ok(_), Some(Transmit::Bytes(bytes))) = (asked, client.poll_transmit(now)) {
            let written = bytes.len();
            client.transmitted(now, written);
        }
        if what == "event" {
            black_box(client.handle_input(now, black_box(&event)));
        }
        black_box(client.handle_input(now, black_box(&answer)));
    }
    let counted = client.counters();
    println!("{} answers, {} events", counted.solicited, counted.unsolicited);
}
