//! What answers are matched by, and within what they keep their order.
//!
//! Who waits for a key is in `pending.rs`; what follows from it is decided in `classify.rs`.

use crate::command::{CommandCode, Selector, Timing};
use crate::config::Ordering;
use crate::frame::Frame;

/// What answers are matched by: the code and, where the answer echoes one, the selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Key {
    pub(crate) code: CommandCode,
    selector: Option<i32>,
}

impl Key {
    pub(crate) fn of(frame: &Frame) -> Self {
        let row = frame.code.row();
        let selects = row.is_some_and(|row| row.selector != Selector::None);
        Self {
            code: row.map_or(frame.code, |row| row.answers),
            selector: selects.then_some(frame.selector()),
        }
    }

    /// Perhaps only when a long motion has ended: it keeps no order and fills no window.
    pub(crate) fn is_answered_at_end(self) -> bool {
        self.code.row().is_some_and(|row| row.timing == Timing::AtEnd)
    }

    /// Within what its answers keep their order; `None`: within nothing.
    pub(crate) fn domain(self, ordering: Ordering) -> Option<u32> {
        if self.is_answered_at_end() {
            return None;
        }
        match ordering {
            Ordering::Subsystem => Some(self.code.subsystem()),
            Ordering::Connection => Some(0),
            Ordering::Key => None,
        }
    }
}
