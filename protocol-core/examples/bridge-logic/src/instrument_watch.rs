//! Notices that the instrument has gone, and that it is back. A UART does not report either. So if the
//! instrument is silent for a while, the bridge asks for its state. Without an answer it is lost.

use flamingo_protocol_core::{
    CommandCode, Ended, Frame, Ticket,
    time::{Duration, Instant},
};

use crate::application::{Core, Relay};
use crate::counters::count;

/// After this silence the bridge asks the instrument for its state. It is not shorter than the time that
/// the instrument has for an answer.
pub const PROBE_AFTER: Duration = Duration::from_millis(5000);
/// The time that the instrument has for this answer.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(2000);

/// Whether the instrument is there.
#[derive(Debug)]
pub(crate) struct InstrumentWatch {
    /// The bridge's own question that has no outcome yet.
    probe: Option<Ticket>,
    /// It was not answered, and nothing has come since.
    pub(crate) lost: bool,
    /// Something has come, but the state of the instrument is not known yet.
    returned: bool,
    /// A probe was not answered.
    unanswered: bool,
}

impl InstrumentWatch {
    pub(crate) const fn new() -> Self {
        Self { probe: None, lost: false, returned: false, unanswered: false }
    }

    pub(crate) fn is_probe(&self, ticket: Ticket) -> bool {
        self.probe == Some(ticket)
    }

    /// The instrument sent a frame.
    pub(crate) fn on_frame(&mut self) {
        self.returned |= core::mem::take(&mut self.lost);
        self.unanswered = false;
    }

    /// The instrument answered the probe. Returns its state as a frame for the push port if the instrument
    /// was lost before.
    pub(crate) fn on_answer(&mut self, answer: &Frame) -> Option<Frame> {
        self.probe = None;
        let state = CommandCode(u32::try_from(answer.selector()).ok()?);
        let known = CommandCode::SYSTEM_STATE_DISCONNECTED.0
            ..=CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING.0;
        let returned = core::mem::take(&mut self.returned);
        (returned && known.contains(&state.0)).then(|| event(state))
    }

    /// The probe ended without an answer.
    pub(crate) fn on_no_answer(&mut self, ended: Ended) {
        self.probe = None;
        self.unanswered = !matches!(ended, Ended::TimedOut { sent: false });
    }

    /// The answer to a query for the state while the instrument is lost.
    pub(crate) fn disconnected(query: &Frame) -> Frame {
        Frame { status: 1, payload_len: 0, buffer: [0; 72], ..*query }
            .with_selector(CommandCode::SYSTEM_STATE_DISCONNECTED.0.cast_signed())
    }
}

/// A state, as the instrument itself reports it.
fn event(state: CommandCode) -> Frame {
    Frame { status: 1, ..Frame::new(state) }
}

impl Relay {
    /// Asks for the state of an instrument that was last heard at `heard`, and reports its loss.
    pub(crate) fn watch_instrument(&mut self, core: &mut Core, now: Instant, heard: Instant) {
        let silent = now.since(heard);
        let watch = &mut self.watch;
        if core::mem::take(&mut watch.unanswered) && silent > PROBE_TIMEOUT && !watch.lost {
            watch.lost = true;
            count(&mut self.counters.instrument_lost, 1);
            self.publish(&event(CommandCode::SYSTEM_STATE_DISCONNECTED));
            return;
        }
        if watch.probe.is_none() && (silent > PROBE_AFTER || watch.returned) {
            let query = Frame::command(CommandCode::SYSTEM_STATE_GET);
            // If too many commands wait, it asks again when one has ended.
            watch.probe = core.request(now, &query, now + PROBE_TIMEOUT).ok();
        }
    }
}
