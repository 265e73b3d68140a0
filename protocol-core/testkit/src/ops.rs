//! Decodes bytes into the options and operations of a conversation, and runs the conversation.

use flamingo_protocol_core::{
    CommandCode, Config, Frame,
    connection::{OnAmbiguous, OrderingDomain, TokenField, UnmarkedPushes},
    time::Duration,
};

use crate::device::Outgoing;
use crate::harness::{Harness, HarnessOptions};
use crate::link::Faults;
use crate::reference::START;
use crate::stream::Input;

/// One operation in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// The client sends a request with this timeout in ms.
    Ask(u8, u16),
    /// The client sends a frame without a request.
    Send(u8),
    /// The client uploads this many bytes: with a request (settings) or without (a workflow).
    Upload(bool, u8),
    /// The client halts an axis.
    Halt(u8),
    /// The client cancels a request.
    Cancel(u8),
    /// This many ms pass.
    Pass(u16),
    /// The device takes the next command and will answer it later.
    Take,
    /// The device takes the next command and will never answer it.
    Drop,
    /// The device sends the next answer of one of its lanes.
    Answer(u8),
    /// The device sends this answer twice, which violates the assumptions.
    Double(u8),
    /// The device sends a push.
    Push(u8),
    /// Noise arrives between two frames: its seed and its length.
    Feed(u8, u8),
    /// A link stalls for this many ms: to the device if true, otherwise to the client.
    Stall(bool, u16),
    /// The device takes and answers all commands.
    Serve,
    /// The client closes its link.
    CloseUp,
    /// The device closes its link: end of stream.
    Eof,
    /// The connection is reset.
    Reset,
}

/// The frame with this number, for requests, sends and pushes.
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
    /// Decodes the next operation. A frequent operation has more values of the first byte.
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

/// Decodes the options of a conversation.
pub fn settings(input: &mut Input) -> HarnessOptions {
    let (rules, more_rules, links) = (input.byte(), input.byte(), input.byte());
    let config = Config::default()
        .with_ordering(
            [
                OrderingDomain::Subsystem,
                OrderingDomain::Connection,
                OrderingDomain::Key,
                OrderingDomain::Subsystem,
            ][usize::from(rules % 4)],
        )
        .with_tokens(
            [None, None, Some(TokenField::ClientId), Some(TokenField::Int32Data2)]
                [usize::from(rules / 4 % 4)],
        )
        .with_on_ambiguous(if rules & 16 == 0 { OnAmbiguous::Refuse } else { OnAmbiguous::Presume })
        .with_peer_tags(rules & 0x60 == 0x60)
        .with_upload_echo_has_payload(rules & 0x80 != 0)
        .with_unmarked(
            UnmarkedPushes::default()
                .with_positions(more_rules & 1 != 0)
                .with_lights(more_rules & 2 == 0)
                .with_after_set(more_rules & 4 == 0)
                .with_other_clients(more_rules & 8 != 0),
        )
        .with_window(usize::from(more_rules >> 4));
    let faults = match links % 4 {
        0 => Faults::NONE,
        1 => Faults { read: 7, write: 50, ..Faults::NONE },
        2 => Faults { latency: 20_000, read: 200, write: 200, capacity: 300 },
        _ => Faults { latency: 900_000, read: 300, ..Faults::NONE },
    };
    let stale = (links & 4 != 0).then_some(links);
    HarnessOptions { config, faults, seed: u64::from(input.short()), stale }
}

impl Harness {
    /// Executes one operation. An operation that is not possible now does nothing.
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
                    self.oracle.assumptions_kept = false;
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

/// Noise that cannot form a frame: it contains start markers, but no end marker.
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

/// Runs a whole conversation: options, operations, and the final checks of the oracle.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut harness = Harness::new(settings(&mut input));
    // The number is limited, because the oracle checks the whole conversation again at the end.
    for _ in 0..200 {
        let Some(op) = Op::decode(&mut input) else { break };
        harness.run(op);
    }
    harness.finish();
}
