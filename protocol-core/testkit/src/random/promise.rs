//! The promises that a conversation checks, and what a broken one says.

use std::fmt;

/// A promise of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Promise {
    /// A proven answer is the answer to its request.
    ProvenIsRight,
    /// With tokens, an answer finds its request while it waits, and no other answer ends one that waits.
    TokensDecide,
    /// An answer of which nothing is in doubt is proven.
    ProofWhenClear,
    /// A request that waits does not miss its own answer as unsolicited.
    AnswerIsSolicited,
    /// `Unanswered` is told only of a request whose answer can no longer come.
    UnansweredIsTrue,
    /// Only the answer to a stop can be ambiguous.
    OnlyStopsAreAmbiguous,
    /// Each request and each frame that was sent has one outcome, and it is the true one.
    OneOutcome,
    /// Each frame of the device comes out once, in order, unchanged, as soon as its last byte is there.
    NoFrameLost,
    /// The same bytes, cut otherwise, give the same outputs.
    Chunking,
    /// The counters add up to what came in and went out.
    Counters,
    /// A queued stop is never withdrawn by time.
    StopStays,
    /// `StopBlocked` is told in time, and never when no stop waits.
    StopBlocked,
    /// A stop goes before everything else, and only its own kind holds a workflow or live view stop.
    StopFirst,
    /// What a stop cancels never goes out, and nothing else is cancelled.
    Superseded,
    /// A frame and its payload go out whole, byte for byte.
    Whole,
    /// Actions keep their order, and one request of a key is on the wire.
    Order,
    /// No more than the window is on the wire.
    Window,
    /// A frame that nothing holds goes out.
    NotHeld,
    /// A request has its whole time from its first byte, and ends in time.
    AnswerTime,
    /// `handle_timeout` leaves no timer that is due.
    TimeMoves,
    /// A call is refused only when what it names is full.
    RefusedWhenFull,
    /// A connection on which nothing is due is idle and takes requests again.
    Idle,
    /// Polling gets right answers again soon after the faults stop.
    Recovers,
    /// After the end of the stream everything has ended.
    Closed,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub promise: Promise,
    /// The seed of the conversation.
    pub seed: u64,
    /// The step at which it broke.
    pub step: usize,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} step {}: {:?}: {}", self.seed, self.step, self.promise, self.what)
    }
}
