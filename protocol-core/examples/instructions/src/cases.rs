//! The cases: each one prepares a state, counts one call, and checks the result. A case returns
//! `None` if the core does not do what the case expects.

use flamingo_protocol_core::{
    Class, CommandCode, Flags, Frame, Output, Ticket,
    time::{Duration, Instant},
    wire::{Assembler, FRAME_LEN, Piece, START_MARKER},
};

use crate::board::Counter;
use crate::calls::{self, Client};

type Case = fn(&Counter) -> Option<u32>;

/// One round is enough to show where the instructions are spent.
const TIMES: u64 = if cfg!(feature = "once") { 1 } else { 1000 };

/// Each case returns the largest number of instructions of all rounds.
pub const ALL: [(&str, Case); 16] = [
    ("decode", decode),
    ("encode", encode),
    ("assemble a frame in one piece", |counter| assemble(counter, FRAME_LEN)),
    ("assemble a frame in pieces of 64", |counter| assemble(counter, 64)),
    ("assemble a frame in pieces of 16", |counter| assemble(counter, 16)),
    ("assemble a frame byte by byte", |counter| assemble(counter, 1)),
    ("skip 128 bytes of noise", |counter| skip(counter, &[0xAA; FRAME_LEN])),
    ("skip 128 bytes of false start markers", |counter| skip(counter, &false_starts())),
    ("decode and classify: an event", |counter| {
        unsolicited(counter, &Frame::new(CommandCode::SYSTEM_STATE_IDLE))
    }),
    ("decode and classify: a position push", |counter| {
        let mut push = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(1);
        push.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
        unsolicited(counter, &push)
    }),
    ("decode and classify: an unknown code", |counter| {
        unsolicited(counter, &Frame::new(CommandCode(0xFFFF)))
    }),
    ("decode and classify: an answer", |counter| answer(counter, &[query(0)])),
    ("decode and classify: an answer, four pending", |counter| {
        answer(counter, &[query(3), query(2), query(1), query(0)])
    }),
    ("decode and classify: a presumed answer", presumed),
    ("request", |counter| ask(counter).map(|(request, _)| request)),
    ("write a request", |counter| ask(counter).map(|(_, write)| write)),
];

/// Queries of four subsystems, each with an answer of its own.
fn query(which: usize) -> Frame {
    match which {
        0 => Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1),
        1 => Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET),
        2 => Frame::command(CommandCode::SYSTEM_STATE_GET),
        _ => Frame::command(CommandCode::STORAGE_PATH_SET),
    }
}

fn false_starts() -> [u8; FRAME_LEN] {
    let mut bytes = [0; FRAME_LEN];
    for (to, from) in bytes.iter_mut().zip(START_MARKER.to_le_bytes().iter().cycle()) {
        *to = *from;
    }
    bytes
}

fn rounds() -> impl Iterator<Item = Instant> {
    (1..=TIMES).map(|round| Instant::from_micros(round * 1_000_000))
}

fn decode(counter: &Counter) -> Option<u32> {
    let bytes = query(0).encode();
    most(|_| {
        let (count, decoded) = counter.count(|| calls::decode(&bytes));
        decoded.is_ok().then_some(count)
    })
}

fn encode(counter: &Counter) -> Option<u32> {
    let frame = query(0);
    most(|_| {
        let (count, bytes) = counter.count(|| calls::encode(&frame));
        (Frame::decode(&bytes) == Ok(frame)).then_some(count)
    })
}

/// Counts all calls for one frame.
fn assemble(counter: &Counter, piece_len: usize) -> Option<u32> {
    let mut assembler = Assembler::default();
    let bytes = query(0).encode();
    most(|_| {
        let mut count = 0;
        let mut frames = 0;
        for piece in bytes.chunks(piece_len) {
            let (more, (consumed, found)) = counter.count(|| calls::push(&mut assembler, piece));
            count += more;
            frames += u32::from(matches!(found, Some(Piece::Frame { .. })));
            if consumed != piece.len() {
                return None;
            }
        }
        (frames == 1).then_some(count)
    })
}

fn skip(counter: &Counter, noise: &[u8; FRAME_LEN]) -> Option<u32> {
    let mut assembler = Assembler::default();
    most(|_| {
        let (count, (consumed, found)) = counter.count(|| calls::push(&mut assembler, noise));
        (consumed == noise.len() && found.is_none()).then_some(count)
    })
}

fn unsolicited(counter: &Counter, frame: &Frame) -> Option<u32> {
    let mut client = Client::default();
    let bytes = frame.encode();
    most(|now| {
        let (count, class) = receive(counter, &mut client, now, &bytes)?;
        (class == Class::Unsolicited { ours: false }).then_some(count)
    })
}

/// Answers the last query first, and counts that call.
fn answer(counter: &Counter, queries: &[Frame]) -> Option<u32> {
    let mut client = Client::default();
    most(|now| {
        for query in queries {
            client.request(now, query, now + Duration::from_millis(500)).ok()?;
        }
        let last = calls::write_all(&mut client, now)?;
        if client.in_flight().0 != queries.len() {
            return None;
        }
        let mut first = None;
        for query in queries.iter().rev() {
            let (count, class) = receive(counter, &mut client, now, &query.encode())?;
            first = first.or((class == proven(last)).then_some(count));
        }
        first
    })
}

const fn proven(ticket: Ticket) -> Class {
    Class::Solicited { ticket, proven: true }
}

/// The answer may be a push: the true answer may still come.
fn presumed(counter: &Counter) -> Option<u32> {
    let mut client = Client::default();
    let query = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(1);
    most(|now| {
        client.handle_timeout(now); // ends the tombstone of the previous round
        let ticket = client.request(now, &query, now + Duration::from_millis(500)).ok()?;
        calls::write_all(&mut client, now)?;
        let (count, class) = receive(counter, &mut client, now, &query.encode())?;
        (class == Class::Solicited { ticket, proven: false }).then_some(count)
    })
}

/// Counts a request, and the call that writes it.
fn ask(counter: &Counter) -> Option<(u32, u32)> {
    let mut client = Client::default();
    let query = query(0);
    let mut most = (0, 0);
    for now in rounds() {
        let (request, ticket) = counter.count(|| calls::request(&mut client, now, &query));
        let (write, written) = counter.count(|| calls::write_all(&mut client, now));
        let (_, class) = receive(counter, &mut client, now, &query.encode())?;
        if ticket.ok() != written || class != proven(written?) {
            return None;
        }
        most = (most.0.max(request), most.1.max(write));
    }
    Some(most)
}

/// Receives a whole frame and counts that call.
fn receive(
    counter: &Counter,
    client: &mut Client,
    now: Instant,
    bytes: &[u8; FRAME_LEN],
) -> Option<(u32, Class)> {
    let (count, (consumed, output)) = counter.count(|| calls::handle_input(client, now, bytes));
    let Some(Output::Frame(received)) = output else { return None };
    (consumed == FRAME_LEN).then_some((count, received.class))
}

fn most(mut round: impl FnMut(Instant) -> Option<u32>) -> Option<u32> {
    let mut most = 0;
    for now in rounds() {
        most = most.max(round(now)?);
    }
    Some(most)
}
