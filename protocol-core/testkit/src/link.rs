//! One direction of a byte link that behaves like TCP: it cuts and joins what was written, lets it
//! arrive later, stalls, half-closes, resets, and may begin with stale bytes. It never reorders
//! and never loses a byte but by a reset.
//!
//! What the bytes mean is not known here.

use std::collections::VecDeque;

use fastrand::Rng;
use flamingo_protocol_core::time::{Duration, Instant};

/// How unkind a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// The longest time that a byte travels, in µs.
    pub latency: u64,
    /// The most bytes that one write takes, at least 1.
    pub write: usize,
    /// The most bytes that one read gives, at least 1.
    pub read: usize,
    /// The most bytes under way; a write that would exceed them is short.
    pub capacity: usize,
}

impl Faults {
    /// At once, and as it was written.
    pub const NONE: Self =
        Self { latency: 0, write: usize::MAX, read: usize::MAX, capacity: usize::MAX };
}

/// What a read gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// At least one byte.
    Bytes(Vec<u8>),
    /// Nothing now.
    Pending,
    /// Nothing any more: the other side has closed, and all its bytes were read.
    End,
    /// Nothing any more, and bytes may be lost.
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    HalfClosed,
    Reset,
}

/// A direction of a connection.
///
/// ```
/// use flamingo_protocol_core::time::Instant;
/// use flamingo_testkit::{Faults, Link, Read};
/// let now = Instant::from_micros(0);
/// let mut link = Link::new(1, Faults { read: 2, ..Faults::NONE });
/// assert_eq!(link.write(now, b"abc"), 3);
/// link.close();
/// let mut read = Vec::new();
/// while let Read::Bytes(bytes) = link.read(now) {
///     assert!(bytes.len() <= 2);
///     read.extend(bytes);
/// }
/// assert_eq!(read, b"abc");
/// assert_eq!(link.read(now), Read::End);
/// ```
#[derive(Debug)]
pub struct Link {
    rng: Rng,
    faults: Faults,
    /// When they arrive: never earlier than those before them.
    under_way: VecDeque<(Instant, VecDeque<u8>)>,
    /// How many bytes that is: kept, since every write looks at it.
    in_flight: usize,
    stalled_until: Instant,
    state: State,
}

impl Link {
    /// A link that does what follows from `seed`.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let (rng, stalled_until) = (Rng::with_seed(seed), Instant::default());
        Self {
            rng,
            faults,
            under_way: VecDeque::new(),
            in_flight: 0,
            stalled_until,
            state: State::Open,
        }
    }

    /// Bytes of an earlier conversation stand before all others.
    #[must_use]
    pub fn with_stale(mut self, bytes: &[u8]) -> Self {
        self.in_flight += bytes.len();
        self.under_way.push_front((Instant::default(), bytes.iter().copied().collect()));
        self
    }

    /// Takes some of `bytes`: how many. None if it is full, closed or reset.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let room = self.faults.capacity.saturating_sub(self.in_flight);
        let most = bytes.len().min(self.faults.write.max(1)).min(room);
        if self.state != State::Open || most == 0 {
            return 0;
        }
        let len = if self.faults.write == usize::MAX { most } else { self.rng.usize(1..=most) };
        let travels = Duration::from_micros(self.rng.u64(0..=self.faults.latency));
        let last = self.under_way.back().map_or(Instant::default(), |(at, _)| *at);
        let at = last.max(now + travels).max(self.stalled_until);
        self.in_flight += len;
        self.under_way.push_back((at, bytes[..len].iter().copied().collect()));
        len
    }

    /// Some of what has arrived, cut and joined.
    pub fn read(&mut self, now: Instant) -> Read {
        if self.state == State::Reset {
            return Read::Reset;
        }
        let faults = self.faults;
        let mut most = faults.read.max(1);
        if most < usize::MAX {
            most = self.rng.usize(1..=most);
        }
        let mut bytes = Vec::new();
        while bytes.len() < most && now >= self.stalled_until {
            let Some((at, segment)) = self.under_way.front_mut() else { break };
            if *at > now {
                break;
            }
            let len = segment.len().min(most - bytes.len());
            bytes.extend(segment.drain(..len));
            if segment.is_empty() {
                self.under_way.pop_front();
            }
        }
        self.in_flight -= bytes.len();
        match self.state {
            _ if !bytes.is_empty() => Read::Bytes(bytes),
            State::HalfClosed if self.under_way.is_empty() => Read::End,
            _ => Read::Pending,
        }
    }

    /// Nothing arrives before `until`; order and bytes stay.
    pub fn stall(&mut self, until: Instant) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// The writer writes no more; what is under way arrives.
    pub fn close(&mut self) {
        if self.state == State::Open {
            self.state = State::HalfClosed;
        }
    }

    /// What is under way is lost, and nothing comes any more.
    pub fn reset(&mut self) {
        self.state = State::Reset;
        self.under_way.clear();
        self.in_flight = 0;
    }

    /// Whether it takes bytes.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// When bytes that are under way can be read.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.front().map(|(at, _)| (*at).max(self.stalled_until))
    }

    /// Bytes under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}
