//! Runs one conversation through the core's connection and through two watchers, on virtual time.
//! What happens in it is decided by `side_by_side.rs`.
//!
//! The first watcher is informed of what only the client knows: whether it waits for an answer, and
//! when it gives a command up. This watcher must give every frame the class that the connection gives
//! it, with the same command and the same proof. There is one exception. When the grace of a command is
//! over, the connection has forgotten the command. The watcher names it for one more frame, as a
//! presumed late answer ([`Pair::is_very_late`]). It is told, too, which queries are the connection's own
//! (fences), and when the connection waits for a true answer for longer than usual
//! ([`Pair::is_long_hold`]): other clients do not.
//!
//! The second watcher is not informed. It must agree until the client does something that it cannot
//! know. After that it may give another class, but an answer that it calls proven must be the true one.

use std::collections::{HashMap, HashSet};

use fastrand::Rng;
use flamingo_protocol_core::{
    Class, CommandCode, Connection, Ended, Event, Output, Ticket, Transmit, connection::Cancelled,
    time::Instant,
};
use flamingo_testkit::device::{Device, Outgoing, payload_of};
use flamingo_testkit::ops::{self, Op};
use flamingo_testkit::{Sent as FromDevice, Truth};

use super::*;

/// Counts what happened, so that the test can require that it did.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) classes: HashMap<&'static str, u64>,
    pub(super) presumed: u64,
    pub(super) very_late: u64,
    pub(super) long_holds: u64,
    pub(super) settings_under_the_older_code: u64,
    /// Frames on which the second watcher had to agree, too.
    pub(super) uninformed_agrees: u64,
    /// Frames that the second watcher called proven after that.
    pub(super) uninformed_proven: u64,
}

/// A client and a device without a link between them, and two watchers.
pub(super) struct Pair {
    now: Instant,
    client: Connection,
    pub(super) device: Device,
    rng: Rng,
    asked: Vec<Ticket>,
    /// The marks of commands, from which their payloads follow.
    marks: HashMap<Ticket, i32>,
    /// Commands in the order in which they were written, with the numbers of the second watcher.
    written: Vec<(Ticket, Option<u64>)>,
    informed: Conversation,
    /// The numbers of the first watcher.
    numbers: HashMap<u64, Ticket>,
    given_up: HashMap<Ticket, Duration>,
    /// Decides which presumed answers are followed by a long hold.
    long_holds: u32,
    named_very_late: HashSet<Ticket>,
    uninformed: Conversation,
    /// So far the client did nothing that the second watcher cannot know.
    agrees: bool,
    /// The device kept the assumptions of the protocol, and each command has its own token if any.
    pub(super) kept: bool,
    /// The classes so far, as the first watcher gave them.
    pub(super) classes: Vec<FrameClass>,
    pub(super) seen: Seen,
}

impl Pair {
    pub(super) fn new(config: Config, seed: u64) -> Self {
        Self {
            now: Instant::from_micros(1_000_000),
            client: Connection::new(config),
            device: Device::new(config),
            rng: Rng::with_seed(seed),
            asked: Vec::new(),
            marks: HashMap::new(),
            written: Vec::new(),
            informed: Conversation::new(config),
            numbers: HashMap::new(),
            given_up: HashMap::new(),
            long_holds: 0,
            named_very_late: HashSet::new(),
            uninformed: Conversation::new(config),
            agrees: true,
            kept: true,
            classes: Vec::new(),
            seen: Seen::default(),
        }
    }

    fn at(&self) -> Duration {
        Duration::from_micros(self.now.as_micros())
    }

    pub(super) fn ask(&mut self, mut frame: Frame, ms: u16) {
        frame.hardware_id = i32::try_from(self.asked.len()).unwrap() + 1;
        let deadline = self.now + Duration::from_millis(ms.into()).into();
        if let Ok(ticket) = self.client.request(self.now, &frame, deadline) {
            self.asked.push(ticket);
            self.marks.insert(ticket, frame.hardware_id);
        }
    }

    pub(super) fn send(&mut self, mut frame: Frame) {
        frame.hardware_id = -1;
        if let Ok(ticket) = self.client.send(self.now, &frame) {
            self.marks.insert(ticket, -1);
        }
    }

    pub(super) fn run(&mut self, op: Op) {
        // No two commands are given up at the same time: which doubt stays would be left to chance.
        self.pass(Duration::from_micros(1));
        match op {
            Op::Ask(which, ms) => self.ask(ops::command(which), ms),
            Op::Send(which) => self.send(ops::command(which)),
            Op::Upload(true, len) => {
                let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE);
                self.ask(save.with_payload_len(len.into()), 3000);
            }
            Op::Upload(false, len) => {
                let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
                self.send(start.with_payload_len(len.into()));
            }
            Op::Halt(axis) => {
                let halt = Frame::command(CommandCode::STAGE_HALT);
                self.ask(halt.with_selector(1 + i32::from(axis % 2)), 3000);
            }
            Op::Cancel(which) => {
                let nth = self.asked.len().checked_sub(1 + usize::from(which % 16));
                if let Some(ticket) = nth.map(|nth| self.asked[nth])
                    && self.client.cancel(self.now, ticket) == Cancelled::Sent
                {
                    self.give_up(ticket);
                }
            }
            Op::Pass(ms) => self.pass(Duration::from_millis(ms.into())),
            Op::Take => _ = self.device.take(true),
            Op::Drop => _ = self.device.take(false),
            Op::Answer(which) => _ = self.device.answer(which.into(), 1),
            Op::Double(which) => self.kept &= !self.device.answer(which.into(), 2),
            Op::Push(which) => self.device.push(&ops::command(which)),
            Op::Serve => self.device.serve(),
            // There is no link here.
            Op::Feed(..) | Op::Stall(..) | Op::CloseUp | Op::Eof | Op::Reset => {}
        }
        self.pump();
    }

    /// Lets time pass, with each timer at its own time.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span.into();
        self.pump();
        while let Some(due) = self.client.poll_timeout().map(|(due, _)| due)
            && due <= end
        {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
        self.pump();
    }

    pub(super) fn pump(&mut self) {
        self.take_events();
        while self.write() || self.hear() {
            self.take_events();
        }
    }

    /// The client writes a frame with its payload.
    fn write(&mut self) -> bool {
        let Some(Transmit::Bytes(bytes)) = self.client.poll_transmit(self.now) else {
            return false;
        };
        let mut wire = bytes.to_vec();
        let frame = Frame::decode(&wire).unwrap();
        let mut out = self.client.transmitted(self.now, wire.len());
        if let Some(Transmit::Payload { ticket, remaining, .. }) =
            self.client.poll_transmit(self.now)
            && out.is_none()
        {
            let len = remaining as usize;
            wire.extend(payload_of(self.marks[&ticket], len));
            out = self.client.transmitted(self.now, len);
        }
        self.watch_sent(out.expect("it is out"), &frame);
        self.device.read(&wire);
        true
    }

    fn watch_sent(&mut self, ticket: Ticket, frame: &Frame) {
        let at = self.at();
        let waits = ticket.is_fence() || self.asked.contains(&ticket);
        self.agrees &= waits == expects_answer(frame);
        // Only commands that the client waits for have a token of their own.
        self.kept &= waits || self.client.config().tokens.is_none();
        self.written.push((ticket, self.uninformed.client_sent(at, frame)));
        self.informed.expire(at);
        self.informed.sent += 1;
        if waits {
            let mut until = Duration::MAX / 2;
            if ticket.is_fence() {
                // No event says when the connection gives it up: that is a setting.
                until = at + self.informed.grace();
                self.given_up.insert(ticket, until);
            }
            let number = self.informed.wait_for(at, frame, until);
            self.numbers.insert(number, ticket);
        } else {
            self.informed.expect_echo(at, frame);
        }
    }

    /// The device sends the next frame with its payload.
    fn hear(&mut self) -> bool {
        let Some(Outgoing::Frame(mut sent)) = self.device.outgoing.pop_front() else {
            return false;
        };
        let is_answer = matches!(sent.truth, Truth::Answer(_));
        let is_settings = sent.frame.code == CommandCode::COMMON_SCOPE_SETTINGS_LOAD;
        if is_answer && is_settings && self.rng.bool() {
            sent.frame.code = CommandCode::COMMON_SCOPE_SETTINGS;
            self.seen.settings_under_the_older_code += 1;
        }
        let wire = [&sent.frame.encode()[..], &sent.payload].concat();
        let mut input = &wire[..];
        while let (consumed, Some(output)) = self.client.handle_input(self.now, input) {
            input = &input[consumed..];
            if let Output::Frame(received) = output {
                self.watch_came(&received.class, &sent);
            }
        }
        true
    }

    fn watch_came(&mut self, class: &Class, sent: &FromDevice) {
        let frame = sent.frame;
        if let Class::Solicited { ticket, proven: false } | Class::Late { ticket, proven: false } =
            class
            && ticket.is_fence()
        {
            self.informed.recovery.end_turn();
        }
        let informed = self.informed.instrument_sent(self.at(), &frame);
        *self.seen.classes.entry(informed.name()).or_default() += 1;
        self.seen.presumed += u64::from(informed.proven() == Some(false));
        let oldest = informed.answers().map(|(to, _)| self.numbers[&to]);
        let same = match (class, informed) {
            (Class::Solicited { ticket, proven }, FrameClass::Solicited { proven: ours, .. })
            | (Class::Late { ticket, proven }, FrameClass::Late { proven: ours, .. }) => {
                oldest == Some(*ticket) && *proven == ours
            }
            (Class::Ambiguous { owners }, FrameClass::Ambiguous { among, .. }) => {
                oldest.as_ref() == owners.tickets().first() && among == owners.tickets().len()
            }
            (Class::Unsolicited { ours }, FrameClass::Unsolicited { ours: watched }) => {
                *ours == watched
            }
            (Class::Unsolicited { ours: false }, FrameClass::Late { proven: false, .. }) => {
                self.is_very_late(oldest.unwrap())
            }
            _ => false,
        };
        assert!(same, "the connection says {class:?}, the watcher {informed:?} of {frame:?}");
        self.classes.push(informed);
        self.watch_uninformed(informed, sent);
        if let Class::Solicited { ticket, proven: false } = class {
            let is_long = self.is_long_hold();
            self.agrees &= !is_long && !ticket.is_fence();
            self.seen.long_holds += u64::from(is_long);
            if ticket.is_fence() {
                // Nobody takes this answer for the true one: the fence is in doubt at once.
                self.set_tombstone(*ticket, self.at(), |_| true);
                self.informed.expire(self.at());
            } else if is_long {
                self.set_tombstone(*ticket, self.at() + self.informed.grace(), |_| true);
            }
        }
    }

    /// After some presumed answers, the connection waits for the true one for the whole grace. The
    /// constants are those of the core.
    fn is_long_hold(&mut self) -> bool {
        self.long_holds = self.long_holds.wrapping_add(0x9E37_79B9);
        self.long_holds < 0x2559_DE5C
    }

    /// The connection has forgotten the command, since its grace is over. The watcher names it, once.
    fn is_very_late(&mut self, ticket: Ticket) -> bool {
        self.seen.very_late += 1;
        let grace = self.informed.grace();
        let forgotten = self.given_up.get(&ticket).is_some_and(|at| *at + grace <= self.at());
        forgotten && self.named_very_late.insert(ticket)
    }

    fn watch_uninformed(&mut self, informed: FrameClass, sent: &FromDevice) {
        let uninformed = self.uninformed.instrument_sent(self.at(), &sent.frame);
        // It has lost patience, or the connection has, with a fence.
        let fences = self.informed.unanswered.iter().any(|of| self.numbers[&of.to].is_fence());
        self.agrees &= !fences && self.uninformed.next_unanswered(self.at()).is_none();
        if self.agrees {
            self.seen.uninformed_agrees += 1;
            assert_eq!(uninformed, informed, "{:?}", sent.frame);
        } else if uninformed.proven() == Some(true)
            && self.kept
            && let Some((to, _)) = uninformed.answers()
        {
            self.seen.uninformed_proven += 1;
            let Truth::Answer(command) = sent.truth else { panic!("{uninformed:?} is a push") };
            assert_eq!(self.written[command].1, Some(to), "wrong proof: {uninformed:?}");
        }
    }

    fn take_events(&mut self) {
        let mut unanswered = HashSet::new();
        while let Some(event) = self.client.poll_event() {
            let Event::Ended { ticket, ended } = event else { continue };
            match ended {
                Ended::TimedOut { sent: true } | Ended::Ambiguous => self.give_up(ticket),
                Ended::Unanswered => _ = unanswered.insert(ticket),
                _ => {}
            }
        }
        // What the watcher holds for settled is what the connection holds for it.
        let settled =
            self.informed.unanswered.drain(..).map(|unanswered| self.numbers[&unanswered.to]);
        let (fences, settled): (HashSet<_>, HashSet<_>) =
            settled.partition(|ticket: &Ticket| ticket.is_fence());
        self.agrees &= fences.is_empty();
        assert_eq!(settled, unanswered);
    }

    /// Tells the first watcher that the client does not wait any more.
    fn give_up(&mut self, ticket: Ticket) {
        let until = self.at() + self.informed.grace();
        self.agrees = false;
        self.given_up.insert(ticket, self.at());
        self.set_tombstone(ticket, until, Sent::is_waiting);
    }

    /// Tells the first watcher until when the answer to a command may come.
    fn set_tombstone(&mut self, ticket: Ticket, until: Duration, which: impl Fn(&Sent) -> bool) {
        let numbers = &self.numbers;
        let ticket_of = |sent: &Sent| sent.number.and_then(|number| numbers.get(&number));
        let named = |sent: &&mut Sent| which(sent) && ticket_of(sent) == Some(&ticket);
        if let Some(sent) = self.informed.outstanding.iter_mut().find(named) {
            sent.state = State::Tombstone { until };
        }
    }
}
