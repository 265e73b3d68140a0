//! One direction of a byte link that behaves like TCP. It splits and joins writes, delays them, stalls,
//! half-closes, resets, and may begin with stale bytes. It never reorders bytes, and only a reset loses
//! bytes.
//!
//! It does not interpret the bytes.

use std::collections::VecDeque;

use fastrand::Rng;
use flamingo_protocol_core::time::{Duration, Instant};

/// The faults of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// The longest delay of a byte, in µs.
    pub latency: u64,
    /// The most bytes that one write accepts, at least 1.
    pub write: usize,
    /// The most bytes that one read returns, at least 1.
    pub read: usize,
    /// The most bytes in flight. A write beyond this is partial.
    pub capacity: usize,
}

impl Faults {
    /// No delay, no splits and no limit.
    pub const NONE: Self =
        Self { latency: 0, write: usize::MAX, read: usize::MAX, capacity: usize::MAX };
}

/// The result of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkRead {
    /// At least one byte.
    Bytes(Vec<u8>),
    /// Nothing has arrived yet.
    Pending,
    /// The other side has closed, and all its bytes were read.
    End,
    /// The link was reset, and bytes may be lost.
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    HalfClosed,
    Reset,
}

/// One direction of a connection.
///
/// ```
/// use flamingo_protocol_core::time::Instant;
/// use flamingo_testkit::{Faults, Link, LinkRead};
/// let now = Instant::from_micros(0);
/// let mut link = Link::new(1, Faults { read: 2, ..Faults::NONE });
/// assert_eq!(link.write(now, b"abc"), 3);
/// link.close();
/// let mut read = Vec::new();
/// while let LinkRead::Bytes(bytes) = link.read(now) {
///     assert!(bytes.len() <= 2);
///     read.extend(bytes);
/// }
/// assert_eq!(read, b"abc");
/// assert_eq!(link.read(now), LinkRead::End);
/// ```
#[derive(Debug)]
pub struct Link {
    rng: Rng,
    faults: Faults,
    /// Segments with their times of arrival, in order.
    segments: VecDeque<(Instant, VecDeque<u8>)>,
    /// The number of bytes in the segments. It is stored because every write needs it.
    in_flight: usize,
    stalled_until: Instant,
    state: State,
}

impl Link {
    /// Creates a link whose random choices follow from `seed`.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let (rng, stalled_until) = (Rng::with_seed(seed), Instant::default());
        Self {
            rng,
            faults,
            segments: VecDeque::new(),
            in_flight: 0,
            stalled_until,
            state: State::Open,
        }
    }

    /// Puts bytes of an earlier conversation before all others.
    #[must_use]
    pub fn with_stale(mut self, bytes: &[u8]) -> Self {
        self.in_flight += bytes.len();
        self.segments.push_front((Instant::default(), bytes.iter().copied().collect()));
        self
    }

    /// Writes some of `bytes` and returns their number: 0 if the link is full, closed or reset.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let room = self.faults.capacity.saturating_sub(self.in_flight);
        let most = bytes.len().min(self.faults.write.max(1)).min(room);
        if self.state != State::Open || most == 0 {
            return 0;
        }
        let len = if self.faults.write == usize::MAX { most } else { self.rng.usize(1..=most) };
        let delay = Duration::from_micros(self.rng.u64(0..=self.faults.latency));
        let last = self.segments.back().map_or(Instant::default(), |(at, _)| *at);
        let at = last.max(now + delay).max(self.stalled_until);
        self.in_flight += len;
        self.segments.push_back((at, bytes[..len].iter().copied().collect()));
        len
    }

    /// Reads some of the bytes that have arrived.
    pub fn read(&mut self, now: Instant) -> LinkRead {
        if self.state == State::Reset {
            return LinkRead::Reset;
        }
        let faults = self.faults;
        let mut most = faults.read.max(1);
        if most < usize::MAX {
            most = self.rng.usize(1..=most);
        }
        let mut bytes = Vec::new();
        while bytes.len() < most && now >= self.stalled_until {
            let Some((at, segment)) = self.segments.front_mut() else { break };
            if *at > now {
                break;
            }
            let len = segment.len().min(most - bytes.len());
            bytes.extend(segment.drain(..len));
            if segment.is_empty() {
                self.segments.pop_front();
            }
        }
        self.in_flight -= bytes.len();
        match self.state {
            _ if !bytes.is_empty() => LinkRead::Bytes(bytes),
            State::HalfClosed if self.segments.is_empty() => LinkRead::End,
            _ => LinkRead::Pending,
        }
    }

    /// Delays all arrivals until `until`. No byte is lost.
    pub fn stall(&mut self, until: Instant) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// Closes the writing side. Bytes in flight still arrive.
    pub fn close(&mut self) {
        if self.state == State::Open {
            self.state = State::HalfClosed;
        }
    }

    /// Resets the link. Bytes in flight are lost.
    pub fn reset(&mut self) {
        self.state = State::Reset;
        self.segments.clear();
        self.in_flight = 0;
    }

    /// Whether the link accepts bytes.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// When the next bytes in flight can be read.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.segments.front().map(|(at, _)| (*at).max(self.stalled_until))
    }

    /// The number of bytes in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}
