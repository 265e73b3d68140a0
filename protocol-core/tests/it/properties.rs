//! Properties for any input: chunking changes nothing, junk loses no frame, every request has one
//! outcome, and a peer that answers in order never gets a wrong proven answer.

use std::collections::VecDeque;

use crate::common::*;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Flags, Frame, Ticket,
    connection::{OnAmbiguous, OrderingDomain, TokenField, UnmarkedPushes},
    wire::{Assembler, Piece, Timing},
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

/// Junk without an end marker, so that it contains no frame. It may contain start markers and parts
/// of them.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(0..0x20_u8, 0..150),
        (1..=4_usize).prop_map(|len| vec![0x54, 0xE6, 0x21, 0xF3][..len].to_vec()),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// The frames of a stream with their payloads, and the number of skipped bytes.
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

#[derive(Clone, Copy)]
enum Step {
    Ask(Frame),
    Send(Frame),
    Cancel(usize),
    Pass(u64),
    /// The peer reads the next command, and answers it or never will.
    Take {
        answers: bool,
    },
    /// An answer comes from one of the lanes. Each lane keeps an order.
    Answer(usize),
    Push(Frame),
    Eof,
}

/// One short line per step.
impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ask(frame) => write!(f, "Ask {} {}", frame.code, frame.selector()),
            Self::Send(frame) => write!(f, "Send {} {}", frame.code, frame.selector()),
            Self::Push(frame) => write!(f, "Push {} {}", frame.code, frame.selector()),
            Self::Cancel(which) => write!(f, "Cancel {which}"),
            Self::Pass(millis) => write!(f, "Pass {millis}"),
            Self::Take { answers } => write!(f, "Take answers={answers}"),
            Self::Answer(lane) => write!(f, "Answer {lane}"),
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
        1 => (1..3).prop_map(|axis| ask(CommandCode::STAGE_HOME).with_selector(axis)),
        1 => Just(ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD)),
        1 => Just(ask(CommandCode(0x6FFF))),
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
        24 => any::<usize>().prop_map(Step::Answer),
        3 => command().prop_map(Step::Push),
        1 => Just(Step::Eof),
    ]
}

/// A peer that keeps the stated assumptions: at most one answer to a command, answers in order
/// within a domain, and pushes only for keys that are known to be pushed.
#[derive(Default)]
struct Peer {
    /// The number of commands that it has read.
    taken: usize,
    /// The answers to come, one lane per domain. The first lane keeps only the order within each
    /// key.
    lanes: [VecDeque<Frame>; 16],
}

impl Peer {
    fn take(&mut self, client: &Client, answers: bool, config: &Config) {
        let Some(command) = client.wire.get(self.taken).copied() else { return };
        self.taken += 1;
        let at_end = command.code.row().is_some_and(|row| row.timing == Timing::AtEnd);
        let lane = match config.ordering {
            _ if at_end => 0,
            OrderingDomain::Subsystem => command.code.subsystem() as usize,
            OrderingDomain::Connection => 1,
            OrderingDomain::Key => 0,
        };
        if answers {
            let mut reply = answer(&command, 1.0);
            if config.peer_tags {
                reply.flags = reply.flags.with(Flags::ANSWER_TAG);
            }
            self.lanes[lane].push_back(reply);
        }
    }

    /// The next answer of a lane; in the first lane, the next answer of any key.
    fn answer(&mut self, which: usize) -> Option<Frame> {
        let open = self.lanes.iter().filter(|lane| !lane.is_empty()).count();
        let mut lanes = self.lanes.iter_mut().enumerate().filter(|(_, lane)| !lane.is_empty());
        let (number, lane) = lanes.nth(which % open.max(1))?;
        if number > 0 {
            return lane.pop_front();
        }
        let any = lane[which / 16 % lane.len()];
        let same = |reply: &Frame| reply.code == any.code && reply.selector() == any.selector();
        lane.remove(lane.iter().position(same)?)
    }

    /// Reads and answers all commands at once.
    fn serve(&mut self, client: &mut Client, config: &Config) {
        while self.taken < client.wire.len() {
            self.take(client, true, config);
            while let Some(reply) = self.answer(0) {
                client.hear(&reply);
            }
        }
    }
}

/// A conversation. Each request has a unique mark in hardwareID, which the peer echoes.
struct Talk {
    config: Config,
    client: Client,
    peer: Peer,
    asked: Vec<(Ticket, i32)>,
    cancelled: Vec<Ticket>,
    closed: bool,
}

impl Talk {
    fn new(config: Config) -> Self {
        let (client, peer) = (Client::with(config), Peer::default());
        Self { config, client, peer, asked: vec![], cancelled: vec![], closed: false }
    }

    fn ask(&mut self, mut frame: Frame) {
        frame.hardware_id = self.asked.len() as i32 + 1;
        if let Ok(ticket) = self.client.try_ask(&frame) {
            self.asked.push((ticket, frame.hardware_id));
        }
    }

    fn step(&mut self, step: Step) {
        let Self { config, client, peer, .. } = self;
        match step {
            Step::Ask(frame) => self.ask(frame),
            Step::Send(frame) => {
                let _ = client.core.send(client.now, &frame);
                client.write();
            }
            Step::Cancel(which) => self.cancel(which),
            Step::Pass(millis) => client.pass(ms(millis)),
            Step::Take { answers } => peer.take(client, answers, config),
            Step::Answer(which) => {
                if let Some(reply) = peer.answer(which) {
                    client.hear(&reply);
                }
            }
            Step::Push(frame) => {
                let mut pushed = answer(&frame, PUSHED);
                if !config.pushable(frame.code) && !config.peer_tags {
                    pushed.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
                }
                client.hear(&pushed);
            }
            Step::Eof => {
                client.core.handle_eof();
                client.write();
                self.closed = true;
            }
        }
    }

    fn cancel(&mut self, which: usize) {
        let tickets = self.asked.iter().map(|(ticket, _)| *ticket);
        let open: Vec<_> = tickets
            .filter(|ticket| self.client.outcomes(*ticket) == 0 && !self.cancelled.contains(ticket))
            .collect();
        if let Some(ticket) = open.get(which % open.len().max(1)) {
            self.client.cancel(*ticket);
            self.cancelled.push(*ticket);
        }
    }
}

/// The value of doubleData in a push.
const PUSHED: f64 = -1.0;

impl Talk {
    /// A proven answer must carry the mark of its own request. A fence has no mark.
    fn check_proofs(&self) {
        for received in &self.client.frames {
            if matches!(received.class, Class::Ambiguous { .. }) {
                let halt = received.frame.code == CommandCode::STAGE_HALT;
                let presume = self.config.on_ambiguous == OnAmbiguous::Presume;
                assert!(halt || presume, "only a HALT may be ambiguous: {received:?}");
            }
            let (Class::Solicited { ticket, proven: true } | Class::Late { ticket, proven: true }) =
                &received.class
            else {
                continue;
            };
            assert!(received.frame.value > PUSHED, "a push was proven: {received:?}");
            let asked = self.asked.iter().find(|(of, _)| of == ticket);
            let mark = asked.map_or(0, |(_, mark)| *mark);
            assert_eq!(received.frame.hardware_id, mark, "{received:?}");
            assert_eq!(ticket.is_fence(), mark == 0, "{received:?}");
        }
    }

    /// Lets all deadlines pass; then each request must have exactly one outcome.
    fn check_outcomes(&mut self) {
        self.client.pass(ms(60_000));
        for (ticket, _) in &self.asked {
            let cancelled = usize::from(self.cancelled.contains(ticket));
            assert_eq!(self.client.outcomes(*ticket) + cancelled, 1, "{ticket:?}");
        }
        assert_eq!(self.client.core.in_flight(), (0, 0));
        assert_eq!(self.client.core.poll_timeout(), None);
    }

    /// From any state, if the peer answers from now on, each request gets its own answer.
    fn check_that_nothing_is_shifted(&mut self) {
        if self.closed {
            return;
        }
        let Self { client, peer, .. } = self;
        *peer = Peer { taken: client.wire.len(), ..Peer::default() };
        // The answer to a key that was never used settles everything before it.
        for round in 0..3 {
            for query in [go(4, 1.0), position(1), position(2)] {
                self.ask(query);
                let Self { client, peer, config, asked, .. } = self;
                peer.serve(client, config);
                let (ticket, mark) = asked[asked.len() - 1];
                let answers = client.answers(ticket);
                assert_eq!(answers.len(), 1, "round {round}");
                assert_eq!(answers[0].hardware_id, mark);
                if config.ordering != OrderingDomain::Key && !config.pushable(query.code) {
                    let proven = Class::Solicited { ticket, proven: true };
                    assert!(client.frames.iter().any(|received| received.class == proven));
                }
                // Without a proof the next request of the key must wait for the grace.
                client.pass(ms(1000));
            }
        }
    }
}

fn configs() -> impl Strategy<Value = Config> {
    let tokens = prop_oneof![3 => Just(None), 1 => Just(Some(TokenField::Int32Data2))];
    let ordering = prop_oneof![
        4 => Just(OrderingDomain::Subsystem),
        1 => Just(OrderingDomain::Connection),
        1 => Just(OrderingDomain::Key),
    ];
    let peer_tags = prop::bool::weighted(0.15);
    let settings = (any::<bool>(), any::<bool>(), tokens, ordering, peer_tags);
    settings.prop_map(|(positions, presume, tokens, ordering, peer_tags)| {
        Config::default()
            .with_unmarked(UnmarkedPushes::default().with_positions(positions))
            .with_on_ambiguous(if presume { OnAmbiguous::Presume } else { OnAmbiguous::Refuse })
            .with_tokens(tokens)
            .with_ordering(ordering)
            .with_peer_tags(peer_tags)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]
    #[test]
    fn any_conversation_has_one_outcome_each_and_no_wrong_proof(
        config in configs(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut talk = Talk::new(config);
        for step in steps {
            talk.step(step);
        }
        talk.check_proofs();
        talk.check_outcomes();
        talk.check_that_nothing_is_shifted();
        talk.check_proofs();
    }
}
