//! What is drawn once for a whole conversation: the settings, the size, the habits of the caller, the peer and
//! the wire, and the few commands that the caller uses.

use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode, Config, Frame, Ticket,
    connection::{OnAmbiguous, OrderingDomain, TokenField, UnmarkedPushes},
    time::{Duration, Instant},
};

use super::client::{CAPACITIES, Capacity};

/// Which assumptions of the protocol the peer keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// All.
    Faithful,
    /// It answers some commands twice.
    Doubles,
    /// Its answers do not keep their order.
    Unordered,
    /// It pushes what the settings do not name, the answers to other clients included.
    Undeclared,
}

/// How the caller calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// After each call and each arrival, and at each timer.
    Prompt,
    /// One call of four, and late.
    Lazy,
    /// One call of sixteen, and very late.
    Seldom,
}

/// What is drawn once.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The settings.
    pub(super) config: Config,
    /// The size.
    pub(super) capacity: Capacity,
    /// The number before the first ticket.
    pub(super) start: Ticket,
    /// The same, until the first ticket has come.
    pub(super) first_after: Option<Ticket>,
    /// The time at the beginning.
    pub(super) origin: Instant,
    /// The peer.
    pub(super) peer: Peer,
    /// The caller.
    pub(super) caller: Caller,
    /// The commands that the caller uses.
    pub(super) commands: Vec<Frame>,
    /// A usual round trip, in µs.
    pub(super) round_trip: u64,
    /// Of 100 commands, how many are not answered.
    pub(super) losses: u32,
    /// Of 100 steps, after how many the device falls silent for some commands.
    pub(super) silences: u32,
    /// Of 100 answers, how many come very late.
    pub(super) delays: u32,
    /// Whether a prompt caller reads before it does what is due at the same time.
    pub(super) reads_first: bool,
    /// The most bytes of one read.
    pub(super) read: usize,
    /// The most bytes of one write.
    pub(super) write: usize,
    /// Whether a second connection gets the same bytes, cut otherwise.
    pub(super) twin: bool,
    /// The number of steps.
    pub(super) steps: usize,
    /// What comes after the steps.
    pub(super) ending: Ending,
}

/// How a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The stream ends in the middle of everything.
    Eof,
    /// All faults stop; time passes until nothing is due, and then all must be idle and work.
    Drained,
    /// All faults stop, and one key is polled back to back at once.
    Polled,
}

impl Plan {
    /// Draws everything.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let round_trip = [200, 5_000, 20_000, 150_000, 400_000][rng.usize(0..5)] * rng.u64(1..4);
        let config = config(rng, round_trip);
        let peer = match rng.u32(0..10) {
            0..=5 => Peer::Faithful,
            6 => Peer::Doubles,
            7 => Peer::Unordered,
            _ => Peer::Undeclared,
        };
        let caller = match rng.u32(0..10) {
            0..=5 => Caller::Prompt,
            6..=8 => Caller::Lazy,
            _ => Caller::Seldom,
        };
        let origin = match rng.u32(0..12) {
            0 => 0,
            1 => u64::MAX - rng.u64(0..3_000_000),
            2 => u64::MAX - rng.u64(0..30_000_000),
            _ => 1_000_000,
        };
        let start = start(rng);
        Self {
            config,
            capacity: CAPACITIES[[0, 1, 1, 1, 2, 2, 3, 3, 3, 4][rng.usize(0..10)]],
            start,
            first_after: Some(start),
            origin: Instant::from_micros(origin),
            peer,
            caller,
            commands: commands(rng),
            round_trip,
            losses: [0, 3, 10, 30][rng.usize(0..4)],
            silences: [0, 0, 0, 3][rng.usize(0..4)],
            delays: [0, 3, 10, 30][rng.usize(0..4)],
            reads_first: rng.bool(),
            read: [1, 50, 128, 300, 5000][rng.usize(0..5)].max(rng.usize(1..200)),
            write: [64, 128, 1000, 100_000][rng.usize(0..4)],
            twin: rng.u32(0..4) == 0,
            steps: [10, 30, 60, 100, 150][rng.usize(0..5)],
            ending: [Ending::Eof, Ending::Drained, Ending::Polled, Ending::Polled][rng.usize(0..4)],
        }
    }

    /// Whether a frame that is proven must be right.
    pub(super) fn proof_holds(&self) -> bool {
        let marked = self.config.peer_tags && self.peer == Peer::Undeclared;
        self.config.tokens.is_some() || self.peer == Peer::Faithful || marked
    }

    /// Whether the peer can tell its answers from all that it pushes.
    pub(super) fn marks_answers(&self) -> bool {
        self.config.peer_tags || self.config.tokens.is_some()
    }
}

fn start(rng: &mut Rng) -> Ticket {
    Ticket::from_number(match rng.u32(0..4) {
        0 => 0,
        1 => 0x00FF_FFFF - rng.u32(0..60),
        2 => 0x7FFF_FFFF - rng.u32(0..60),
        _ => rng.u32(0..0x7FFF_FFFF),
    })
}

fn config(rng: &mut Rng, round_trip: u64) -> Config {
    let grace = match rng.u32(0..20) {
        0 => 0,
        1 => u64::MAX - rng.u64(0..2),
        2 => round_trip / 2,
        3..=8 => 1_000_000,
        _ => round_trip * rng.u64(2..20),
    };
    let presumed = match rng.u32(0..8) {
        0 => 0,
        1..=3 => 100_000,
        4 => round_trip,
        _ => rng.u64(0..500_000),
    };
    let patience = match rng.u32(0..10) {
        0 => 0,
        1 => 1,
        2 => u64::MAX - rng.u64(0..2),
        3..=5 => 1_000_000,
        _ => rng.u64(1..3_000_000),
    };
    let tokens = [None, None, None, Some(TokenField::ClientId), Some(TokenField::Int32Data2)];
    let ordering = [OrderingDomain::Subsystem, OrderingDomain::Connection, OrderingDomain::Key];
    let presume = rng.u32(0..4) == 0;
    let unmarked = UnmarkedPushes::default()
        .with_positions(rng.u32(0..4) == 0)
        .with_lights(rng.u32(0..4) > 0)
        .with_after_set(rng.u32(0..4) > 0)
        .with_other_clients(rng.u32(0..4) == 0);
    Config::default()
        .with_ordering(ordering[[0, 0, 0, 1, 2][rng.usize(0..5)]])
        .with_tokens(tokens[rng.usize(0..5)])
        .with_on_ambiguous(if presume { OnAmbiguous::Presume } else { OnAmbiguous::Refuse })
        .with_peer_tags(rng.u32(0..6) == 0)
        .with_upload_echo_has_payload(rng.u32(0..4) == 0)
        .with_unmarked(unmarked)
        .with_window([0, 1, 2, 4, 4, 4, 16][rng.usize(0..7)])
        .with_grace(Duration::from_micros(grace))
        .with_presumed_grace(Duration::from_micros(presumed))
        .with_stop_patience(Duration::from_micros(patience))
}

/// One of all commands that a conversation may use.
pub(super) fn any_command(rng: &mut Rng) -> Frame {
    use CommandCode as Code;
    let axis = 1 + rng.i32(0..2);
    let of = |code: Code| Frame::command(code);
    match rng.u32(0..40) {
        0..=5 => of(Code::STAGE_POSITION_GET).with_selector(1 + rng.i32(0..4)),
        6 | 7 => of(Code::STAGE_POSITION_SET).with_selector(axis),
        8 | 9 => of(Code::STAGE_HOME).with_selector(axis),
        10 => of(Code::STAGE_WAIT_FOR_MOTION_TO_STOP).with_selector(axis),
        11 | 12 => of(Code::CAMERA_IMAGE_SIZE_GET),
        13 | 14 => of(Code::CAMERA_EXPOSURE_GET),
        15 => of(Code::CAMERA_EXPOSURE_SET),
        16 | 17 => of(Code::SYSTEM_STATE_GET),
        18..=20 => of(Code::LASER_LEVEL_GET).with_selector(axis),
        21 => of(Code::LASER_ENABLE).with_selector(axis),
        22 => of(Code::LED_PREVIEW_DISABLE),
        23 => of(Code::COMMON_SCOPE_SETTINGS_LOAD),
        24 => of(Code::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(rng.u32(0..400)),
        25 => of(Code::CAMERA_WORK_FLOW_START).with_payload_len(rng.u32(0..400)),
        26 => of(Code::CAMERA_LIVE_VIEW_START),
        27 if rng.bool() => of(Code(0x6FFF)),
        // The length of an upload is odd, and that of a payload of the device is even.
        27 => of(Code(0x6FFF)).with_payload_len(1 + 2 * rng.u32(0..200)),
        33 => of(Code::CAMERA_CHECK_STACK).with_payload_len(1 + 2 * rng.u32(0..200)),
        28 => of(Code(0x0010_0001)),
        29 => of(Code::STAGE_MOTION_STOPPED).with_selector(axis),
        30 => of(Code::CAMERA_PIXEL_FIELD_OF_VIEW_GET),
        31 => of(Code::STORAGE_PATH_SET),
        32 => of(Code::FILTER_WHEEL_POSITION_GET),
        _ => stop(rng),
    }
}

/// One of the four kinds of stops.
pub(super) fn stop(rng: &mut Rng) -> Frame {
    let axis = 1 + rng.i32(0..4);
    match rng.u32(0..8) {
        0..=3 => Frame::command(CommandCode::STAGE_HALT).with_selector(axis.min(1 + rng.i32(0..4))),
        4 => Frame::command(CommandCode::LASER_DISABLE).with_selector(axis),
        5 => Frame::command(CommandCode::LASER_DISABLE_ALL).with_selector(axis),
        6 => Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP),
        _ => Frame::command(CommandCode::CAMERA_LIVE_VIEW_STOP),
    }
}

/// A few commands, so that the same keys come often.
fn commands(rng: &mut Rng) -> Vec<Frame> {
    let number = [1, 2, 3, 4, 6, 12][rng.usize(0..6)];
    (0..number).map(|_| any_command(rng)).collect()
}
