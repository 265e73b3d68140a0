//! The settings of a connection: facts about the peer, and how long to wait. Every field has a safe
//! default.

use crate::connection::key::{Domain, OrderingDomain};
use crate::scanner::Limits;
use crate::time::Duration;
use crate::wire::command::{CommandCode, Kind, Pushed};
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Flags, Frame};
use crate::wire::layout::{CLIENT_ID, Field, INT32_DATA_2, MAX_PAYLOAD};

/// The field in which the peer repeats a number that is unique to each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TokenField {
    /// `clientID`.
    ClientId,
    /// `int32Data2`.
    Int32Data2,
}

impl TokenField {
    /// Reads the value of this field.
    #[must_use]
    pub const fn get(self, frame: &Frame) -> i32 {
        let [_, _, data2] = frame.int32_data;
        match self {
            Self::ClientId => frame.client_id,
            Self::Int32Data2 => data2,
        }
    }

    /// Writes `value` into this field and returns the old value.
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

/// What to do with a frame that may answer an older request or the waiting request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OnAmbiguous {
    /// The waiting request ends as [`Ended::Ambiguous`](crate::Ended::Ambiguous).
    #[default]
    Refuse,
    /// The waiting request takes the frame as a presumed answer.
    Presume,
}

/// The pushes that carry no mark that distinguishes them from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::struct_excessive_bools)] // four independent facts about a peer
#[non_exhaustive]
pub struct UnmarkedPushes {
    /// Position updates during a motion. Default: false, because the server flags them with
    /// STAGE_POSITIONS_IN_BUFFER.
    pub positions: bool,
    /// Laser levels and LED changes. Default: true, because they come without any flag.
    pub lights: bool,
    /// The GET that belongs to a SET, pushed when the SET is done. Default: true, because the server
    /// pushes it after some SETs.
    pub after_set: bool,
    /// Echoes of the actions of other clients, under the codes of these actions. Default: false.
    pub other_clients: bool,
}

impl UnmarkedPushes {
    /// The value of [`UnmarkedPushes::default`].
    pub const DEFAULT: Self =
        Self { positions: false, lights: true, after_set: true, other_clients: false };

    /// Sets `positions`.
    #[must_use]
    pub const fn with_positions(mut self, positions: bool) -> Self {
        self.positions = positions;
        self
    }

    /// Sets `lights`.
    #[must_use]
    pub const fn with_lights(mut self, lights: bool) -> Self {
        self.lights = lights;
        self
    }

    /// Sets `after_set`.
    #[must_use]
    pub const fn with_after_set(mut self, after_set: bool) -> Self {
        self.after_set = after_set;
        self
    }

    /// Sets `other_clients`.
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

/// The settings of a client connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Config {
    /// The longest payload in bytes, in both directions. The scanner skips a frame that declares
    /// more as noise. Default: [`MAX_PAYLOAD`](crate::wire::MAX_PAYLOAD), 32 MiB.
    pub payload_limit: u32,
    /// Whether a payload follows the acknowledgement of an upload that declares one. Default:
    /// false, because the server only sends the length of the upload back.
    pub upload_echo_has_payload: bool,
    /// The commands whose answers keep their order. Default: [`OrderingDomain::Subsystem`].
    pub ordering: OrderingDomain,
    /// The pushes that carry no mark. An answer that can look like such a push is only presumed.
    pub unmarked: UnmarkedPushes,
    /// Whether the peer sets [`Flags::ANSWER_TAG`] on answers and clears it on all other frames.
    /// Default: false.
    pub peer_tags: bool,
    /// The field in which the peer repeats a number. If set, each request carries its own number
    /// there. Default: `None`.
    pub tokens: Option<TokenField>,
    /// What to do with an ambiguous frame. Default: [`OnAmbiguous::Refuse`].
    pub on_ambiguous: OnAmbiguous,
    /// How long an answer may still come after its request has ended, and how long the answer to a
    /// fence may take. Default: 1000 ms.
    pub grace: Duration,
    /// How long the true answer may still come after a presumed answer, which may have been a push.
    /// The next request of that key waits for this time. Default: 100 ms.
    pub presumed_grace: Duration,
    /// The number of unanswered commands that may be on the wire, at least 1. Stops, fences and
    /// commands that the peer answers at the end of a motion do not count. Default: 4.
    pub window: usize,
    /// How long a stop may wait from the call until it is sent, before
    /// [`Event::StopBlocked`](crate::Event::StopBlocked); the event is repeated after each further
    /// `stop_patience`. Default: 1000 ms.
    pub stop_patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The source of a connection's settings: a [`Config`], or a type of your own that knows the
/// settings at compile time. With such a type, the compiler leaves out the code that the settings
/// exclude, and the settings take no RAM.
///
/// ```
/// use flamingo_protocol_core::{Config, Connection, connection::{OrderingDomain, ConfigSource}};
/// struct OurMicroscope;
/// impl ConfigSource for OurMicroscope {
///     fn config(&self) -> &Config {
///         const { &Config::DEFAULT.with_ordering(OrderingDomain::Connection) }
///     }
/// }
/// type Client = Connection<4, 12, 9, 4, OurMicroscope>;
/// let client = Client::with(OurMicroscope);
/// assert!(size_of::<Client>() < size_of::<Connection<4, 12, 9, 4>>());
/// # assert_eq!(client.config().ordering, OrderingDomain::Connection);
/// ```
pub trait ConfigSource {
    /// The settings. Every call must return the same values.
    fn config(&self) -> &Config;
}

impl ConfigSource for Config {
    fn config(&self) -> &Config {
        self
    }
}

impl Config {
    /// The value of [`Config::default`].
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

    /// Sets `payload_limit`.
    #[must_use]
    pub const fn with_payload_limit(mut self, payload_limit: u32) -> Self {
        self.payload_limit = payload_limit;
        self
    }

    /// Sets `upload_echo_has_payload`.
    #[must_use]
    pub const fn with_upload_echo_has_payload(mut self, upload_echo_has_payload: bool) -> Self {
        self.upload_echo_has_payload = upload_echo_has_payload;
        self
    }

    /// Sets `ordering`.
    #[must_use]
    pub const fn with_ordering(mut self, ordering: OrderingDomain) -> Self {
        self.ordering = ordering;
        self
    }

    /// Sets `unmarked`.
    #[must_use]
    pub const fn with_unmarked(mut self, unmarked: UnmarkedPushes) -> Self {
        self.unmarked = unmarked;
        self
    }

    /// Sets `peer_tags`.
    #[must_use]
    pub const fn with_peer_tags(mut self, peer_tags: bool) -> Self {
        self.peer_tags = peer_tags;
        self
    }

    /// Sets `tokens`.
    #[must_use]
    pub const fn with_tokens(mut self, tokens: Option<TokenField>) -> Self {
        self.tokens = tokens;
        self
    }

    /// Sets `on_ambiguous`.
    #[must_use]
    pub const fn with_on_ambiguous(mut self, on_ambiguous: OnAmbiguous) -> Self {
        self.on_ambiguous = on_ambiguous;
        self
    }

    /// Sets `grace`.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets `presumed_grace`.
    #[must_use]
    pub const fn with_presumed_grace(mut self, presumed_grace: Duration) -> Self {
        self.presumed_grace = presumed_grace;
        self
    }

    /// Sets `window`; 0 counts as 1.
    #[must_use]
    pub const fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// Sets `stop_patience`.
    #[must_use]
    pub const fn with_stop_patience(mut self, stop_patience: Duration) -> Self {
        self.stop_patience = stop_patience;
        self
    }

    pub(crate) const fn limits(&self) -> Limits {
        let clears_upload_echo = !self.upload_echo_has_payload;
        Limits { payload: self.payload_limit, clears_upload_echo }
    }

    /// Whether a frame of this code may be a push without a mark.
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

    /// Whether the answers to two commands keep their order. If so, a proven answer to the later
    /// command shows that the earlier command will not be answered any more.
    #[must_use]
    pub fn keeps_order(&self, one: CommandCode, other: CommandCode) -> bool {
        let domain = |code| Domain::of(code, CommandFacts::of(code).timing, self.ordering);
        domain(one) != Domain::NONE && domain(one) == domain(other)
    }

    /// Whether the frame carries a mark that only pushes carry.
    #[must_use]
    pub fn marked_as_push(&self, frame: &Frame) -> bool {
        self.is_marked(frame.flags)
    }

    pub(crate) const fn is_marked(&self, flags: Flags) -> bool {
        flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER)
            || (self.peer_tags && !flags.contains(Flags::ANSWER_TAG))
    }
}
