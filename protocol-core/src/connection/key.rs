//! The key that matches an answer to a request, and the domain in which answers keep their order.
//!
//! The table of requests is in `pending.rs`, the rules are in `classify.rs`.

use crate::wire::command::{CommandCode, Timing};
use crate::wire::facts::{CommandFacts, answered_command};
use crate::wire::frame::Frame;

/// Matches an answer to a request: the code and, if the answer repeats it, the selector.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame, connection::Key};
/// let of_axis = |axis| Key::of(&Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(axis));
/// assert_ne!(of_axis(1), of_axis(2));
/// // The peer may answer a settings command under an older code.
/// let answer = Key::of(&Frame::new(CommandCode::COMMON_SCOPE_SETTINGS));
/// assert_eq!(answer.code, CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Key {
    /// The code of the command. The answer nearly always has the same code.
    pub code: CommandCode,
    /// `int32Data0`, or 0 if the command has no selector.
    pub selector: i32,
}

impl Key {
    pub(crate) const NONE: Self = Self { code: CommandCode(0), selector: 0 };

    /// The key of a command, or of a frame that may answer a command.
    #[must_use]
    pub fn of(frame: &Frame) -> Self {
        Self::new(frame.code, CommandFacts::of(frame.code), frame.selector())
    }

    pub(crate) const fn new(code: CommandCode, facts: &CommandFacts, selector: i32) -> Self {
        let selector = if facts.selects() { selector } else { 0 };
        Self { code: answered_command(code), selector }
    }
}

/// The commands whose answers the peer sends in the order of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OrderingDomain {
    /// All commands of one subsystem: the `0xN000` range of the code.
    #[default]
    Subsystem,
    /// All commands of the connection. Choose this only for a peer that always answers in strict
    /// order.
    Connection,
    /// None. Then only time settles an unanswered request.
    Key,
}

/// The ordering domain of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Domain(u8);

impl Domain {
    /// No domain: the answer proves nothing about other answers.
    pub(crate) const NONE: Self = Self(0);

    /// 0 for no domain.
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }

    /// A code of `0xFF000` or above has no domain: the table knows no such code.
    #[allow(clippy::cast_possible_truncation)] // such codes have no domain
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

    /// The command with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The position of the next command.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Whether this command was sent before `other`.
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
