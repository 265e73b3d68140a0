//! One conversation: what all its parts share, its steps, and how time passes. The checks are in the files named
//! after what they look at: `entering.rs`, `sending.rs`, `hearing.rs`, `endings.rs`, `recovery.rs`.

use fastrand::Rng;
use flamingo_protocol_core::{
    Flags, Frame,
    time::{Duration, Instant},
};

use super::client::Client;
use super::instrument::{Instrument, Origin};
use super::ledger::{Fence, Ledger};
use super::plan::{Caller, Peer, Plan, any_command};
use super::promise::{Broken, Promise};
use super::survey::Survey;

/// A conversation.
pub(super) struct Conversation {
    pub(super) seed: u64,
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    pub(super) now: Instant,
    pub(super) client: Client,
    pub(super) device: Instrument,
    pub(super) ledger: Ledger,
    pub(super) survey: Survey,
    pub(super) step: usize,
    pub(super) broken: Option<Broken>,
    /// What happened, if anybody wants to read it.
    pub(super) journal: Option<Vec<String>>,
    /// When `handle_timeout` was called last.
    pub(super) handled: Instant,
    /// The frames that the client told, and the bytes that it got.
    pub(super) heard: usize,
    pub(super) fed: u64,
    /// The payload of the last frame, as far as it came.
    pub(super) payload: Vec<u8>,
    /// The mark of the frame that is half sent; 0 is a fence.
    pub(super) current: Option<i32>,
    /// The fences that were sent.
    pub(super) fences: Vec<Fence>,
    /// So many commands get no answer.
    pub(super) silent: u32,
    /// The caller reads all of the line next time.
    pub(super) must_read: bool,
    /// The client's writes are blocked until then.
    pub(super) blocked_until: Instant,
    /// When `StopBlocked` was told last.
    pub(super) blocked_told: Option<Instant>,
    pub(super) closed: bool,
}

impl Conversation {
    /// Draws the plan of that seed.
    pub(super) fn new(seed: u64, journal: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::draw(&mut rng);
        let cuts = Rng::with_seed(rng.u64(..));
        let mut conversation = Self {
            seed,
            now: plan.origin,
            client: Client::new(plan.capacity, plan.config, plan.start, plan.twin, cuts),
            device: Instrument::new(&plan),
            ledger: Ledger::default(),
            survey: Survey::default(),
            step: 0,
            broken: None,
            journal: journal.then(Vec::new),
            handled: plan.origin,
            heard: 0,
            fed: 0,
            payload: Vec::new(),
            current: None,
            fences: Vec::new(),
            silent: 0,
            must_read: false,
            blocked_until: Instant::default(),
            blocked_told: None,
            closed: false,
            rng,
            plan,
        };
        conversation.note(|this| {
            let Plan { config, capacity, start, peer, caller, round_trip, ending, .. } = &this.plan;
            let size = capacity.name;
            format!(
                "{config:?}, {size}, after {start:?}, {peer:?}, {caller:?}, {round_trip} µs, {ending:?}"
            )
        });
        conversation.count_plan();
        conversation
    }

    /// Runs it to its end.
    pub(super) fn run(&mut self) {
        while self.step < self.plan.steps && self.broken.is_none() {
            self.one_step();
            self.turn();
            self.step += 1;
        }
        if self.broken.is_none() {
            self.finish();
        }
        let difference = self.client.difference.take();
        let what = difference.clone().unwrap_or_default();
        self.check(Promise::Chunking, difference.is_none(), || what);
        self.survey.count("conversations");
    }

    /// Records that a promise is broken unless `holds`. The first one counts.
    pub(super) fn check(&mut self, promise: Promise, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(Broken { promise, seed: self.seed, step: self.step, what: what() });
        }
    }

    /// Writes a line of the journal, if there is one.
    pub(super) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.journal.is_some() {
            let line = format!("{:>4} {:>12}  {}", self.step, self.now.as_micros(), line(self));
            self.journal.iter_mut().for_each(|journal| journal.push(line.clone()));
        }
    }

    fn count_plan(&mut self) {
        let Plan { config, capacity, peer, caller, origin, ending, .. } = &self.plan;
        let names = [
            capacity.name,
            if config.tokens.is_some() { "with tokens" } else { "without tokens" },
            match peer {
                Peer::Faithful => "peer keeps all assumptions",
                Peer::Doubles => "peer answers twice",
                Peer::Unordered => "peer keeps no order",
                Peer::Undeclared => "peer pushes what is not declared",
            },
            match caller {
                Caller::Prompt => "caller is prompt",
                Caller::Lazy => "caller is lazy",
                Caller::Seldom => "caller is very lazy",
            },
            if origin.as_micros() > u64::MAX / 2 {
                "time at its limit"
            } else {
                "time in the middle"
            },
            match ending {
                super::plan::Ending::Eof => "ends with the stream",
                super::plan::Ending::Drained => "ends drained",
                super::plan::Ending::Polled => "ends with polling",
            },
        ];
        for name in names {
            self.survey.count(name);
        }
        if config.peer_tags {
            self.survey.count("with tags");
        }
        if self.plan.twin {
            self.survey.count("with a second connection, cut otherwise");
        }
    }

    pub(super) fn one_step(&mut self) {
        if self.silent == 0 && self.rng.u32(0..100) < self.plan.silences {
            self.silent = self.rng.u32(1..16);
            self.survey.count("device falls silent");
        }
        match self.rng.u32(0..100) {
            0..=31 => self.enter_any(),
            32..=37 => self.enter_stop(),
            38..=44 => self.cancel_any(),
            45..=51 => self.push(),
            52 | 53 => self.noise(),
            54..=57 => self.block(),
            58..=60 => self.other_client(),
            _ => {
                let span = self.any_span();
                self.advance(span);
            }
        }
    }

    /// A span that fits the round trip, the graces or the deadlines.
    pub(super) fn any_span(&mut self) -> Duration {
        let round_trip = self.plan.round_trip;
        let most = match self.rng.u32(0..8) {
            0..=2 => round_trip,
            3 | 4 => 4 * round_trip,
            5 => self.plan.config.presumed_grace.as_micros().min(1_000_000),
            6 => self.plan.config.grace.as_micros().min(2_000_000),
            _ => 3_000_000,
        };
        Duration::from_micros(if self.rng.bool() { most } else { self.rng.u64(0..=most) })
    }

    /// Lets time pass. A prompt caller is there at each arrival and each timer.
    pub(super) fn advance(&mut self, span: Duration) {
        let target = self.now + span;
        self.note(|_| format!("{} µs pass", span.as_micros()));
        if self.plan.caller == Caller::Prompt {
            let mut turns = 0;
            while let Some(next) = self.next_moment(target) {
                self.now = next;
                self.turn();
                turns += 1;
                // The patience of a stop may be a few µs.
                if self.broken.is_some() || turns > 200 {
                    break;
                }
            }
        }
        self.now = target;
    }

    fn next_moment(&mut self, target: Instant) -> Option<Instant> {
        let blocked = Some(self.blocked_until).filter(|at| *at > self.now);
        let moments = [self.client.timer(), self.device.next_at(), blocked];
        let later = |at: &Instant| *at > self.now && *at < target;
        moments.into_iter().flatten().filter(later).min()
    }

    /// What the caller does between two steps: everything if it is prompt, otherwise some of it.
    pub(super) fn turn(&mut self) {
        self.device.pass(self.now);
        let one_of = match self.plan.caller {
            Caller::Prompt => 1,
            Caller::Lazy => 4,
            Caller::Seldom => 16,
        };
        let mut does = [false; 4];
        does.fill_with(|| self.rng.u32(0..one_of) == 0);
        let [reads, handles, hears, writes] = does;
        if reads {
            self.read();
        }
        if handles {
            self.handle_timeout();
        }
        if hears {
            self.take_events();
        }
        if writes {
            self.write();
        }
        if hears && self.plan.caller == Caller::Prompt {
            self.take_events();
        }
    }

    /// Everything at once.
    pub(super) fn whole_turn(&mut self) {
        self.device.pass(self.now);
        if self.plan.reads_first {
            self.read();
        }
        self.handle_timeout();
        self.take_events();
        self.write();
        self.take_events();
        if !self.plan.reads_first {
            self.read();
            self.take_events();
            self.write();
        }
    }

    fn push(&mut self) {
        let frame = self.frame_like_a_command();
        let mut frame = frame;
        let declared = self.plan.config.pushable(frame.code) || self.plan.marks_answers();
        if !declared && self.plan.peer != Peer::Undeclared {
            frame.flags = frame.flags.with(Flags::STAGE_POSITIONS_IN_BUFFER);
        }
        if let Some(field) = self.plan.config.tokens {
            field.replace(&mut frame, self.rng.i32(0..4));
        }
        self.survey.count("push");
        self.put(frame, Origin::Push);
    }

    /// A frame of a known code with nothing in it, as the instrument sends it on its own.
    fn frame_like_a_command(&mut self) -> Frame {
        let which = self.rng.usize(0..=self.plan.commands.len());
        let like = match self.plan.commands.get(which) {
            Some(frame) => *frame,
            None => any_command(&mut self.rng),
        };
        let mut frame = Frame::new(like.code).with_selector(like.selector()).with_value(-1.0);
        frame.status = 1;
        let row = frame.code.row();
        let uploads =
            row.is_some_and(|row| row.payload == flamingo_protocol_core::wire::Payload::Up);
        if !uploads && self.rng.u32(0..8) == 0 {
            frame.payload_len = 2 * self.rng.u32(0..150);
        }
        frame
    }

    pub(super) fn put(&mut self, frame: Frame, origin: Origin) {
        self.note(|_| format!("the device sends {frame} ({origin:?})"));
        let payload = super::instrument::payload_of(7, frame.payload_len);
        self.device.schedule(self.now, frame, payload, origin);
        self.device.pass(self.now);
    }

    /// The answer to the command of another client, or of an earlier connection, with the token of that.
    fn other_client(&mut self) {
        if self.plan.config.tokens.is_none() && self.plan.peer != Peer::Undeclared {
            return;
        }
        let mut frame = self.frame_like_a_command();
        if let Some(field) = self.plan.config.tokens {
            let number = self.plan.start.number().wrapping_add(0x10_0000 + self.rng.u32(0..1000));
            field.replace(&mut frame, 0x4600_0000 | (number & 0x00FF_FFFF) as i32);
            if self.plan.config.peer_tags {
                frame.flags = frame.flags.with(Flags::ANSWER_TAG);
            }
        }
        self.survey.count("answer to another client");
        self.put(frame, Origin::Stale);
    }

    fn noise(&mut self) {
        let noise = crate::ops::noise(self.rng.u8(..), self.rng.u8(..));
        self.note(|_| format!("{} bytes of noise", noise.len()));
        self.survey.count("noise");
        self.device.add_noise(&noise);
    }

    fn block(&mut self) {
        let span = self.any_span();
        self.note(|_| format!("writes are blocked for {} µs", span.as_micros()));
        self.survey.count("writes blocked");
        self.blocked_until = self.blocked_until.max(self.now + span);
    }
}
