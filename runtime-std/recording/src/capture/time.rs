//! Times of packets, in the unit of their interface, as times since 1970.

use std::time::Duration;

const NANOS: u64 = 1_000_000_000;

/// The unit of times, and what is added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolution {
    per_second: u64,
    /// In seconds.
    offset: i64,
}

impl Default for Resolution {
    fn default() -> Self {
        Self::new(None, 0)
    }
}

impl Resolution {
    /// The unit is 10⁻ⁿ s, or 2⁻ⁿ s if the highest bit is set; without it, 10⁻⁶ s.
    pub(super) fn new(unit: Option<u8>, offset: i64) -> Self {
        let unit = unit.unwrap_or(6);
        let base: u64 = if unit & 0x80 == 0 { 10 } else { 2 };
        let per_second = base.checked_pow(u32::from(unit & 0x7F)).unwrap_or(u64::MAX);
        Self { per_second, offset }
    }

    /// A time in units. A time before 1970 is 1970.
    pub(super) fn time(self, units: u64) -> Duration {
        let (seconds, rest) = (units / self.per_second, units % self.per_second);
        let nanos = if NANOS.is_multiple_of(self.per_second) {
            rest * (NANOS / self.per_second)
        } else {
            let nanos = u128::from(rest) * u128::from(NANOS) / u128::from(self.per_second);
            u64::try_from(nanos).unwrap_or_default()
        };
        let moved = seconds.saturating_add_signed(self.offset);
        if self.offset < 0 && self.offset.unsigned_abs() > seconds {
            return Duration::ZERO;
        }
        Duration::from_secs(moved).saturating_add(Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_of_their_interface() {
        let time = |units, unit| Resolution::new(Some(unit), 0).time(units);
        assert_eq!(time(1_500_000, 6), Duration::from_millis(1_500));
        assert_eq!(time(1_500_000_000, 9), Duration::from_millis(1_500));
        assert_eq!(time(15, 1), Duration::from_millis(1_500));
        assert_eq!(time(1_500_000_000_000, 12), Duration::from_millis(1_500));
        assert_eq!(time(3, 0x80 | 1), Duration::from_millis(1_500));
        assert_eq!(time(7, 0x7F), Duration::ZERO, "a unit that nobody uses");
        assert_eq!(Resolution::default().time(2_000_000), Duration::from_secs(2));
    }

    #[test]
    fn the_offset_of_an_interface_is_added() {
        let time = |offset| Resolution::new(Some(3), offset).time(5_250);
        assert_eq!(time(1_700_000_000), Duration::from_millis(1_700_000_005_250));
        assert_eq!(time(-2), Duration::from_millis(3_250));
        assert_eq!(time(-6), Duration::ZERO);
        assert_eq!(time(i64::MIN), Duration::ZERO);
        time(i64::MAX);
    }
}
