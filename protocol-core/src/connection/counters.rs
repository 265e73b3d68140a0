//! The counters of a connection. Every event that may hide a loss has one.

/// Counts since the connection began. Every received frame counts in exactly one of `solicited`,
/// `late`, `ambiguous` and `unsolicited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Frames of which at least one byte was sent, fences included.
    pub frames_sent: u64,
    /// Answers to waiting requests, fences included.
    pub solicited: u64,
    /// Solicited frames that are only presumed: they may have another origin.
    pub presumed: u64,
    /// Answers to requests that had already ended.
    pub late: u64,
    /// Frames that may answer several requests.
    pub ambiguous: u64,
    /// Frames that answer no request.
    pub unsolicited: u64,
    /// Received bytes of payloads.
    pub payload_bytes: u64,
    /// Bytes that were skipped because they were not part of a frame. Between two frames the
    /// counter grows by at most 4 GiB.
    pub noise_bytes: u64,
    /// Requests that ended by their deadline.
    pub timed_out: u64,
    /// Requests that ended because the peer answered a later one.
    pub unanswered: u64,
    /// Answers whose payload was not complete in time.
    pub payload_stalled: u64,
    /// Frames that a stop cancelled.
    pub superseded: u64,
    /// Fences: harmless queries that the connection sent to settle older requests.
    pub fences_sent: u64,
    /// Fences that the peer did not answer within the grace.
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

    /// The number of received frames.
    #[must_use]
    pub const fn frames_received(&self) -> u64 {
        let asked = self.solicited.saturating_add(self.late).saturating_add(self.ambiguous);
        asked.saturating_add(self.unsolicited)
    }
}

/// Adds `more` to a counter. It wraps at 2⁶⁴, and it never panics.
#[cfg_attr(target_os = "none", inline(never))] // if inlined, a client takes 216 bytes more flash
pub(crate) fn count(counter: &mut u64, more: usize) {
    *counter = counter.wrapping_add(more as u64);
}
