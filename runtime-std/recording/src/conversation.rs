//! Decides which answer belongs to which command for a program that only watches a connection. The
//! rules are those of the core: [`classify`] decides. This file does what follows from a class, as a
//! connection does. The commands are in `outstanding.rs`. Nothing is sent here, and no clock is read.
//!
//! A watcher knows less than the client. It does not know when the client gives a command up: after
//! [`PATIENCE`] the command counts as unanswered, and its answer as late. It does not know what the
//! client waits for: a command that is answered by the protocol counts as waiting.

mod outstanding;

use std::collections::VecDeque;
use std::time::Duration;

use flamingo_protocol_core::{
    CommandCode, Config, Flags, Frame,
    connection::{Key, Order, Recovery, Verdict, classify},
    responder::is_answered,
    wire::{Kind, Timing},
};

use outstanding::{Outstanding, REMEMBERED, Sent, State};

/// How long a command waits for its answer before it counts as unanswered: the response timeout of
/// the known clients.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// The same for a command that may be answered only at the end of a motion.
pub const PATIENCE_OF_MOTIONS: Duration = Duration::from_secs(120);

/// How long a command of that code waits for its answer before it counts as unanswered: [`PATIENCE`] or
/// [`PATIENCE_OF_MOTIONS`].
pub fn patience(code: CommandCode) -> Duration {
    match code.row().map(|row| row.timing) {
        Some(Timing::AtEnd) => PATIENCE_OF_MOTIONS,
        _ => PATIENCE,
    }
}

/// How a frame of the instrument is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameClass {
    /// The answer to a command that waits for it.
    Solicited {
        /// The number of the command.
        to: u64,
        /// The time between the command and this frame.
        after: Duration,
        /// Whether nobody else can have sent this frame.
        proven: bool,
    },
    /// The answer to a command that counts as unanswered.
    Late {
        /// The number of the command.
        to: u64,
        /// The time between the command and this frame.
        after: Duration,
        /// Whether nobody else can have sent this frame.
        proven: bool,
    },
    /// The answer to one of several commands; nobody can tell which one.
    Ambiguous {
        /// The number of the oldest of them. The frame uses it up.
        to: u64,
        /// The time between the oldest command and this frame.
        after: Duration,
        /// How many commands the frame may answer.
        among: usize,
    },
    /// Nobody asked for it.
    Unsolicited {
        /// It may be the echo of a command that is not acknowledged.
        ours: bool,
    },
}

impl FrameClass {
    /// The name of the class: `solicited`, `late`, `ambiguous` or `unsolicited`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Solicited { .. } => "solicited",
            Self::Late { .. } => "late",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Unsolicited { .. } => "unsolicited",
        }
    }

    /// For an answer that came in time: whether it is proven.
    pub const fn proven(&self) -> Option<bool> {
        match self {
            Self::Solicited { proven, .. } => Some(*proven),
            _ => None,
        }
    }

    /// The number of the command that the frame answers, and the time between the two.
    pub const fn answers(&self) -> Option<(u64, Duration)> {
        match *self {
            Self::Solicited { to, after, .. }
            | Self::Late { to, after, .. }
            | Self::Ambiguous { to, after, .. } => Some((to, after)),
            Self::Unsolicited { .. } => None,
        }
    }
}

/// A command that got no answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// The number of the command.
    pub to: u64,
    /// How long it has waited.
    pub after: Duration,
}

/// One control connection, watched.
///
/// ```
/// use std::time::Duration;
/// use flamingo_protocol_core::{CommandCode, Frame};
/// use flamingo_recording::conversation::{Conversation, FrameClass};
/// let mut conversation = Conversation::default();
/// let query = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
/// let ms = Duration::from_millis;
/// assert_eq!(conversation.client_sent(ms(0), &query), Some(1));
/// let push = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
/// let class = conversation.instrument_sent(ms(1), &push);
/// assert_eq!(class, FrameClass::Unsolicited { ours: false });
/// let class = conversation.instrument_sent(ms(4), &query);
/// assert_eq!(class, FrameClass::Solicited { to: 1, after: ms(4), proven: true });
/// ```
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    config: Config,
    outstanding: Outstanding,
    /// Commands whose echo may come, with the last time at which it counts as one.
    echoes: VecDeque<(Key, Duration)>,
    unanswered: VecDeque<Unanswered>,
    recovery: Recovery,
    /// How many commands were sent.
    sent: u32,
    /// The number of the last command that is answered.
    last: u64,
}

impl Conversation {
    /// Watches a connection to an instrument with these properties: whether it tags its answers, for
    /// example, or which pushes it does not mark.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// The client has sent a command. Returns the number of the command, counted from 1, or `None` if
    /// the command is never answered.
    pub fn client_sent(&mut self, at: Duration, frame: &Frame) -> Option<u64> {
        self.expire(at);
        let unseen = self.outstanding.end_unseen(Key::of(frame));
        self.report(at, unseen);
        self.sent = self.sent.wrapping_add(1);
        if expects_answer(frame) {
            Some(self.wait_for(at, frame, at + patience(frame.code)))
        } else {
            self.expect_echo(at, frame);
            None
        }
    }

    /// Bytes that the instrument has sent were not seen. They may have the answers to the commands that
    /// wait. When the client sends a command again, it waits no longer for such an answer.
    pub fn bytes_missing(&mut self) {
        self.outstanding.miss();
    }

    /// The client waits for the answer to that command.
    fn wait_for(&mut self, at: Duration, frame: &Frame, until: Duration) -> u64 {
        self.last += 1;
        let state = State::Waiting { until };
        let sent = Sent::new(Some(self.last), frame, self.order(), at, state);
        let forgotten = self.outstanding.push(sent);
        self.report(at, forgotten.filter(Sent::is_waiting));
        self.last
    }

    /// The client does not wait for an answer. If one comes all the same, it may look like the answer
    /// to another command of its key. Therefore the key is in doubt.
    fn expect_echo(&mut self, at: Duration, frame: &Frame) {
        if self.echoes.len() == REMEMBERED {
            self.echoes.pop_front();
        }
        self.echoes.push_back((Key::of(frame), at + self.grace()));
        self.doubt(at, frame);
    }

    /// From now on, an answer of that key may be another one than it seems, unless its answers are
    /// always presumed, or never come.
    fn doubt(&mut self, at: Duration, frame: &Frame) {
        let is_never_asked = frame.code.row().is_some_and(|row| row.kind == Kind::FireAndForget);
        if !is_never_asked && !self.config.pushable(frame.code) {
            self.outstanding.doubt(Sent::new(None, frame, self.order(), at, State::Doubt));
        }
    }

    /// Classifies a frame that the instrument has sent.
    pub fn instrument_sent(&mut self, at: Duration, frame: &Frame) -> FrameClass {
        self.expire(at);
        let key = Key::of(frame);
        let echo = self.echoes.iter().position(|(echo, until)| *echo == key && at <= *until);
        let facts = self.outstanding.facts(frame, echo.is_some(), &self.config);
        let among = facts.candidates.count();
        let oldest = facts.candidates.oldest().map(|oldest| oldest.id);
        let of_one = self.outstanding.is_of_one_command(key);
        match classify(&facts) {
            Verdict::Solicited { owner, proven } => {
                let (to, after) = self.command(owner, at);
                if proven {
                    self.settle(owner, at);
                } else {
                    let until = at + self.config.presumed_grace.into();
                    self.presume(owner, Some(State::Tombstone { until }));
                    if let Some(oldest) = oldest.filter(|oldest| *oldest != owner) {
                        self.outstanding.use_up(oldest, facts.certain(), false);
                    }
                    if of_one {
                        self.recover(frame, at);
                    }
                }
                FrameClass::Solicited { to, after, proven }
            }
            Verdict::Late { owner, proven } => {
                let (to, after) = self.command(owner, at);
                if proven {
                    self.settle(owner, at);
                } else {
                    let very_late =
                        self.outstanding.get(owner).is_some_and(|sent| sent.state == State::Doubt);
                    self.presume(owner, None);
                    if very_late && self.is_answered_again(frame) {
                        self.doubt(at, frame);
                    } else if of_one && !very_late {
                        self.recover(frame, at);
                    }
                }
                FrameClass::Late { to, after, proven }
            }
            Verdict::Ambiguous { oldest } => {
                let (to, after) = self.command(oldest, at);
                self.outstanding.use_up(oldest, facts.certain(), true);
                FrameClass::Ambiguous { to, after, among }
            }
            Verdict::Unsolicited { ours } => {
                if let Some(echo) = echo.filter(|_| ours) {
                    self.echoes.remove(echo);
                } else if self.is_answered_again(frame) {
                    self.doubt(at, frame);
                }
                FrameClass::Unsolicited { ours }
            }
        }
    }

    /// Whether a frame for which no command waits is an answer all the same, since it has the tag of
    /// answers: it came twice, or an earlier frame was not the answer that it seemed to be.
    fn is_answered_again(&self, frame: &Frame) -> bool {
        let is_tagged = self.config.peer_tags && frame.flags.contains(Flags::ANSWER_TAG);
        let is_pushed_only = frame.code.row().is_some_and(|row| row.kind == Kind::Event);
        is_tagged && self.config.tokens.is_none() && !is_pushed_only
    }

    /// The next command that got no answer in time, up to `now`.
    pub fn next_unanswered(&mut self, now: Duration) -> Option<Unanswered> {
        self.expire(now);
        self.unanswered.pop_front()
    }

    /// When the next command that waits counts as unanswered, if none is answered until then. `None` if no
    /// command waits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use flamingo_protocol_core::{CommandCode, Frame};
    /// use flamingo_recording::conversation::{Conversation, PATIENCE};
    /// let mut conversation = Conversation::default();
    /// assert_eq!(conversation.next_due(), None);
    /// let query = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    /// conversation.client_sent(Duration::from_secs(1), &query);
    /// assert_eq!(conversation.next_due(), Some(Duration::from_secs(1) + PATIENCE));
    /// ```
    pub fn next_due(&self) -> Option<Duration> {
        let waiting = self.outstanding.iter().filter_map(|sent| match sent.state {
            State::Waiting { until } => Some(until),
            State::Tombstone { .. } | State::Doubt => None,
        });
        waiting.min()
    }

    /// The connection is over: the commands that still wait get no answer.
    pub fn end(&mut self, at: Duration) {
        let outstanding = std::mem::take(&mut self.outstanding);
        self.report(at, outstanding.iter().filter(|sent| sent.is_waiting()).copied());
    }

    /// The number of the command in that place, and the time since it was sent.
    fn command(&self, place: usize, now: Duration) -> (u64, Duration) {
        let sent = self.outstanding.get(place);
        let number = sent.and_then(|sent| sent.number).unwrap_or_default();
        (number, sent.map_or(Duration::ZERO, |sent| now.saturating_sub(sent.at)))
    }

    /// The proven answer to a command has come. It settles older commands as well, unless a token has
    /// proven it: that says nothing about other answers.
    fn settle(&mut self, place: usize, at: Duration) {
        if let Some(answered) = self.outstanding.remove(place)
            && self.config.tokens.is_none()
        {
            self.settle_before(answered.key, answered.order, at);
        }
    }

    /// Everything is settled that was sent before, and keeps its order with commands of that key.
    fn settle_before(&mut self, key: Key, order: Order, at: Duration) {
        let unanswered = self.outstanding.settle(key, order, &self.config);
        self.report(at, unanswered);
    }

    /// A frame of a key in doubt came, which answers some command of this key. If as many frames came
    /// as answers were missing, it settles older commands.
    fn recover(&mut self, frame: &Frame, at: Duration) {
        let key = Key::of(frame);
        if self.config.tokens.is_none()
            && !self.config.pushable(frame.code)
            && let Some(missing) = self.outstanding.count_answer(key)
            && let Some(settled) = self.recovery.count(key, self.order(), missing)
        {
            self.settle_before(key, settled, at);
        }
    }

    /// A frame came that is presumed to be the answer to a command: the true one may still come.
    fn presume(&mut self, place: usize, becomes: Option<State>) {
        if let Some(sent) = self.outstanding.get_mut(place) {
            sent.answered = true;
            sent.state = becomes.unwrap_or(sent.state);
        }
    }

    fn expire(&mut self, now: Duration) {
        let given_up = self.outstanding.expire(now, self.grace());
        for sent in given_up {
            let State::Waiting { until } = sent.state else { continue };
            self.report(until, [sent]);
        }
    }

    /// Reports commands that got no answer until then.
    fn report(&mut self, at: Duration, unanswered: impl IntoIterator<Item = Sent>) {
        let unanswered = unanswered.into_iter().filter_map(|sent| {
            Some(Unanswered { to: sent.number?, after: at.saturating_sub(sent.at) })
        });
        self.unanswered.extend(unanswered);
    }

    /// The position of the last command among all commands.
    const fn order(&self) -> Order {
        Order::new(self.sent)
    }

    fn grace(&self) -> Duration {
        self.config.grace.into()
    }
}

/// Whether the client waits for an answer: the protocol answers the command, or the client has asked for
/// an answer to a code that is not known.
fn expects_answer(command: &Frame) -> bool {
    let asked = command.flags.contains(Flags::TRIGGER_CALL_BACK);
    is_answered(command) || (asked && command.code.row().is_none())
}

#[cfg(test)]
mod pair;
#[cfg(test)]
mod side_by_side;
#[cfg(test)]
mod tests;
