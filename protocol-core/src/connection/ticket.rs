//! The ticket of a request, and the ways in which a request ends without an answer.
//!
//! The table of requests is in `pending.rs`.

/// Names one request or one sent frame of a connection. A ticket is never 0. The numbers repeat
/// only after 2³¹ − 1 tickets, much later than any answer may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket(u32);

impl Ticket {
    const FENCE: u32 = 0x8000_0000;
    /// The first byte of every token. Other clients use small numbers in that field.
    const TOKEN: u32 = 0x4600_0000;

    /// No ticket: the connection has given out none yet.
    pub(crate) const NONE: Self = Self(0);

    /// The ticket with this number. The highest bit is ignored.
    ///
    /// Pass it to [`Connection::starting_after`](crate::Connection::starting_after) to begin the
    /// numbers of a connection at a random place.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number & !Self::FENCE)
    }

    #[cfg_attr(target_os = "none", inline(never))] // if inlined, a client takes 156 bytes more flash
    pub(crate) const fn next(self) -> Self {
        let number = self.number() % (Self::FENCE - 1) + 1;
        Self(number)
    }

    pub(crate) const fn fence(self) -> Self {
        Self(self.0 | Self::FENCE)
    }

    /// Whether this ticket is older than `other`. The numbers wrap.
    pub(crate) const fn is_before(self, other: Self) -> bool {
        let distance = self.0.wrapping_sub(other.0) & !Self::FENCE;
        distance & (Self::FENCE / 2) != 0
    }

    /// The number, from 1 to 2³¹ − 1. A connection counts from the ticket that it starts after.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 & !Self::FENCE
    }

    /// Whether the connection itself sent this request as a fence.
    #[must_use]
    pub const fn is_fence(self) -> bool {
        self.0 & Self::FENCE != 0
    }

    /// The number in the token field of this request, if tokens are on. It is unique among the
    /// requests of the connection whose answers may still come.
    #[must_use]
    pub const fn token(self) -> i32 {
        (Self::TOKEN | (self.number() & 0x00FF_FFFF)) as i32
    }
}

/// How a request ended without an answer, or how a frame ended without being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ended {
    /// The deadline passed.
    TimedOut {
        /// Whether the frame was sent. If not, the instrument never received it.
        sent: bool,
    },
    /// The peer answered a later command of the same ordering domain, so this answer will never
    /// come.
    Unanswered,
    /// The answer came, but the deadline passed before the last byte of its payload.
    PayloadStalled {
        /// The number of payload bytes that came.
        received: u32,
        /// The number of payload bytes that the answer declared.
        expected: u32,
    },
    /// A frame came that may answer this request or another request.
    Ambiguous,
    /// A stop cancelled the frame before it was sent.
    Superseded {
        /// The ticket of the stop.
        by: Ticket,
    },
    /// The connection ended.
    ConnectionLost {
        /// Whether the first byte of the frame was sent. If not, the instrument never received it.
        sent: bool,
    },
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
