//! The counters of the bridge. They cover everything that could hide a loss.

/// Counts since the start. Of the counters of the protocol core, only the noise is repeated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Commands of the host.
    pub commands: u32,
    /// Commands that the bridge refused itself.
    pub refused: u32,
    /// Answers to the host.
    pub answers: u32,
    /// Requests that the instrument did not answer. The host gets no answer, either.
    pub unanswered: u32,
    /// Requests that ended before they were sent. The host gets an answer with status 0.
    pub not_sent: u32,
    /// Answers that arrived after their request had ended. No port gets a proven one.
    pub late: u32,
    /// Answers that could belong to several requests.
    pub ambiguous: u32,
    /// Answers that may have been pushes. They go to the push port, too.
    pub presumed: u32,
    /// Messages to the push port.
    pub pushes: u32,
    /// Whole messages to the host that were dropped because its port had no room.
    pub host_dropped: u32,
    /// The same for the push port.
    pub push_dropped: u32,
    /// Messages for a host or a subscriber that was not connected.
    pub without_peer: u32,
    /// Bytes of filler. They replace payload bytes that did not arrive or had no room.
    pub filler: u32,
    /// Incomplete frames and payloads of the instrument.
    pub instrument_broke_off: u32,
    /// The same for the host.
    pub host_broke_off: u32,
    /// Bytes of the instrument that are not part of a frame.
    pub instrument_noise: u32,
    /// The same for the host.
    pub host_noise: u32,
    /// Bytes that arrived at the push port. The bridge ignores them.
    pub push_ignored: u32,
    /// How often a stop waited too long to be written.
    pub stop_blocked: u32,
    /// How often the instrument did not answer a fence.
    pub unresponsive: u32,
    /// How often the instrument was lost: it was silent, and did not answer the question for its state.
    pub instrument_lost: u32,
}

impl Counters {
    pub(crate) const ZERO: Self = Self {
        commands: 0,
        refused: 0,
        answers: 0,
        unanswered: 0,
        not_sent: 0,
        late: 0,
        ambiguous: 0,
        presumed: 0,
        pushes: 0,
        host_dropped: 0,
        push_dropped: 0,
        without_peer: 0,
        filler: 0,
        instrument_broke_off: 0,
        host_broke_off: 0,
        instrument_noise: 0,
        host_noise: 0,
        push_ignored: 0,
        stop_blocked: 0,
        unresponsive: 0,
        instrument_lost: 0,
    };
}

/// Adds to a counter. A counter that has reached its maximum stays there.
pub(crate) fn count(counter: &mut u32, more: usize) {
    *counter = counter.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
}
