//! A byte string decoded into what happens in a conversation, and a conversation that does it.

use flamingo_protocol_core::{
    CommandCode, Config, Frame,
    connection::{OnAmbiguous, OrderingDomain, TokenField, UnmarkedPushes},
    time::Duration,
};

use crate::device::Outgoing;
use crate::harness::{Harness, Settings};
use crate::link::Faults;
use crate::reference::START;
use crate::stream::Input;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// The client asks, with so many ms of patience.
    Ask(u8, u16),
    /// It sends without asking.
    Send(u8),
    /// It uploads so many bytes: asked (settings) or not (a workflow).
    Upload(bool, u8),
    /// It halts an axis.
    Halt(u8),
    /// It takes a request back.
    Cancel(u8),
    /// So many ms pass.
    Pass(u16),
    /// The device takes the next command up; the answer comes later.
    Take,
    /// It takes it up and will never answer.
    Drop,
    /// It sends the next answer of one of its lanes.
    Answer(u8),
    /// It sends it twice: outside the assumptions.
    Double(u8),
    /// It pushes.
    Push(u8),
    /// Bytes that are no frame come between two frames.
    Feed(u8, u8),
    /// A way stalls for so many ms: up to the device, or down.
    Stall(bool, u16),
    /// The device takes up and answers everything.
    Serve,
    /// The client closes its way.
    CloseUp,
    /// The device closes its way: end of stream.
    Eof,
    /// The connection is reset.
    Reset,
}

/// What is asked, sent or pushed.
pub fn command(which: u8) -> Frame {
    let (axis, code) = (1 + i32::from(which / 16 % 2), CommandCode);
    let select = |number| Frame::command(code(number)).with_selector(axis);
    match which % 16 {
        0..=4 => select(0x6008),
        5 | 6 => select(0x6004).with_value(1.0),
        7 => Frame::command(code(0x3027)),
        8 => Frame::command(code(0x300A)),
        9 => Frame::command(code(0xA007)),
        10 => select(0x6002),
        11 => Frame::command(code(0x1009)),
        12 => Frame::command(code(0x6FFF)),
        13 => select(0x2002),
        14 => select(0x6010),
        _ => Frame::command(code(0x4003)),
    }
}

impl Op {
    /// The next operation. Much used ones have more first bytes.
    pub fn decode(input: &mut Input) -> Option<Self> {
        Some(match input.first()? % 64 {
            0..=13 => Self::Ask(input.byte(), 3000),
            14..=17 => Self::Ask(input.byte(), input.short() % 5000),
            18 | 19 => Self::Send(input.byte()),
            20 | 21 => Self::Upload(input.byte().is_multiple_of(2), input.byte()),
            22 | 23 => Self::Halt(input.byte()),
            24..=27 => Self::Cancel(input.byte()),
            28..=30 => Self::Pass(u16::from(input.byte())),
            31 | 32 => Self::Pass(input.short() % 5000),
            33..=41 => Self::Take,
            42 | 43 => Self::Drop,
            44..=52 => Self::Answer(input.byte()),
            53..=55 => Self::Push(input.byte()),
            56 | 57 => Self::Feed(input.byte(), input.byte()),
            58 | 59 => Self::Stall(input.byte().is_multiple_of(2), input.short() % 3000),
            60 | 61 => Self::Serve,
            62 => Self::Double(input.byte()),
            _ => match input.byte() % 16 {
                0 => Self::CloseUp,
                1 => Self::Eof,
                2 => Self::Reset,
                _ => Self::Serve,
            },
        })
    }
}

/// Settings from the front of a byte string.
pub fn settings(input: &mut Input) -> Settings {
    let (what, more, links) = (input.byte(), input.byte(), input.byte());
    let config = Config::default()
        .with_ordering(
            [
                OrderingDomain::Subsystem,
                OrderingDomain::Connection,
                OrderingDomain::Key,
                OrderingDomain::Subsystem,
            ][usize::from(what % 4)],
        )
        .with_tokens(
            [None, None, Some(TokenField::ClientId), Some(TokenField::Int32Data2)]
                [usize::from(what / 4 % 4)],
        )
        .with_on_ambiguous(if what & 16 == 0 { OnAmbiguous::Refuse } else { OnAmbiguous::Presume })
        .with_peer_tags(what & 0x60 == 0x60)
        .with_upload_echo_has_payload(what & 0x80 != 0)
        .with_unmarked(
            UnmarkedPushes::default()
                .with_positions(more & 1 != 0)
                .with_lights(more & 2 == 0)
                .with_after_set(more & 4 == 0)
                .with_other_clients(more & 8 != 0),
        )
        .with_window(usize::from(more >> 4));
    let faults = match links % 4 {
        0 => Faults::NONE,
        1 => Faults { read: 7, write: 50, ..Faults::NONE },
        2 => Faults { latency: 20_000, read: 200, write: 200, capacity: 300 },
        _ => Faults { latency: 900_000, read: 300, ..Faults::NONE },
    };
    let stale = (links & 4 != 0).then_some(links);
    Settings { config, faults, seed: u64::from(input.short()), stale }
}

impl Harness {
    /// Does one operation. What is not possible now does nothing.
    pub fn run(&mut self, op: Op) {
        match op {
            Op::Ask(which, ms) => {
                let _ = self.ask(command(which), millis(ms));
            }
            Op::Send(which) => {
                let _ = self.send(command(which));
            }
            Op::Upload(asked, len) => self.upload(asked, u32::from(len)),
            Op::Halt(axis) => {
                let halt = Frame::command(CommandCode::STAGE_HALT);
                let _ = self.ask(halt.with_selector(1 + i32::from(axis % 2)), millis(3000));
            }
            Op::Cancel(which) => {
                let nth = self.asked.len().checked_sub(1 + usize::from(which % 16));
                if let Some(ticket) = nth.and_then(|at| self.asked.get(at)).copied() {
                    self.cancel(ticket);
                }
            }
            Op::Pass(ms) => self.pass(millis(ms)),
            Op::Take => _ = self.device.take(true),
            Op::Drop => _ = self.device.take(false),
            Op::Answer(which) => _ = self.device.answer(usize::from(which), 1),
            Op::Double(which) => {
                if self.device.answer(usize::from(which), 2) {
                    self.oracle.kept = false;
                }
            }
            Op::Push(which) => self.device.push(&command(which)),
            Op::Feed(seed, len) => self.device.outgoing.push_back(Outgoing::Junk(noise(seed, len))),
            Op::Stall(up, ms) => {
                let until = self.now + millis(ms);
                if up { self.up.stall(until) } else { self.down.stall(until) }
            }
            Op::Serve => self.device.serve(),
            Op::CloseUp => self.up.close(),
            Op::Eof => self.down.close(),
            Op::Reset => {
                self.up.reset();
                self.down.reset();
            }
        }
        self.pump();
    }

    fn upload(&mut self, asked: bool, len: u32) {
        if asked {
            let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE);
            let _ = self.ask(save.with_payload_len(len), millis(3000));
        } else {
            let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
            let _ = self.send(start.with_payload_len(len));
        }
    }
}

fn millis(ms: u16) -> Duration {
    Duration::from_millis(u64::from(ms))
}

/// Junk that can form no frame, since no end marker is in it. Start markers are.
pub fn noise(seed: u8, len: u8) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(u64::from(seed));
    let mut noise = Vec::new();
    while noise.len() < usize::from(len) {
        match rng.u32(0..3) {
            0 => noise.extend(&START[..rng.usize(1..=4)]),
            1 => noise.extend((0..rng.usize(1..40)).map(|_| rng.u8(0..0x20))),
            _ => noise.extend(START.repeat(rng.usize(1..40))),
        }
    }
    noise
}

/// A whole conversation: settings, operations, and the oracle's last word.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut harness = Harness::new(settings(&mut input));
    // The oracle reads all that was said again at the end: a conversation has an end.
    for _ in 0..200 {
        let Some(op) = Op::decode(&mut input) else { break };
        harness.run(op);
    }
    harness.finish();
}
