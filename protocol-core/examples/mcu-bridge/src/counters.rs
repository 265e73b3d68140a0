//! What was counted: everything that could hide a loss.

/// Counted since the start. What the protocol core counts itself is not here, but for the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(target_os = "none", derive(defmt::Format))]
pub struct Counters {
    /// Commands of the host.
    pub commands: u32,
    /// Those that the bridge refused itself.
    pub refused: u32,
    /// Answers handed to the host.
    pub answers: u32,
    /// Requests that the instrument left without an answer. The host is told nothing, either.
    pub unanswered: u32,
    /// Requests that ended before they were sent. The host is told, with status 0.
    pub not_sent: u32,
    /// Answers that came when their request had ended. Nobody gets them.
    pub late: u32,
    /// Answers that could not be told apart.
    pub ambiguous: u32,
    /// Answers that may have been pushes: they go to the push port as well.
    pub presumed: u32,
    /// Messages handed to the push port.
    pub pushes: u32,
    /// Messages to the host that were dropped whole: it does not take them.
    pub host_dropped: u32,
    /// The same for the push port.
    pub push_dropped: u32,
    /// Bytes of filler in place of payload bytes that did not come, or were not taken.
    pub filler: u32,
    /// Frames and payloads of the instrument that broke off.
    pub instrument_broke_off: u32,
    /// The same for the host.
    pub host_broke_off: u32,
    /// Bytes of the instrument that were no frame.
    pub instrument_noise: u32,
    /// The same for the host.
    pub host_noise: u32,
    /// Bytes that came in at the push port. Nothing is expected there.
    pub push_ignored: u32,
    /// Times that a stop waited too long to be written.
    pub stop_blocked: u32,
    /// Times that the instrument did not answer a harmless question.
    pub unresponsive: u32,
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
        filler: 0,
        instrument_broke_off: 0,
        host_broke_off: 0,
        instrument_noise: 0,
        host_noise: 0,
        push_ignored: 0,
        stop_blocked: 0,
        unresponsive: 0,
    };
}

/// Counts on; at its end a counter stays.
pub(crate) fn count(counter: &mut u32, more: usize) {
    *counter = counter.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
}
