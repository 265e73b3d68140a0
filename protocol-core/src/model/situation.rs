//! The description of a received frame: the situation, the class and the true origin.

use core::fmt;
use std::vec::Vec;

use super::world::Truth;
use crate::connection::Connection;
use crate::connection::entry::{Entry, States};
use crate::connection::key::Key;
use crate::{Class, Ticket};

/// A received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Seen {
    /// The class that the connection gave it.
    pub(super) class: &'static str,
    pub(super) situation: Situation,
    /// Its true origin.
    pub(super) truth: &'static str,
    /// The same answer came before, while nothing waited for it.
    pub(super) told_before: bool,
}

/// The possible owners of a frame, and whether a single owner is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Situation {
    pub(super) waiting: &'static str,
    pub(super) owed: &'static str,
    pub(super) key: &'static str,
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waiting, owed, key } = self;
        write!(f, "{waiting} waiting, {owed} owed, key {key}")
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, situation, truth, told_before } = self;
        let again = if *told_before { ", once more after it was told" } else { "" };
        write!(f, "{class} ({situation}): {truth}{again}")
    }
}

pub(super) fn situation<
    const REQUESTS: usize,
    const OWED: usize,
    const QUEUE: usize,
    const STOPS: usize,
>(
    client: &Connection<REQUESTS, OWED, QUEUE, STOPS>,
    key: Key,
) -> Situation {
    let owners = client.requests.pending.entries.iter().filter(|entry| entry.is_owner_of(key));
    let (waiting, owed): (Vec<&Entry>, Vec<&Entry>) = owners.partition(|entry| entry.waits());
    let pending = &client.requests.pending;
    let of = Entry::new(Ticket::from_number(1), key.code, key.selector, client.config());
    let key = if client.config().pushable(key.code) {
        "pushable"
    } else if pending.states_of(&of).any(States::DOUBT) {
        "in doubt"
    } else {
        "certain"
    };
    Situation { waiting: count(waiting.len()), owed: count(owed.len()), key }
}

fn count(number: usize) -> &'static str {
    match number {
        0 => "none",
        1 => "one",
        _ => "several",
    }
}

impl Seen {
    pub(super) fn new(
        class: &Class,
        situation: Situation,
        truth: Truth,
        told_before: bool,
    ) -> Self {
        let whose = |ticket: Ticket| match truth {
            Truth::Push => "a push",
            Truth::Answer(of) if of == ticket => "its own answer",
            Truth::Answer(_) => "the answer of another request",
        };
        let (class, truth) = match class {
            Class::Solicited { ticket, proven: true } => ("proven", whose(*ticket)),
            Class::Solicited { ticket, proven: false } => ("presumed", whose(*ticket)),
            Class::Late { ticket, proven: true } => ("late, proven", whose(*ticket)),
            Class::Late { ticket, proven: false } => ("late, presumed", whose(*ticket)),
            Class::Ambiguous { owners } => {
                let owns = |ticket: &Ticket| truth == Truth::Answer(*ticket);
                let named = owners.tickets().iter().any(owns);
                ("ambiguous", if named { "of one that is named" } else { "of nobody named" })
            }
            Class::Unsolicited { .. } => {
                let push = truth == Truth::Push;
                ("unsolicited", if push { "a push" } else { "an answer that was given up" })
            }
        };
        Self { class, situation, truth, told_before }
    }

    pub(super) fn is_right(&self) -> bool {
        self.truth == "its own answer"
    }
}
