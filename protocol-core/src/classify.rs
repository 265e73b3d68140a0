//! THE policy: whose frame is it? Pure: facts in, class out, no state, no time.
//!
//! [`classify`] names the rules, in order; the first that knows decides. The facts are
//! gathered, and what follows from a class is done, in `connection.rs`.

use heapless::Vec;

use crate::config::OnAmbiguous;
use crate::pending::{MAX_OWNERS, Owner};
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
pub struct Owners(Vec<Ticket, MAX_OWNERS>);

impl Owners {
    /// Their tickets, oldest first.
    pub fn tickets(&self) -> &[Ticket] {
        &self.0
    }
}

/// What is known about a frame when it comes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Only the server sends this code.
    pub(crate) server_only: bool,
    /// STAGE_POSITIONS_IN_BUFFER is set.
    pub(crate) positions_in_buffer: bool,
    /// The answer tag, if the peer tags.
    pub(crate) tag: Option<bool>,
    /// Whom the token names; `None` if tokens are off.
    pub(crate) token: Option<Named>,
    /// Everybody to whom a frame of its key may belong, oldest first.
    pub(crate) owners: &'a [Owner],
    /// The key is not pushable and not in doubt: a single owner is a proven one.
    pub(crate) certain: bool,
    /// What to do with several.
    pub(crate) on_ambiguous: OnAmbiguous,
}

/// Whom a token names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named {
    Owner(Owner),
    Nobody,
}

/// In this order.
pub(crate) fn classify(facts: &Facts) -> Class {
    server_only_code(facts)
        .or_else(|| positions_in_buffer(facts))
        .or_else(|| answer_tag(facts))
        .or_else(|| token(facts))
        .or_else(|| possible_owners(facts))
        // 6. Nobody: it is unsolicited, known code or not.
        .unwrap_or(UNSOLICITED)
}

const UNSOLICITED: Class = Class::Unsolicited { ours: false };

/// 1. A code that only the server sends, with no request waiting for it.
fn server_only_code(facts: &Facts) -> Option<Class> {
    let asked = facts.owners.iter().any(|owner| owner.waits);
    (facts.server_only && !asked).then_some(UNSOLICITED)
}

/// 2. The server's own mark on a push, whatever waits.
fn positions_in_buffer(facts: &Facts) -> Option<Class> {
    facts.positions_in_buffer.then_some(UNSOLICITED)
}

/// 3. A peer that tags its answers: without the tag it is none.
fn answer_tag(facts: &Facts) -> Option<Class> {
    (facts.tag == Some(false)).then_some(UNSOLICITED)
}

/// 4. A peer that echoes tokens: the token decides, exactly.
fn token(facts: &Facts) -> Option<Class> {
    Some(match facts.token? {
        Named::Owner(owner) => belongs_to(owner, true),
        Named::Nobody => UNSOLICITED,
    })
}

/// 5. The request of its key that waits, and what is owed for older ones of that key.
fn possible_owners(facts: &Facts) -> Option<Class> {
    match facts.owners {
        [] => None,
        [owner] => Some(belongs_to(*owner, facts.certain)),
        several => {
            let waiting = several.iter().rev().find(|owner| owner.waits);
            if let (OnAmbiguous::Presume, Some(owner)) = (facts.on_ambiguous, waiting) {
                return Some(belongs_to(*owner, false));
            }
            let mut owners = Owners(Vec::new());
            for owner in several.iter().take(MAX_OWNERS) {
                let _ = owners.0.push(owner.ticket); // there is room for as many
            }
            Some(Class::Ambiguous { owners })
        }
    }
}

fn belongs_to(owner: Owner, proven: bool) -> Class {
    let ticket = owner.ticket;
    if owner.waits { Class::Solicited { ticket, proven } } else { Class::Late { ticket, proven } }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]
#[path = "classify_tests.rs"]
mod tests;
