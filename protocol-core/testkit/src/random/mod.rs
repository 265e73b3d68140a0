//! Random conversations of a client with a device that knows the truth beside the wire. Everything follows from a
//! seed: the settings, the size of the connection, the habits of the caller, the faults of the device and the
//! wire. Each step checks the promises of the connection ([`Promise`]).
//!
//! [`run`] runs one conversation. `tests/it/conversations.rs` runs 10⁴ of them, `examples/conversations.rs` any
//! number.

mod client;
mod conversation;
mod endings;
mod entering;
mod hearing;
mod instrument;
mod ledger;
mod plan;
mod promise;
mod proof;
mod recovery;
mod sending;
mod survey;
mod timers;

pub use promise::{Broken, Promise};
pub use survey::Survey;

use conversation::Conversation;

/// What many conversations must cover, by its name in the [`Survey`].
pub const COVERED: &[&str] = &[
    "ambiguous",
    "answer of an earlier connection",
    "answer of which nothing is in doubt",
    "answer to another client",
    "caller is lazy",
    "caller is prompt",
    "caller is very lazy",
    "cancel: not sent",
    "cancel: over",
    "cancel: sent",
    "command that is not answered",
    "connected again",
    "device falls silent",
    "drained",
    "echo with the length of an upload",
    "ended: ambiguous",
    "ended: connection lost",
    "ended: superseded",
    "ended: timed out, not sent",
    "ended: timed out, sent",
    "ended: unanswered",
    "event: responsive",
    "event: stop blocked",
    "event: unresponsive",
    "fence sent",
    "late, presumed",
    "late, proven",
    "noise",
    "payload received",
    "peer answers twice",
    "peer keeps all assumptions",
    "peer keeps no order",
    "peer pushes what is not declared",
    "polling is proven again",
    "polling is right again",
    "presumption that is right",
    "presumption that is wrong",
    "proof that is right",
    "push",
    "push into polling",
    "refused: closed",
    "refused: queue",
    "refused: requests",
    "refused: stops",
    "send begun",
    "size 1-6-7-4",
    "size 3-9-12-5",
    "size 4-12-9-4",
    "size 16-64-25-8",
    "size 64-256-81-16",
    "time at its limit",
    "unsolicited, ours",
    "with a second connection, cut otherwise",
    "with tags",
    "with tokens",
    "writes blocked",
];

/// Runs the conversation of a seed. Returns what it covered.
///
/// # Errors
/// The first promise that was broken.
pub fn run(seed: u64) -> Result<Survey, Box<Broken>> {
    let mut conversation = Conversation::new(seed, false);
    conversation.run();
    match conversation.broken {
        Some(broken) => Err(Box::new(broken)),
        None => Ok(conversation.survey),
    }
}

/// Runs the conversation of a seed and returns its journal: all that happened, one line each, and at the end the
/// promise that was broken, if any.
pub fn journal(seed: u64) -> Vec<String> {
    let mut conversation = Conversation::new(seed, true);
    conversation.run();
    let mut lines = conversation.journal.unwrap_or_default();
    lines.extend(conversation.broken.map(|broken| broken.to_string()));
    lines
}
