//! The policy: who gets a frame? Pure: facts in, verdict out. No state, no time.
//!
//! [`classify`] holds the rules in order; the first rule that applies decides. Whoever calls it
//! gathers the [`Facts`] and acts on the [`Verdict`]: a connection does this in `receive.rs`, a
//! watcher beside the wire in its own code.

use heapless::Vec;

use crate::connection::config::{Config, OnAmbiguous};
use crate::connection::key::Order;
use crate::connection::ticket::Ticket;
use crate::wire::command::Kind;
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Flags, Frame};

/// The most requests and tombstones that one frame may be ambiguous between.
pub const MAX_OWNERS: usize = 8;

/// How a connection classifies a frame that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Class {
    /// The answer to a request that waits for it.
    Solicited {
        /// The request.
        ticket: Ticket,
        /// Whether nobody else could have sent this frame.
        proven: bool,
    },
    /// The answer to a request that has ended.
    Late {
        /// The request.
        ticket: Ticket,
        /// Whether nobody else could have sent this frame.
        proven: bool,
    },
    /// The answer to one of several requests; nobody can tell which one.
    Ambiguous {
        /// All requests that it may answer.
        owners: Owners,
    },
    /// Nobody asked for it.
    Unsolicited {
        /// It has the code of a fire-and-forget command that was just sent: perhaps its echo.
        ours: bool,
    },
}

/// The requests that a frame is ambiguous between, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Owners(pub(crate) Vec<Ticket, MAX_OWNERS>);

impl Owners {
    /// Their tickets, oldest first.
    pub fn tickets(&self) -> &[Ticket] {
        &self.0
    }
}

/// A request that a frame may answer. `Id` is the caller's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Candidate<Id> {
    /// Names the request.
    pub id: Id,
    /// When it was sent, relative to the others.
    pub order: Order,
    /// Whether it waits for its answer. If not, it is a tombstone: it has ended, and its answer may
    /// still come.
    pub waits: bool,
}

/// All requests that a frame may answer, as far as [`classify`] needs to know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Candidates<Id> {
    oldest: Option<Candidate<Id>>,
    newest_waiting: Option<Candidate<Id>>,
    count: usize,
}

impl<Id: Copy> Candidates<Id> {
    /// No candidates.
    #[must_use]
    pub const fn none() -> Self {
        Self { oldest: None, newest_waiting: None, count: 0 }
    }

    /// Adds a candidate. The order of the calls does not matter.
    pub fn add(&mut self, candidate: Candidate<Id>) {
        self.count = self.count.saturating_add(1);
        if self.oldest.is_none_or(|oldest| candidate.order.is_before(oldest.order)) {
            self.oldest = Some(candidate);
        }
        if candidate.waits
            && self.newest_waiting.is_none_or(|newest| newest.order.is_before(candidate.order))
        {
            self.newest_waiting = Some(candidate);
        }
    }

    /// The candidate that was sent first.
    #[must_use]
    pub const fn oldest(&self) -> Option<Candidate<Id>> {
        self.oldest
    }

    /// Of the candidates that wait, the one that was sent last.
    #[must_use]
    pub const fn newest_waiting(&self) -> Option<Candidate<Id>> {
        self.newest_waiting
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }
}

/// What the token in a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Token<Id> {
    /// The peer is not known to echo tokens.
    Off,
    /// The token belongs to no request of this code.
    NamesNobody,
    /// The token belongs to this request.
    Names(Candidate<Id>),
}

/// What is known about a frame when it comes in.
///
/// [`Facts::of`] fills in what the frame and the settings say. The caller adds what it knows about
/// the requests: `candidates`, `token`, `in_doubt` and `echo_expected`.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::struct_excessive_bools)] // independent facts about a frame
#[non_exhaustive]
pub struct Facts<Id> {
    /// Only the server sends this code.
    pub server_only: bool,
    /// STAGE_POSITIONS_IN_BUFFER is set.
    pub positions_in_buffer: bool,
    /// The peer tags its answers, and this frame has no tag.
    pub untagged: bool,
    /// A frame of this code may be a push without a mark ([`Config::pushable`]).
    pub pushable: bool,
    /// An older request of the same [`Key`](crate::connection::Key) may still be answered, and nobody remembers
    /// it as a candidate.
    pub in_doubt: bool,
    /// A command of the same key was just sent without waiting for an answer.
    pub echo_expected: bool,
    /// What the token says.
    pub token: Token<Id>,
    /// The requests of the same key that may still be answered.
    pub candidates: Candidates<Id>,
    /// What to do if there are several candidates.
    pub on_ambiguous: OnAmbiguous,
}

impl<Id: Copy> Facts<Id> {
    /// What `frame` and the settings say, without any candidate.
    #[must_use]
    pub fn of(frame: &Frame, config: &Config) -> Self {
        Self::with_command(CommandFacts::of(frame.code), frame.flags, config)
    }

    pub(crate) const fn with_command(
        command: &CommandFacts,
        flags: Flags,
        config: &Config,
    ) -> Self {
        Self {
            server_only: matches!(command.kind, Kind::Event),
            positions_in_buffer: flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER),
            untagged: config.peer_tags && !flags.contains(Flags::ANSWER_TAG),
            pushable: config.may_push(command),
            in_doubt: false,
            echo_expected: false,
            token: Token::Off,
            candidates: Candidates::none(),
            on_ambiguous: config.on_ambiguous,
        }
    }

    /// Whether a single candidate is proven: nobody else can have sent this frame.
    #[must_use]
    pub const fn certain(&self) -> bool {
        !self.pushable && !self.in_doubt
    }

    /// Whether the frame carries a mark that only pushes carry.
    const fn marked(&self) -> bool {
        self.positions_in_buffer || self.untagged
    }
}

/// Who gets a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict<Id> {
    /// A request that waits for it.
    Solicited {
        /// The request.
        owner: Id,
        /// Whether nobody else can have sent this frame.
        proven: bool,
    },
    /// A request that has ended.
    Late {
        /// The request.
        owner: Id,
        /// Whether nobody else can have sent this frame.
        proven: bool,
    },
    /// One of several candidates; nobody can tell which one. The frame uses up the oldest.
    Ambiguous {
        /// The oldest candidate.
        oldest: Id,
    },
    /// Nobody asked for it.
    Unsolicited {
        /// It may be the echo of a command that was just sent without waiting for an answer.
        ours: bool,
    },
}

impl<Id> Verdict<Id> {
    fn belongs_to(owner: Candidate<Id>, proven: bool) -> Self {
        let Candidate { id, waits, .. } = owner;
        if waits { Self::Solicited { owner: id, proven } } else { Self::Late { owner: id, proven } }
    }
}

/// Decides who gets a frame, by the first rule that applies.
///
/// A [`Connection`](crate::Connection) calls it for every frame it receives. A program that only
/// watches a connection calls it too, with its own names for the requests that it saw:
///
/// ```
/// use flamingo_protocol_core::{
///     CommandCode, Config, Frame,
///     connection::{Candidate, Facts, Key, Order, Verdict, classify},
/// };
/// let config = Config::default();
/// let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
/// // The watcher saw two queries of other keys, then this one. It numbers them from 1.
/// let seen = [(1, Key::of(&query.with_selector(2))), (2, Key::of(&query))];
///
/// let answer = query; // a frame of the instrument
/// let mut facts = Facts::of(&answer, &config);
/// for (number, key) in seen {
///     if key == Key::of(&answer) {
///         facts.candidates.add(Candidate { id: number, order: Order::new(number), waits: true });
///     }
/// }
/// assert_eq!(classify(&facts), Verdict::Solicited { owner: 2, proven: true });
/// ```
///
/// - A request whose patience is over stays a candidate as long as its answer may still come, with
///   `waits: false`. Its answer is then [`Verdict::Late`].
/// - A watcher that does not know whether the peer echoes tokens leaves `token` at [`Token::Off`].
///   If it recognises the number of one candidate in the frame all the same, it adds that candidate
///   alone and sets `in_doubt`: the answer is then presumed.
/// - A watcher that does not know whether the peer tags its answers clears `pushable` for a frame
///   with [`Flags::ANSWER_TAG`]: only an answer has that tag.
/// - A proven answer to a request settles what was sent before it and keeps its order with it
///   ([`Config::keeps_order`]): that will not be answered any more.
pub fn classify<Id: Copy>(facts: &Facts<Id>) -> Verdict<Id> {
    let Candidates { oldest, newest_waiting, count } = facts.candidates;
    let unsolicited = Verdict::Unsolicited { ours: facts.echo_expected && !facts.marked() };
    // 1. A code that only the server sends, and no request waits for it.
    if facts.server_only && newest_waiting.is_none() {
        return unsolicited;
    }
    // 2. The server's own mark on a push, whatever waits.
    if facts.positions_in_buffer {
        return unsolicited;
    }
    // 3. The peer tags its answers: a frame without the tag is none.
    if facts.untagged {
        return unsolicited;
    }
    // 4. The peer echoes tokens: the token decides, exactly.
    match facts.token {
        Token::Off => {}
        Token::NamesNobody => return unsolicited,
        Token::Names(owner) => return Verdict::belongs_to(owner, true),
    }
    // 5. The request of its key that waits, and the tombstones of older ones of that key.
    match (oldest, newest_waiting) {
        (Some(owner), _) if count == 1 => Verdict::belongs_to(owner, facts.certain()),
        (Some(_), Some(owner)) if facts.on_ambiguous == OnAmbiguous::Presume => {
            Verdict::belongs_to(owner, false)
        }
        (Some(oldest), _) => Verdict::Ambiguous { oldest: oldest.id },
        // 6. Nobody: it is unsolicited, known code or not.
        (None, _) => unsolicited,
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]
#[path = "classify_tests.rs"]
mod tests;
