//! Points in time and durations in microseconds. The caller chooses the origin.
//!
//! The core never reads a clock. The rules that use time are in `connection/`, the durations in
//! `connection/config.rs`.

use core::ops::{Add, Sub};

/// A point in time, in µs since an origin that the caller chose.
///
/// Time must not run backwards between two calls. If it does, deadlines only come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The latest point in time: a deadline that never comes.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// Creates the point `micros` µs after the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The number of µs since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this point; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    #[cfg_attr(target_os = "none", inline(never))] // if inlined, a client takes 46 bytes more flash
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

/// A duration in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u64);

impl Duration {
    /// A duration of zero.
    pub const ZERO: Self = Self(0);

    /// Creates a duration of `micros` µs.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Creates a duration of `millis` ms. A result above `u64::MAX` µs becomes `u64::MAX` µs.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// The duration in µs.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, rhs: Self) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl Sub for Duration {
    type Output = Self;
    fn sub(self, rhs: Self) -> Self {
        Self(self.0.saturating_sub(rhs.0))
    }
}

impl From<core::time::Duration> for Duration {
    /// A duration above 584 000 years becomes the maximum, `u64::MAX` µs.
    fn from(value: core::time::Duration) -> Self {
        Self(u64::try_from(value.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Duration> for core::time::Duration {
    fn from(value: Duration) -> Self {
        Self::from_micros(value.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stops_at_its_ends_instead_of_wrapping() {
        let (early, late) = (Instant::from_micros(5), Instant::from_micros(u64::MAX - 1));
        assert_eq!(late + Duration::from_micros(9), Instant::from_micros(u64::MAX));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.since(early).as_micros(), u64::MAX - 6);
        let most = Duration::from_millis(u64::MAX);
        assert_eq!(most + Duration::from_micros(1), most);
        assert_eq!(Duration::ZERO - most, Duration::ZERO);
    }

    #[test]
    fn spans_of_the_standard_library_come_over_in_microseconds() {
        let span = core::time::Duration::from_nanos(1_999);
        assert_eq!(Duration::from(span), Duration::from_micros(1));
        assert_eq!(Duration::from(core::time::Duration::MAX), Duration::from_micros(u64::MAX));
        let back = core::time::Duration::from(Duration::from_millis(3));
        assert_eq!(back, core::time::Duration::from_millis(3));
    }
}
