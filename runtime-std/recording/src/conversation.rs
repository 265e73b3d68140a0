//! Which answer belongs to which command, seen from beside the wire: the rules of the core's
//! `classify.rs` for somebody who only watches. Nothing is sent here, no time is asked for.
//!
//! A watcher knows neither a client's patience nor what it has given up, so a command that got no
//! answer for [`PATIENCE`] counts as silent, and one that is answered after that as late.

use std::collections::VecDeque;
use std::time::Duration;

use flamingo_protocol_core::{
    CommandCode, Config, Flags, Frame, Kind, Selector, Timing, TokenField, is_answered,
};

/// How long a command waits for its answer before it counts as silent. PROTOCOL: the response
/// timeout of the clients that are known.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// The same for a command that may be answered only at the end of a motion.
pub const PATIENCE_OF_MOTIONS: Duration = Duration::from_secs(120);
/// How long after its command a frame of a code that is never acknowledged counts as its echo.
const ECHO: Duration = Duration::from_secs(1);
/// Commands that are remembered without an answer, and echoes that may come.
const REMEMBERED: usize = 1024;

/// Whose a frame from the instrument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The answer to a command that waits.
    Solicited {
        /// The command's number.
        to: u64,
        /// How long after it.
        after: Duration,
        /// Whether nobody else could have sent this frame.
        proven: bool,
    },
    /// The answer to a command that counts as silent.
    Late {
        /// The command's number.
        to: u64,
        /// How long after it.
        after: Duration,
    },
    /// The answer to one of several commands of the same kind; which one cannot be told.
    Ambiguous {
        /// The oldest of them; it is used up.
        to: u64,
        /// How long after the oldest.
        after: Duration,
        /// How many they are.
        among: usize,
    },
    /// Nobody asked for it.
    Unsolicited {
        /// Perhaps the echo of a command that is never acknowledged.
        ours: bool,
    },
}

impl Verdict {
    /// The word for it: `solicited`, `late`, `ambiguous` or `unsolicited`.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Solicited { .. } => "solicited",
            Self::Late { .. } => "late",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Unsolicited { .. } => "unsolicited",
        }
    }

    /// Whether it is proven, for an answer that came in time.
    pub const fn proven(&self) -> Option<bool> {
        match self {
            Self::Solicited { proven, .. } => Some(*proven),
            _ => None,
        }
    }

    /// The command that it answers, and how long after it.
    pub const fn answers(&self) -> Option<(u64, Duration)> {
        match *self {
            Self::Solicited { to, after, .. }
            | Self::Late { to, after }
            | Self::Ambiguous { to, after, .. } => Some((to, after)),
            Self::Unsolicited { .. } => None,
        }
    }
}

/// A command that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// The command's number.
    pub to: u64,
    /// How long it has waited.
    pub after: Duration,
}

/// A command that may still be answered.
#[derive(Debug, Clone, Copy)]
struct Asked {
    number: u64,
    key: Key,
    timing: Timing,
    /// What it had in the fields that a token may stand in.
    tokens: [i32; 2],
    at: Duration,
    /// It was told to be silent.
    silent: bool,
}

impl Asked {
    fn due(&self) -> Duration {
        let patience = if self.timing == Timing::AtEnd { PATIENCE_OF_MOTIONS } else { PATIENCE };
        self.at + patience
    }

    fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.at)
    }
}

/// What answers are matched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    code: CommandCode,
    /// 0 where the code selects nothing.
    selector: i32,
}

impl Key {
    pub(super) fn of(frame: &Frame) -> Self {
        let row = frame.code.row();
        let selects = row.is_some_and(|row| row.selector != Selector::None);
        Self {
            code: row.map_or(frame.code, |row| row.answers),
            selector: if selects { frame.selector() } else { 0 },
        }
    }
}

fn tokens(frame: &Frame) -> [i32; 2] {
    [TokenField::ClientId, TokenField::Int32Data2].map(|field| field.get(frame))
}

/// Rule 4: the one of several owners whose number the frame gives back: of a client that numbers its
/// commands. That the instrument does give it back is only presumed.
fn named(owners: &[(usize, Asked)], frame: &Frame) -> Option<(usize, Asked)> {
    if owners.len() < 2 {
        return None;
    }
    tokens(frame).into_iter().enumerate().find_map(|(field, token)| {
        let mut same = owners.iter().filter(|(_, owner)| owner.tokens[field] == token);
        same.next().filter(|_| same.next().is_none()).copied()
    })
}

/// One control connection, watched.
///
/// ```
/// use std::time::Duration;
/// use flamingo_protocol_core::{CommandCode, Frame};
/// use flamingo_recording::conversation::{Conversation, Verdict};
/// let mut conversation = Conversation::default();
/// let query = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
/// let ms = Duration::from_millis;
/// assert_eq!(conversation.sent(ms(0), &query), Some(1));
/// let push = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
/// assert_eq!(conversation.came(ms(1), &push), Verdict::Unsolicited { ours: false });
/// let answer = conversation.came(ms(4), &query);
/// assert_eq!(answer, Verdict::Solicited { to: 1, after: ms(4), proven: true });
/// ```
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    config: Config,
    asked: VecDeque<Asked>,
    /// Commands that are never acknowledged, as they were sent.
    echoes: VecDeque<(Key, Duration)>,
    silences: VecDeque<Silence>,
    last: u64,
}

impl Conversation {
    /// The client has sent a command. Gives its number if it is one that is answered.
    pub fn sent(&mut self, at: Duration, frame: &Frame) -> Option<u64> {
        self.expire(at);
        let key = Key::of(frame);
        if !is_answered(frame) {
            if self.echoes.len() == REMEMBERED {
                self.echoes.pop_front();
            }
            self.echoes.push_back((key, at));
            return None;
        }
        // The client asks again: what was silent for so long will not be answered any more.
        self.asked.retain(|asked| !(asked.silent && asked.key == key && asked.due() + ECHO < at));
        if self.asked.len() == REMEMBERED {
            self.give_up(0, at);
        }
        self.last += 1;
        let timing = frame.code.row().map_or(Timing::AtOnce, |row| row.timing);
        let (number, tokens) = (self.last, tokens(frame));
        self.asked.push_back(Asked { number, key, timing, tokens, at, silent: false });
        Some(self.last)
    }

    /// The instrument has sent a frame: whose is it? The numbers of the rules are the core's.
    pub fn came(&mut self, at: Duration, frame: &Frame) -> Verdict {
        self.expire(at);
        let key = Key::of(frame);
        let tagged = frame.flags.contains(Flags::ANSWER_TAG);
        let row = frame.code.row();
        // 2. The server's own mark on a push.
        if self.config.marked_as_push(frame) {
            return Verdict::Unsolicited { ours: false };
        }
        let owners = self.asked.iter().enumerate().filter(|(_, asked)| asked.key == key);
        let owners: Vec<_> = owners.map(|(index, owner)| (index, *owner)).collect();
        let named = named(&owners, frame);
        let Some((index, owner)) = named.or(owners.first().copied()) else {
            return Verdict::Unsolicited { ours: self.is_echo(key, at) };
        };
        let among = if named.is_some() { 1 } else { owners.len() };
        // 1. A code that only the server sends, with no request for it that waits.
        if row.is_some_and(|row| row.kind == Kind::Event && row.answers == row.code) && owner.silent
        {
            return Verdict::Unsolicited { ours: false };
        }
        self.asked.remove(index);
        let (to, after) = (owner.number, owner.waited(at));
        if among > 1 {
            return Verdict::Ambiguous { to, after, among };
        }
        // 3., 5. One owner, and a key that nobody pushes, or the peer's own tag.
        let proven = tagged || (named.is_none() && !self.config.pushable(frame.code));
        if proven && owner.timing == Timing::AtOnce {
            self.settle(&owner, at);
        }
        if owner.silent {
            return Verdict::Late { to, after };
        }
        Verdict::Solicited { to, after, proven }
    }

    /// The next command that has turned out to be silent up to `now`.
    pub fn silence(&mut self, now: Duration) -> Option<Silence> {
        self.expire(now);
        self.silences.pop_front()
    }

    /// The connection is over: what still waits gets no answer.
    pub fn end(&mut self, at: Duration) {
        while !self.asked.is_empty() {
            self.give_up(0, at);
        }
    }

    /// Answers of a subsystem keep their order: what was asked before `owner` gets none.
    fn settle(&mut self, owner: &Asked, at: Duration) {
        let subsystem = owner.key.code.subsystem();
        while let Some(index) = self.asked.iter().position(|asked| {
            asked.number < owner.number
                && asked.timing == Timing::AtOnce
                && asked.key.code.subsystem() == subsystem
        }) {
            self.give_up(index, at);
        }
    }

    fn give_up(&mut self, index: usize, at: Duration) {
        if let Some(asked) = self.asked.remove(index).filter(|asked| !asked.silent) {
            self.silences.push_back(Silence { to: asked.number, after: asked.waited(at) });
        }
    }

    fn expire(&mut self, now: Duration) {
        for asked in self.asked.iter_mut().filter(|asked| !asked.silent && asked.due() <= now) {
            asked.silent = true;
            let after = asked.due().saturating_sub(asked.at);
            self.silences.push_back(Silence { to: asked.number, after });
        }
    }

    fn is_echo(&mut self, key: Key, at: Duration) -> bool {
        self.echoes.retain(|(_, sent)| *sent + ECHO >= at);
        let found = self.echoes.iter().position(|(sent, _)| *sent == key);
        found.and_then(|index| self.echoes.remove(index)).is_some()
    }
}

#[cfg(test)]
mod tests;
