//! What was counted: everything that could hide a loss.

/// Counted since the connection began. Every frame that came in is in exactly one of
/// `solicited`, `late`, `ambiguous` and `unsolicited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Frames whose first byte was written, fences included.
    pub frames_sent: u64,
    /// Answers to requests that waited, fences included.
    pub solicited: u64,
    /// Those of them that somebody else may have sent.
    pub presumed: u64,
    /// Answers to requests that had ended.
    pub late: u64,
    /// Frames that may answer several requests.
    pub ambiguous: u64,
    /// Frames that nobody asked for.
    pub unsolicited: u64,
    /// Bytes of payloads that came in.
    pub payload_bytes: u64,
    /// Bytes that were skipped because they were no frame. Between two frames no more than 4 GiB
    /// are counted.
    pub noise_bytes: u64,
    /// Requests that ended by their deadline.
    pub timed_out: u64,
    /// Requests that ended because a later one was answered.
    pub unanswered: u64,
    /// Answers whose payload did not come whole in time.
    pub payload_stalled: u64,
    /// Frames that a HALT or laser-off cancelled.
    pub superseded: u64,
    /// Queries that the connection asked to settle older ones.
    pub fences_sent: u64,
    /// Those that were not answered in the time of grace.
    pub fences_unanswered: u64,
}

impl Counters {
    pub(crate) const ZERO: Self = Self {
        frames_sent: 0,
        solicited: 0,
        presumed: 0,
        late: 0,
        ambiguous: 0,
        unsolicited: 0,
        payload_bytes: 0,
        noise_bytes: 0,
        timed_out: 0,
        unanswered: 0,
        payload_stalled: 0,
        superseded: 0,
        fences_sent: 0,
        fences_unanswered: 0,
    };

    /// Frames that came in.
    #[must_use]
    pub const fn frames_received(&self) -> u64 {
        let asked = self.solicited.saturating_add(self.late).saturating_add(self.ambiguous);
        asked.saturating_add(self.unsolicited)
    }
}

/// Counts on; at its end a counter stays, rather than wrap or panic.
pub(crate) fn count(counter: &mut u64, more: usize) {
    *counter = counter.wrapping_add(more as u64);
}
