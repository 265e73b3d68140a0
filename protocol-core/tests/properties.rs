//! What must hold for any input: chunking changes nothing, junk loses nothing, every request has
//! one outcome, and a peer that answers in order never gets a wrong proven answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::VecDeque;

use common::*;
use flamingo_protocol_core::{
    Assembler, Class, CommandCode, Config, Flags, Frame, OnAmbiguous, Piece, Ticket, UnmarkedPushes,
};
use proptest::prelude::*;

fn any_frame() -> impl Strategy<Value = Frame> {
    let code = prop_oneof![Just(0x6008_u32), Just(0x6004), Just(0x3014), any::<u32>()];
    let ints = prop::array::uniform3(any::<i32>());
    let ids = (any::<i32>(), any::<i32>(), any::<i32>(), any::<i32>());
    let buffer = prop::collection::vec(any::<u8>(), 72);
    (code, ids, ints, any::<u32>(), any::<u64>(), 0..400_u32, buffer).prop_map(
        |(code, ids, int32_data, flags, value, payload_len, bytes)| {
            let mut frame = Frame::new(CommandCode(code));
            (frame.status, frame.hardware_id, frame.subsystem_id, frame.client_id) = ids;
            frame.int32_data = int32_data;
            frame.flags = Flags(flags);
            frame.value = f64::from_bits(value);
            frame.payload_len = payload_len;
            frame.buffer.copy_from_slice(&bytes);
            frame
        },
    )
}

/// Junk that holds no end marker, so that no frame can be in it; start markers and parts of them
/// it may hold.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(0..0x20_u8, 0..150),
        (1..=4_usize).prop_map(|len| vec![0x54, 0xE6, 0x21, 0xF3][..len].to_vec()),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// Frames with their payloads, and all bytes that were skipped.
fn read(stream: &[u8], cuts: &[usize]) -> (Vec<(Frame, u32, Vec<u8>)>, u64) {
    let mut assembler = Assembler::default();
    let mut read: Vec<(Frame, u32, Vec<u8>)> = Vec::new();
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    for pair in cuts.windows(2) {
        let mut input = &stream[pair[0]..pair[1]];
        loop {
            let (consumed, piece) = assembler.push(input);
            input = &input[consumed..];
            match piece {
                Some(Piece::Frame { frame, skipped }) => read.push((frame, skipped, Vec::new())),
                Some(Piece::Payload { bytes, .. }) => read.last_mut().unwrap().2.extend(bytes),
                None if input.is_empty() => break,
                None => {}
            }
        }
    }
    (read, assembler.noise_bytes())
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(frame in any_frame()) {
        prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }

    #[test]
    fn decoding_any_bytes_gives_them_back_or_an_error(bytes in prop::collection::vec(any::<u8>(), 128)) {
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(&frame.encode()[..], &bytes[..]);
        }
    }

    #[test]
    fn no_chunking_changes_what_any_bytes_give(
        bytes in prop::collection::vec(prop_oneof![Just(0x54_u8), Just(0xE6), Just(0x21), Just(0xF3), any::<u8>()], 0..600),
        frame in any_frame(),
        at in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut stream = bytes;
        let at = at.index(stream.len() + 1);
        stream.splice(at..at, frame.encode());
        prop_assert_eq!(read(&stream, &cuts), read(&stream, &[]));
    }

    #[test]
    fn junk_between_frames_loses_none_of_them(
        parts in prop::collection::vec((junk(), any_frame()), 1..8),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (junk, frame) in &parts {
            stream.extend(junk);
            stream.extend(frame.encode());
            let payload: Vec<u8> = frame.encode().iter().copied().cycle().take(frame.payload_len as usize).collect();
            stream.extend(&payload);
            expected.push((*frame, junk.len() as u32, payload));
        }
        let (frames, noise) = read(&stream, &cuts);
        prop_assert_eq!(frames, expected);
        prop_assert_eq!(noise, parts.iter().map(|(junk, _)| junk.len() as u64).sum::<u64>());
    }
}

#[derive(Clone)]
enum Step {
    Ask(Frame),
    Send(Frame),
    Cancel(usize),
    Pass(u64),
    /// The peer takes the next command; answers it, or never will.
    Take {
        answers: bool,
    },
    /// The oldest answer of a subsystem comes.
    Answer(u32),
    Push(Frame),
    Eof,
}

/// One short line a step.
impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ask(frame) => write!(f, "Ask {} {}", frame.code, frame.selector()),
            Self::Send(frame) => write!(f, "Send {} {}", frame.code, frame.selector()),
            Self::Push(frame) => write!(f, "Push {} {}", frame.code, frame.selector()),
            Self::Cancel(which) => write!(f, "Cancel {which}"),
            Self::Pass(millis) => write!(f, "Pass {millis}"),
            Self::Take { answers } => write!(f, "Take answers={answers}"),
            Self::Answer(subsystem) => write!(f, "Answer {subsystem}"),
            Self::Eof => f.write_str("Eof"),
        }
    }
}

fn command() -> impl Strategy<Value = Frame> {
    prop_oneof![
        4 => (1..3).prop_map(position),
        2 => (1..3).prop_map(|axis| go(axis, 1.0)),
        1 => (1..3).prop_map(halt),
        1 => Just(ask(CommandCode::CAMERA_IMAGE_SIZE_GET)),
        1 => Just(ask(CommandCode::CAMERA_EXPOSURE_GET)),
        1 => Just(ask(CommandCode::SYSTEM_STATE_GET)),
        1 => (1..3).prop_map(|laser| ask(CommandCode::LASER_LEVEL_GET).with_selector(laser)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => command().prop_map(Step::Ask),
        2 => command().prop_map(Step::Send),
        5 => any::<usize>().prop_map(Step::Cancel),
        6 => prop_oneof![0..50_u64, 500..4000_u64].prop_map(Step::Pass),
        24 => prop::bool::weighted(0.85).prop_map(|answers| Step::Take { answers }),
        24 => prop_oneof![Just(2_u32), Just(3), Just(6), Just(10)].prop_map(Step::Answer),
        3 => command().prop_map(Step::Push),
        1 => Just(Step::Eof),
    ]
}

/// A peer that keeps the stated assumptions: at most one answer a command, in order within a
/// subsystem, pushes only of keys that are known to be pushed.
struct Peer {
    taken: usize,
    /// The number of the command on the wire, and its answer, for each subsystem.
    owed: [VecDeque<(usize, Frame)>; 16],
}

/// The answer says in doubleData which command of the wire it answers.
fn play(config: Config, steps: Vec<Step>) {
    let mut client = Client::with(config);
    let mut peer = Peer { taken: 0, owed: Default::default() };
    let mut asked: Vec<(Ticket, i32)> = Vec::new();
    let mut cancelled: Vec<Ticket> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Ask(mut frame) => {
                frame.hardware_id = number as i32 + 1; // the peer echoes it
                asked.extend(client.try_ask(&frame).ok().map(|ticket| (ticket, frame.hardware_id)));
            }
            Step::Send(frame) => {
                let _ = client.core.send(client.now, &frame);
                client.write();
            }
            Step::Cancel(which) => {
                let open: Vec<_> = asked
                    .iter()
                    .map(|(ticket, _)| *ticket)
                    .filter(|ticket| client.outcomes(*ticket) == 0)
                    .collect();
                if let Some(ticket) =
                    open.get(which % open.len().max(1)).filter(|t| !cancelled.contains(t))
                {
                    client.cancel(*ticket);
                    cancelled.push(*ticket);
                }
            }
            Step::Pass(millis) => client.pass(ms(millis)),
            Step::Take { answers } => {
                if let Some(frame) = client.wire.get(peer.taken).copied() {
                    if answers {
                        peer.owed[frame.code.subsystem() as usize].push_back((peer.taken, frame));
                    }
                    peer.taken += 1;
                }
            }
            Step::Answer(subsystem) => {
                if let Some((at, frame)) = peer.owed[subsystem as usize].pop_front() {
                    client.hear(&answer(&frame, at as f64));
                }
            }
            Step::Push(frame) if config.pushable(frame.code) => {
                client.hear(&answer(&frame, -1.0));
            }
            Step::Push(frame) => {
                let mut pushed = answer(&frame, -1.0);
                pushed.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
                client.hear(&pushed);
            }
            Step::Eof => {
                client.core.handle_eof();
                client.write();
            }
        }
    }
    check(&mut client, &asked, &cancelled, config);
}

fn check(client: &mut Client, asked: &[(Ticket, i32)], cancelled: &[Ticket], config: Config) {
    for received in &client.frames {
        let (Class::Solicited { ticket, proven: true } | Class::Late { ticket, proven: true }) =
            &received.class
        else {
            continue;
        };
        assert!(received.frame.value >= 0.0, "a push was proven: {received:?}");
        // A proven answer carries the mark of the very request; a fence has none.
        let mark = asked.iter().find(|(of, _)| of == ticket).map_or(0, |(_, mark)| *mark);
        assert_eq!(received.frame.hardware_id, mark, "{received:?}");
        assert_eq!(ticket.is_fence(), mark == 0, "{received:?}");
    }

    // Time ends what is still open; then each request has exactly one outcome.
    client.pass(ms(60_000));
    for (ticket, _) in asked {
        let outcomes = client.outcomes(*ticket) + usize::from(cancelled.contains(ticket));
        assert_eq!(outcomes, 1, "{ticket:?}");
    }
    assert_eq!(client.core.in_flight(), (0, 0));
    if config.on_ambiguous == OnAmbiguous::Presume {
        assert_eq!(client.core.poll_timeout(), None);
    }
}

fn configs() -> impl Strategy<Value = Config> {
    let unmarked = |positions| UnmarkedPushes { positions, ..UnmarkedPushes::default() };
    let tokens = prop_oneof![
        3 => Just(None),
        1 => Just(Some(flamingo_protocol_core::TokenField::Int32Data2)),
    ];
    (any::<bool>(), any::<bool>(), tokens).prop_map(move |(positions, presume, tokens)| Config {
        unmarked: unmarked(positions),
        on_ambiguous: if presume { OnAmbiguous::Presume } else { OnAmbiguous::Refuse },
        tokens,
        ..Config::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]
    #[test]
    fn any_conversation_has_one_outcome_a_request_and_no_wrong_proven_answer(
        config in configs(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        play(config, steps);
    }
}
