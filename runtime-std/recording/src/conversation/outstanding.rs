//! The commands that a watcher has seen and that may still be answered: which ones, and until when.
//!
//! The states are those of the core's pending table. Which command a frame answers is decided by the
//! core's `classify`, which `conversation.rs` calls.

use std::collections::VecDeque;
use std::time::Duration;

use flamingo_protocol_core::{
    Config, Flags, Frame,
    connection::{Candidate, Candidates, Facts, Key, Order, Token, TokenField},
};

/// The most commands that are remembered.
pub(super) const REMEMBERED: usize = 1024;

/// What is known about a command that has no certain answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The client waits for the answer, until then.
    Waiting { until: Duration },
    /// A tombstone: the client has given the command up, or a frame came that is presumed to be its
    /// answer. The true answer may still come, until then.
    Tombstone { until: Duration },
    /// Nobody knows whether its answer may still come.
    Doubt,
}

/// A command that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Its number, if the client waits for an answer.
    pub(super) number: Option<u64>,
    /// A frame that may be its answer has come.
    pub(super) answered: bool,
    /// Its answer may be among bytes that the watcher has not seen.
    perhaps_unseen: bool,
    pub(super) key: Key,
    pub(super) order: Order,
    /// How many answers of its key may still come for it and for what it stands for.
    pub(super) missing: u16,
    /// Its values in the two fields that may hold a token.
    tokens: [i32; 2],
    pub(super) at: Duration,
    pub(super) state: State,
}

impl Sent {
    pub(super) fn new(
        number: Option<u64>,
        frame: &Frame,
        order: Order,
        at: Duration,
        state: State,
    ) -> Self {
        let (key, tokens) = (Key::of(frame), tokens(frame));
        let (answered, perhaps_unseen, missing) = (false, false, 1);
        Self { number, answered, perhaps_unseen, key, order, missing, tokens, at, state }
    }

    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// The command in that place as a candidate for `classify`.
    const fn candidate(&self, place: usize) -> Candidate<usize> {
        Candidate { id: place, order: self.order, waits: self.is_waiting() }
    }
}

fn tokens(frame: &Frame) -> [i32; 2] {
    [TokenField::ClientId, TokenField::Int32Data2].map(|field| field.get(frame))
}

/// All commands that may still be answered. A place is an index; any change makes it invalid.
#[derive(Debug, Clone, Default)]
pub(super) struct Outstanding {
    /// Doubts first, at most one a key; then the others, in the order in which they were sent.
    commands: VecDeque<Sent>,
    /// More keys were in doubt than can be remembered: from now on every answer is presumed.
    all_in_doubt: bool,
}

impl Outstanding {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Sent> {
        self.commands.iter()
    }

    #[cfg(test)]
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Sent> {
        self.commands.iter_mut()
    }

    pub(super) fn get(&self, place: usize) -> Option<&Sent> {
        self.commands.get(place)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Sent> {
        self.commands.get_mut(place)
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Sent> {
        self.commands.remove(place)
    }

    /// Bytes of the instrument were not seen: they may have the answers of the commands that wait.
    pub(super) fn miss(&mut self) {
        for sent in self.commands.iter_mut().filter(|sent| sent.is_waiting()) {
            sent.perhaps_unseen = true;
        }
    }

    /// The client sends a command of this key: it has the answers to the earlier ones, or has given them
    /// up. Returns the commands whose answers were not seen.
    pub(super) fn end_unseen(&mut self, key: Key) -> Vec<Sent> {
        let is_unseen = |sent: &Sent| sent.perhaps_unseen && sent.is_waiting() && sent.key == key;
        let mut ended = Vec::new();
        while let Some(place) = self.commands.iter().position(is_unseen) {
            ended.extend(self.commands.get(place));
            self.use_up(place, false, true);
        }
        ended
    }

    /// Adds a command. If there is no room, the oldest one falls into doubt and is returned.
    pub(super) fn push(&mut self, sent: Sent) -> Option<Sent> {
        let mut forgotten = None;
        if self.commands.len() >= REMEMBERED {
            let oldest = self.commands.iter().position(|sent| sent.state != State::Doubt);
            forgotten = oldest.and_then(|oldest| self.commands.remove(oldest));
            if let Some(forgotten) = forgotten {
                self.doubt(forgotten);
            }
            self.make_room();
        }
        self.commands.push_back(sent);
        forgotten
    }

    /// Puts the key of a command in doubt. One doubt a key is enough: that of the command that was sent
    /// last, with its number and its tokens.
    pub(super) fn doubt(&mut self, mut sent: Sent) {
        sent.state = State::Doubt;
        self.commands.retain(|other| {
            let same = other.state == State::Doubt && other.key == sent.key;
            if same {
                let missing = sent.missing.saturating_add(other.missing);
                let newest = if sent.order.is_before(other.order) { *other } else { sent };
                sent = Sent { missing, ..newest };
            }
            !same
        });
        self.make_room();
        self.commands.push_front(sent);
    }

    /// Drops a doubt if there is no room for another entry. Then every key is in doubt.
    fn make_room(&mut self) {
        if self.commands.len() >= REMEMBERED {
            self.commands.pop_front();
            self.all_in_doubt = true;
        }
    }

    /// Ends the states whose time is over. Returns the commands that the client counts as having given
    /// up.
    pub(super) fn expire(&mut self, now: Duration, grace: Duration) -> Vec<Sent> {
        let mut given_up = Vec::new();
        for sent in &mut self.commands {
            if let State::Waiting { until } = sent.state
                && until <= now
            {
                sent.state = State::Tombstone { until: until + grace };
                given_up.push(Sent { state: State::Waiting { until }, ..*sent });
            }
        }
        while let Some(place) = self.first_over(now)
            && let Some(sent) = self.commands.remove(place)
        {
            self.doubt(sent);
        }
        given_up
    }

    /// Of the tombstones whose time is over, the one that ended first.
    fn first_over(&self, now: Duration) -> Option<usize> {
        let ends = self.commands.iter().enumerate().filter_map(|(place, sent)| match sent.state {
            State::Tombstone { until } if until <= now => Some((until, place)),
            _ => None,
        });
        ends.min().map(|(_, place)| place)
    }

    /// Ends everything that a proven answer settles: what was sent before the command and keeps its
    /// order with it. Returns the commands that still waited.
    pub(super) fn settle(&mut self, key: Key, order: Order, config: &Config) -> Vec<Sent> {
        let mut unanswered = Vec::new();
        self.commands.retain(|sent| {
            let older = sent.order.is_before(order);
            let settled = older && config.keeps_order(sent.key.code, key.code);
            if settled && sent.is_waiting() {
                unanswered.push(*sent);
            }
            !settled
        });
        unanswered
    }

    /// Whether a single command of that key may be answered, commands in doubt not counted.
    pub(super) fn is_of_one_command(&self, key: Key) -> bool {
        self.of_key(key).filter(|(_, sent)| sent.state != State::Doubt).count() == 1
    }

    /// A frame came that is an answer of this key, and nobody knows to which command: the oldest that
    /// misses an answer misses one fewer. Returns how many answers of that key may still come, or
    /// `None` if nobody knows.
    pub(super) fn count_answer(&mut self, key: Key) -> Option<u16> {
        if self.all_in_doubt {
            return None;
        }
        let misses = self.commands.iter_mut().filter(|sent| sent.key == key && sent.missing > 0);
        let oldest = misses.reduce(
            |oldest, sent| {
                if sent.order.is_before(oldest.order) { sent } else { oldest }
            },
        );
        if let Some(oldest) = oldest {
            oldest.missing -= 1;
        }
        Some(self.of_key(key).map(|(_, sent)| sent.missing).fold(0, u16::saturating_add))
    }

    /// A frame used up this command: if the frame was not its answer, the command gets none. Unless
    /// that is certain, its key falls into doubt. A command that waits stays as it is, unless it `ends`.
    pub(super) fn use_up(&mut self, place: usize, certain: bool, ends: bool) {
        let Some(used) = self.commands.get(place).copied() else { return };
        if used.is_waiting() && !ends {
            return;
        }
        self.commands.remove(place);
        if !certain {
            self.doubt(Sent { answered: true, ..used });
        }
    }

    /// What `classify` must know about a frame of the instrument.
    pub(super) fn facts(
        &self,
        frame: &Frame,
        echo_expected: bool,
        config: &Config,
    ) -> Facts<usize> {
        let key = Key::of(frame);
        let mut facts = Facts::of(frame, config);
        facts.echo_expected = echo_expected;
        // Only answers have the tag, whether or not the peer is known to set it.
        facts.pushable &= !frame.flags.contains(Flags::ANSWER_TAG);
        facts.in_doubt = self.all_in_doubt;
        for (place, sent) in self.of_key(key) {
            if sent.state == State::Doubt {
                facts.in_doubt = true;
            } else {
                facts.candidates.add(sent.candidate(place));
            }
        }
        if let Some(field) = config.tokens {
            facts.token = self.owner_by_token(frame, field);
        } else if let Some(owner) = self.owner_by_number(frame) {
            // That the peer echoes the number is not known: a presumed answer.
            facts.candidates = only(owner);
            facts.in_doubt = true;
        } else if facts.candidates.count() == 0 && !echo_expected {
            // Nothing else explains the frame: perhaps it is an answer that comes very late.
            facts.candidates = self.forgotten(key).map_or_else(Candidates::none, only);
        }
        facts
    }

    fn of_key(&self, key: Key) -> impl Iterator<Item = (usize, &Sent)> {
        self.commands.iter().enumerate().filter(move |(_, sent)| sent.key == key)
    }

    /// The command whose token the frame has, for a peer that is known to echo tokens.
    fn owner_by_token(&self, frame: &Frame, field: TokenField) -> Token<usize> {
        let code = Key::of(frame).code;
        let named = self.commands.iter().enumerate().find(|(_, sent)| {
            let same = sent.key.code == code && sent.tokens[field as usize] == field.get(frame);
            same && sent.number.is_some()
        });
        named.map_or(Token::NamesNobody, |(place, sent)| Token::Names(sent.candidate(place)))
    }

    /// The only one of several candidates that had the same number as the frame in one of the two
    /// fields: many clients number their commands.
    fn owner_by_number(&self, frame: &Frame) -> Option<Candidate<usize>> {
        let owners = self.of_key(Key::of(frame)).filter(|(_, sent)| sent.state != State::Doubt);
        let owners: Vec<_> = owners.collect();
        if owners.len() < 2 {
            return None;
        }
        tokens(frame).into_iter().enumerate().find_map(|(field, token)| {
            let mut same = owners.iter().filter(|(_, sent)| sent.tokens[field] == token);
            let (place, sent) = same.next().filter(|_| same.next().is_none())?;
            Some(sent.candidate(*place))
        })
    }

    /// The command of that key whose grace is over and that got no answer.
    fn forgotten(&self, key: Key) -> Option<Candidate<usize>> {
        let mut doubts = self.of_key(key).filter(|(_, sent)| sent.state == State::Doubt);
        let (place, _) = doubts.find(|(_, sent)| sent.number.is_some() && !sent.answered)?;
        self.commands.get(place).map(|sent| sent.candidate(place))
    }
}

fn only(candidate: Candidate<usize>) -> Candidates<usize> {
    let mut candidates = Candidates::none();
    candidates.add(candidate);
    candidates
}
