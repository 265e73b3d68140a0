//! What the user may say about the peer and about patience. Every field has a safe default.

use crate::connection::key::{Domain, OrderingDomain};
use crate::scanner::Limits;
use crate::time::Duration;
use crate::wire::command::{CommandCode, Kind, Pushed};
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Flags, Frame};
use crate::wire::layout::{CLIENT_ID, Field, INT32_DATA_2, MAX_PAYLOAD};

/// The field that carries a per-request number which the peer echoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TokenField {
    /// `clientID`.
    ClientId,
    /// `int32Data2`.
    Int32Data2,
}

impl TokenField {
    /// What stands in that field.
    #[must_use]
    pub const fn get(self, frame: &Frame) -> i32 {
        let [_, _, data2] = frame.int32_data;
        match self {
            Self::ClientId => frame.client_id,
            Self::Int32Data2 => data2,
        }
    }

    /// Puts `value` into that field and gives what stood there.
    pub const fn replace(self, frame: &mut Frame, value: i32) -> i32 {
        let [_, _, data2] = &mut frame.int32_data;
        let place = match self {
            Self::ClientId => &mut frame.client_id,
            Self::Int32Data2 => data2,
        };
        core::mem::replace(place, value)
    }

    pub(crate) const fn field(self) -> Field {
        match self {
            Self::ClientId => CLIENT_ID,
            Self::Int32Data2 => INT32_DATA_2,
        }
    }
}

/// What happens when a frame may answer an older request as well as the one that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OnAmbiguous {
    /// The waiting request ends as [`Ended::Ambiguous`](crate::Ended::Ambiguous).
    #[default]
    Refuse,
    /// The waiting request takes the frame as a presumed answer.
    Presume,
}

/// Which pushes come without a mark that tells them from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::struct_excessive_bools)] // four independent facts about a peer
#[non_exhaustive]
pub struct UnmarkedPushes {
    /// Position updates during motion. Off: the server flags them STAGE_POSITIONS_IN_BUFFER.
    pub positions: bool,
    /// Laser levels and LED changes. On: they come without any flag.
    pub lights: bool,
    /// The GET that belongs to a SET, pushed when the SET was done. On: observed on "some".
    pub after_set: bool,
    /// Echoes of what other clients do, under the codes of their actions. Off.
    pub other_clients: bool,
}

impl UnmarkedPushes {
    /// What [`UnmarkedPushes::default`] gives.
    pub const DEFAULT: Self =
        Self { positions: false, lights: true, after_set: true, other_clients: false };

    /// The same with `positions` set.
    #[must_use]
    pub const fn with_positions(mut self, positions: bool) -> Self {
        self.positions = positions;
        self
    }

    /// The same with `lights` set.
    #[must_use]
    pub const fn with_lights(mut self, lights: bool) -> Self {
        self.lights = lights;
        self
    }

    /// The same with `after_set` set.
    #[must_use]
    pub const fn with_after_set(mut self, after_set: bool) -> Self {
        self.after_set = after_set;
        self
    }

    /// The same with `other_clients` set.
    #[must_use]
    pub const fn with_other_clients(mut self, other_clients: bool) -> Self {
        self.other_clients = other_clients;
        self
    }
}

impl Default for UnmarkedPushes {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Settings of a client connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Config {
    /// The longest payload, in bytes, either way. A frame that declares more is noise.
    pub payload_limit: u32,
    /// The acknowledgement of an upload that declares a payload really carries one. Off: it is
    /// the upload's own length, sent back.
    pub upload_echo_has_payload: bool,
    /// Within what answers keep their order.
    pub ordering: OrderingDomain,
    /// Which pushes cannot be told from answers.
    pub unmarked: UnmarkedPushes,
    /// The peer sets [`Flags::ANSWER_TAG`] on answers and clears it on all else.
    pub peer_tags: bool,
    /// The peer echoes a number in this field: each request gets its own.
    pub tokens: Option<TokenField>,
    /// What to do with an ambiguous frame.
    pub on_ambiguous: OnAmbiguous,
    /// How long an unanswered request, or fence, may still be answered late.
    pub grace: Duration,
    /// How long the true answer may still come after one that is only presumed, which may have
    /// been a push. The next request of that key waits for it.
    pub presumed_grace: Duration,
    /// How many commands may be on the wire unanswered, at least 1. HALT, laser-off,
    /// fences and what is answered at the end of a motion come on top.
    pub window: usize,
    /// How long a HALT may wait to be written, without a byte of progress, before the connection
    /// is given up.
    pub stop_patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Where a connection has its settings from: from a [`Config`], or from a type of your own that
/// knows them when the program is compiled. Then what they rule out takes no flash, and they take
/// no RAM.
///
/// ```
/// use flamingo_protocol_core::{Config, Connection, connection::{OrderingDomain, ConfigSource}};
/// struct OurMicroscope;
/// impl ConfigSource for OurMicroscope {
///     fn config(&self) -> &Config {
///         const { &Config::DEFAULT.with_ordering(OrderingDomain::Connection) }
///     }
/// }
/// type Client = Connection<4, 8, 5, 1, OurMicroscope>;
/// let client = Client::with(OurMicroscope);
/// assert!(size_of::<Client>() < size_of::<Connection<4, 8, 5, 1>>());
/// # assert_eq!(client.config().ordering, OrderingDomain::Connection);
/// ```
pub trait ConfigSource {
    /// The settings: always the same ones.
    fn config(&self) -> &Config;
}

impl ConfigSource for Config {
    fn config(&self) -> &Config {
        self
    }
}

impl Config {
    /// What [`Config::default`] gives.
    pub const DEFAULT: Self = Self {
        payload_limit: MAX_PAYLOAD,
        upload_echo_has_payload: false,
        ordering: OrderingDomain::Subsystem,
        unmarked: UnmarkedPushes::DEFAULT,
        peer_tags: false,
        tokens: None,
        on_ambiguous: OnAmbiguous::Refuse,
        grace: Duration::from_millis(1000),
        presumed_grace: Duration::from_millis(100),
        window: 4,
        stop_patience: Duration::from_millis(1000),
    };

    /// The same with `payload_limit` set.
    #[must_use]
    pub const fn with_payload_limit(mut self, payload_limit: u32) -> Self {
        self.payload_limit = payload_limit;
        self
    }

    /// The same with `upload_echo_has_payload` set.
    #[must_use]
    pub const fn with_upload_echo_has_payload(mut self, upload_echo_has_payload: bool) -> Self {
        self.upload_echo_has_payload = upload_echo_has_payload;
        self
    }

    /// The same with `ordering` set.
    #[must_use]
    pub const fn with_ordering(mut self, ordering: OrderingDomain) -> Self {
        self.ordering = ordering;
        self
    }

    /// The same with `unmarked` set.
    #[must_use]
    pub const fn with_unmarked(mut self, unmarked: UnmarkedPushes) -> Self {
        self.unmarked = unmarked;
        self
    }

    /// The same with `peer_tags` set.
    #[must_use]
    pub const fn with_peer_tags(mut self, peer_tags: bool) -> Self {
        self.peer_tags = peer_tags;
        self
    }

    /// The same with `tokens` set.
    #[must_use]
    pub const fn with_tokens(mut self, tokens: Option<TokenField>) -> Self {
        self.tokens = tokens;
        self
    }

    /// The same with `on_ambiguous` set.
    #[must_use]
    pub const fn with_on_ambiguous(mut self, on_ambiguous: OnAmbiguous) -> Self {
        self.on_ambiguous = on_ambiguous;
        self
    }

    /// The same with `grace` set.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The same with `presumed_grace` set.
    #[must_use]
    pub const fn with_presumed_grace(mut self, presumed_grace: Duration) -> Self {
        self.presumed_grace = presumed_grace;
        self
    }

    /// The same with `window` set.
    #[must_use]
    pub const fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// The same with `stop_patience` set.
    #[must_use]
    pub const fn with_stop_patience(mut self, stop_patience: Duration) -> Self {
        self.stop_patience = stop_patience;
        self
    }

    pub(crate) const fn limits(&self) -> Limits {
        let clears_upload_echo = !self.upload_echo_has_payload;
        Limits { payload: self.payload_limit, clears_upload_echo }
    }

    /// Whether a frame of this code may be a push that nothing marks as one.
    #[must_use]
    pub fn pushable(&self, code: CommandCode) -> bool {
        self.may_push(CommandFacts::of(code))
    }

    pub(crate) const fn may_push(&self, facts: &CommandFacts) -> bool {
        if self.peer_tags || self.tokens.is_some() {
            return false;
        }
        match facts.pushed {
            Pushed::Never => self.unmarked.other_clients && !matches!(facts.kind, Kind::Query),
            Pushed::Position => self.unmarked.positions,
            Pushed::Light => self.unmarked.lights,
            Pushed::AfterSet => self.unmarked.after_set,
            Pushed::Always => true,
        }
    }

    /// Whether the answers of two commands keep their order. If they do, a proven answer to the one
    /// that was sent later shows that the other one will not be answered any more.
    #[must_use]
    pub fn keeps_order(&self, one: CommandCode, other: CommandCode) -> bool {
        let domain = |code| Domain::of(code, CommandFacts::of(code).timing, self.ordering);
        domain(one) != Domain::NONE && domain(one) == domain(other)
    }

    /// Whether the frame carries a mark that only the server's pushes carry.
    #[must_use]
    pub fn marked_as_push(&self, frame: &Frame) -> bool {
        self.is_marked(frame.flags)
    }

    pub(crate) const fn is_marked(&self, flags: Flags) -> bool {
        flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER)
            || (self.peer_tags && !flags.contains(Flags::ANSWER_TAG))
    }
}
