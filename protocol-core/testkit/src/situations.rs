//! States of a client that the benches and `examples/classify.rs` measure. It has the capacities of the
//! adapter for hosts.

use flamingo_protocol_core::time::{Duration, Instant};
use flamingo_protocol_core::{
    CommandCode, Config, Connection, Flags, Frame, Output, Received, Transmit,
};

/// The client of the adapter for hosts.
pub type HostClient = Connection<64, 256, 81, 16>;

/// The patience of each request.
const PATIENCE: Duration = Duration::from_millis(1000);

/// An event, as it comes from the instrument.
pub fn event() -> [u8; 128] {
    Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode()
}

/// A query whose answer proves something.
pub fn query() -> Frame {
    Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET)
}

/// A client that sends as many requests at once as it can hold.
pub fn client() -> HostClient {
    HostClient::new(Config::default().with_window(1000))
}

/// Writes all that may go out now. Returns the number of frames.
pub fn write_all(client: &mut HostClient, now: Instant) -> usize {
    let mut frames = 0;
    while let Some(transmit) = client.poll_transmit(now) {
        let len = match transmit {
            Transmit::Bytes(bytes) => bytes.len(),
            Transmit::Payload { remaining, .. } => remaining as usize,
        };
        frames += usize::from(client.transmitted(now, len).is_some());
    }
    frames
}

/// Asks for this and writes it.
fn ask(client: &mut HostClient, now: Instant, command: &Frame) {
    client.request(now, command, now + PATIENCE).expect("there is room");
    assert_eq!(write_all(client, now), 1, "the request goes out");
}

/// A query of a key of its own.
fn numbered(number: usize) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(100 + number as i32)
}

/// A client with this many requests in flight, each of another key.
pub fn with_pending(requests: usize, now: Instant) -> HostClient {
    let mut client = client();
    (0..requests).for_each(|number| ask(&mut client, now, &numbered(number)));
    assert_eq!(client.in_flight(), (requests, 0));
    client
}

/// A client with this many tombstones: the caller cancelled the requests after they were sent.
pub fn with_tombstones(tombstones: usize, now: Instant) -> HostClient {
    let mut client = client();
    for number in 0..tombstones {
        ask(&mut client, now, &numbered(number));
        client.cancel(now, client.last_ticket());
    }
    assert_eq!(client.in_flight(), (0, tombstones));
    client
}

/// A client with one request in flight, and this many of the same key that must wait for its answer.
pub fn with_waiting(requests: usize, now: Instant) -> HostClient {
    let mut client = client();
    ask(&mut client, now, &query());
    for _ in 0..requests {
        client.request(now, &query(), now + PATIENCE).expect("there is room");
    }
    assert_eq!(write_all(&mut client, now), 0, "no request goes out");
    client
}

/// The frame of a whole frame that comes in.
///
/// # Panics
/// If it is none.
pub fn receive(client: &mut HostClient, now: Instant, frame: &[u8; 128]) -> Received {
    match client.handle_input(now, frame) {
        (128, Some(Output::Frame(received))) => received,
        other => panic!("expected a frame, got {other:?}"),
    }
}

/// Asks for the answer, writes the request and receives the answer.
pub fn turn(client: &mut HostClient, now: Instant, query: &Frame, answer: &[u8; 128]) -> Received {
    client.request(now, query, now + PATIENCE).expect("there is room");
    write_all(client, now);
    receive(client, now, answer)
}

/// Passes all bytes in chunks of this size. Returns the number of frames.
pub fn receive_chunks(client: &mut HostClient, now: Instant, stream: &[u8], size: usize) -> usize {
    let mut frames = 0;
    for mut chunk in stream.chunks(size) {
        loop {
            let (consumed, output) = client.handle_input(now, chunk);
            if std::hint::black_box(&output).is_none() {
                break;
            }
            (frames, chunk) = (frames + 1, &chunk[consumed..]);
        }
    }
    frames
}

/// Bytes that hold no frame and are hard to skip, with their names.
pub fn junk(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut rng = fastrand::Rng::with_seed(1);
    let frame = query().encode();
    let mut wrong_end = frame;
    wrong_end[127] ^= 1;
    let mut too_long = frame;
    too_long[48..52].fill(0xFF);
    let repeat = |pattern: &[u8]| pattern.iter().copied().cycle().take(bytes).collect::<Vec<_>>();
    vec![
        ("zeros", vec![0; bytes]),
        ("noise", std::iter::repeat_with(|| rng.u8(..)).take(bytes).collect()),
        ("start markers back to back", repeat(&frame[..4])),
        ("first bytes of start markers", repeat(&frame[..1])),
        ("first bytes of start markers, every other byte", repeat(&[frame[0], 0])),
        ("three bytes of start markers", repeat(&frame[..3])),
        ("start markers, 5 bytes apart", repeat(&[&frame[..4], &[0]].concat())),
        ("start and end markers back to back", repeat(&[&frame[..4], &frame[124..]].concat())),
        ("end markers back to back", repeat(&frame[124..])),
        ("frames with a wrong end marker", repeat(&wrong_end)),
        ("frames with a payload above the limit", repeat(&too_long)),
    ]
}

/// A push of a position during a motion.
pub fn push() -> [u8; 128] {
    let mut push = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(1).with_value(7.5);
    push.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    push.encode()
}
