//! The name of a request, and the ways in which one ends without an answer.
//!
//! What holds a request until then is `pending.rs`.

/// Names one request or one sent frame of a connection. Never 0, never used twice in the time
/// that an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket(u32);

impl Ticket {
    const FENCE: u32 = 0x8000_0000;
    /// Tokens begin with this byte, apart from the small numbers that other clients use.
    const TOKEN: u32 = 0x4600_0000;

    /// None was given out yet.
    pub(crate) const NONE: Self = Self(0);

    #[inline(never)] // inlined, a client takes 156 bytes more flash
    pub(crate) const fn next(self) -> Self {
        let number = self.number() % (Self::FENCE - 1) + 1;
        Self(number)
    }

    pub(crate) const fn fence(self) -> Self {
        Self(self.0 | Self::FENCE)
    }

    /// Whether it was given out before that one; numbers wrap.
    pub(crate) const fn is_before(self, other: Self) -> bool {
        let distance = self.0.wrapping_sub(other.0) & !Self::FENCE;
        distance & (Self::FENCE / 2) != 0
    }

    /// The number, counted from 1 for each connection.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 & !Self::FENCE
    }

    /// Whether the connection itself asked, to settle an older request.
    #[must_use]
    pub const fn is_fence(self) -> bool {
        self.0 & Self::FENCE != 0
    }

    /// What stands in the token field of this request, when tokens are on.
    #[must_use]
    pub const fn token(self) -> i32 {
        (Self::TOKEN | (self.number() & 0x00FF_FFFF)) as i32
    }
}

/// How a request ended without an answer, or a sent frame without being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ended {
    /// The deadline passed.
    TimedOut {
        /// Whether the frame had gone out; if not, the instrument never saw it.
        sent: bool,
    },
    /// A later command of its ordering domain was answered: this one never will be.
    Unanswered,
    /// The answer came, but the deadline passed before the last byte of its payload.
    PayloadStalled {
        /// Payload bytes that came.
        received: u32,
        /// Payload bytes that the answer declared.
        expected: u32,
    },
    /// A frame came that may answer this request or another one.
    Ambiguous,
    /// A HALT or laser-off cancelled it before it was sent.
    Superseded {
        /// The ticket of the stop.
        by: Ticket,
    },
    /// The connection ended.
    ConnectionLost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_wrap_without_ever_being_0_or_a_fence() {
        let last = Ticket(0x7FFF_FFFF);
        assert_eq!(last.next(), Ticket::NONE.next());
        assert_eq!(last.fence().next(), Ticket::NONE.next());
        assert!(last.fence().is_fence());
        assert!(!last.is_fence());
        assert_eq!(last.fence().number(), last.number());
    }

    #[test]
    fn tokens_tell_neighbours_apart_and_are_never_0() {
        let mut ticket = Ticket(0x00FF_FFF0);
        for _ in 0..32 {
            assert_ne!(ticket.token(), ticket.next().token());
            assert_ne!(ticket.token(), 0);
            ticket = ticket.next();
        }
    }
}
