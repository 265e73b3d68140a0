//! What answers are matched by, and within what they keep their order.
//!
//! Who waits for a key is in `pending.rs`; what follows from it is decided in `classify.rs`.

use crate::wire::command::{CommandCode, Timing};
use crate::wire::facts::{CommandFacts, answered_command};
use crate::wire::frame::Frame;

/// What answers are matched by: the code and, where the answer echoes one, the selector.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame, connection::Key};
/// let of_axis = |axis| Key::of(&Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(axis));
/// assert_ne!(of_axis(1), of_axis(2));
/// // The settings may be answered under an older code.
/// let answer = Key::of(&Frame::new(CommandCode::COMMON_SCOPE_SETTINGS));
/// assert_eq!(answer.code, CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Key {
    /// The code of the command; that of its answer is nearly always the same.
    pub code: CommandCode,
    /// `int32Data0`, or 0 where the code selects nothing.
    pub selector: i32,
}

impl Key {
    pub(crate) const NONE: Self = Self { code: CommandCode(0), selector: 0 };

    /// The key of a command, or of a frame that may answer one.
    #[must_use]
    pub fn of(frame: &Frame) -> Self {
        Self::new(frame.code, CommandFacts::of(frame.code), frame.selector())
    }

    pub(crate) const fn new(code: CommandCode, facts: &CommandFacts, selector: i32) -> Self {
        let selector = if facts.selects() { selector } else { 0 };
        Self { code: answered_command(code), selector }
    }
}

/// Within what the peer keeps its answers in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OrderingDomain {
    /// Within a subsystem, the code's `0xN000` range.
    #[default]
    Subsystem,
    /// Over the whole connection: only for a peer that is known to answer strictly in order.
    Connection,
    /// Not at all: nothing settles an unanswered request but time.
    Key,
}

/// Within what answers keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Domain(u8);

impl Domain {
    /// Within nothing: no answer proves anything about another one.
    pub(crate) const NONE: Self = Self(0);

    /// A code above all that are known, `0xFF000` and more, is in none.
    #[allow(clippy::cast_possible_truncation)] // those are none
    pub(crate) const fn of(code: CommandCode, timing: Timing, ordering: OrderingDomain) -> Self {
        match ordering {
            OrderingDomain::Key => Self::NONE,
            _ if matches!(timing, Timing::AtEnd) => Self::NONE,
            OrderingDomain::Connection => Self(1),
            OrderingDomain::Subsystem if code.0 >= 0xF_F000 => Self::NONE,
            OrderingDomain::Subsystem => Self(code.subsystem() as u8 + 1),
        }
    }
}

/// The position of a command among all commands that were sent. It wraps: a command that was sent
/// 2³¹ commands ago counts as later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Order(u32);

impl Order {
    pub(crate) const FIRST: Self = Self(0);

    /// The command with that number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The command after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Whether it was sent before `other`.
    #[must_use]
    pub const fn is_before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subsystem_beyond_all_that_are_known_proves_nothing() {
        let domain = |code| {
            let code = CommandCode(code);
            Domain::of(code, Timing::AtOnce, OrderingDomain::Subsystem)
        };
        assert_ne!(domain(0x6FFF), domain(0x0010_6FFF), "told apart, not cut off");
        assert_eq!(domain(0x000F_EFFF), Domain(0xFF));
        assert_eq!(domain(0x000F_F000), Domain::NONE);
        assert_eq!(domain(u32::MAX), Domain::NONE);
    }

    #[test]
    fn the_order_holds_when_the_numbers_wrap() {
        let last = Order(u32::MAX);
        assert!(last.is_before(last.next()));
        assert!(!last.next().is_before(last));
        assert!(!last.is_before(last));
    }
}
