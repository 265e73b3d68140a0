//! THE policy: whose frame is it? Pure: facts in, class out, no state, no time.
//!
//! [`classify`] is the rules, in order; the first that knows decides. The facts are
//! gathered, and what follows from a class is done, in `connection.rs`.

use heapless::Vec;

use crate::config::OnAmbiguous;
use crate::entry::Entry;
use crate::pending::{MAX_OWNERS, OwnersOfKey};
use crate::ticket::Ticket;

/// Whose frame it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Class {
    /// The answer to a request that waits for it.
    Solicited {
        /// The request.
        ticket: Ticket,
        /// Whether nobody else could have sent this frame.
        proven: bool,
    },
    /// The answer to a request that has ended.
    Late {
        /// The request.
        ticket: Ticket,
        /// Whether nobody else could have sent this frame.
        proven: bool,
    },
    /// The answer to one of several requests; which one cannot be told.
    Ambiguous {
        /// All whom it may answer.
        owners: Owners,
    },
    /// Nobody asked for it.
    Unsolicited {
        /// It has the code of a fire-and-forget command that was just sent: perhaps its echo.
        ours: bool,
    },
}

/// The requests that a frame is ambiguous between, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Owners(pub(crate) Vec<Ticket, MAX_OWNERS>);

impl Owners {
    /// Their tickets, oldest first.
    pub fn tickets(&self) -> &[Ticket] {
        &self.0
    }
}

/// What is known about a frame when it comes in.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // four independent facts about a frame
pub(crate) struct Facts<'a> {
    /// Only the server sends this code.
    pub(crate) server_only: bool,
    /// STAGE_POSITIONS_IN_BUFFER is set.
    pub(crate) positions_in_buffer: bool,
    /// The peer tags its answers, and this frame has no tag.
    pub(crate) untagged: bool,
    /// Whom the token names; `None` if tokens are off.
    pub(crate) token: Option<Named<'a>>,
    /// Everybody to whom a frame of its key may belong.
    pub(crate) owners: OwnersOfKey<'a>,
    /// The key is not pushable and not in doubt: a single owner is a proven one.
    pub(crate) certain: bool,
    /// What to do with several.
    pub(crate) on_ambiguous: OnAmbiguous,
}

/// Whom a token names.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) enum Named<'a> {
    Owner(&'a Entry),
    Nobody,
}

/// Whose a frame is, before anything follows from it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) enum Verdict<'a> {
    /// His.
    Belongs { owner: &'a Entry, proven: bool },
    /// One of several owners', and nobody can tell whose.
    Ambiguous { oldest: &'a Entry },
    /// Nobody asked for it.
    Unsolicited,
}

/// The rules, in this order.
pub(crate) fn classify<'a>(facts: &Facts<'a>) -> Verdict<'a> {
    let OwnersOfKey { oldest, waiting, several, .. } = facts.owners;
    // 1. A code that only the server sends, with no request waiting for it.
    if facts.server_only && waiting.is_none() {
        return Verdict::Unsolicited;
    }
    // 2. The server's own mark on a push, whatever waits.
    if facts.positions_in_buffer {
        return Verdict::Unsolicited;
    }
    // 3. A peer that tags its answers: without the tag it is none.
    if facts.untagged {
        return Verdict::Unsolicited;
    }
    // 4. A peer that echoes tokens: the token decides, exactly.
    if let Some(named) = facts.token {
        return match named {
            Named::Owner(owner) => Verdict::Belongs { owner, proven: true },
            Named::Nobody => Verdict::Unsolicited,
        };
    }
    // 5. The request of its key that waits, and what is owed for older ones of that key.
    match (oldest, waiting) {
        (Some(owner), _) if !several => Verdict::Belongs { owner, proven: facts.certain },
        (Some(_), Some(owner)) if facts.on_ambiguous == OnAmbiguous::Presume => {
            Verdict::Belongs { owner, proven: false }
        }
        (Some(oldest), _) => Verdict::Ambiguous { oldest },
        // 6. Nobody: it is unsolicited, known code or not.
        (None, _) => Verdict::Unsolicited,
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]
#[path = "classify_tests.rs"]
mod tests;
