//! Counts the frames of one key in doubt, so that proof comes back when each key that could prove
//! anything is in doubt. The rule is that of the core: `settlement.rs` there gives the reason.

use flamingo_protocol_core::connection::Key;

/// So many frames of other keys let another key take its turn.
const TURN: u8 = 16;

/// Which key is counted, and how far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recovery {
    key: Option<Key>,
    /// How many commands had been sent when counting began.
    mark: u32,
    /// How many answers to these commands may still come.
    missing: u16,
    /// Frames of other keys since the last one of this key.
    others: u8,
}

impl Recovery {
    /// The next frame is counted, whatever its key: a connection counts its own queries at once.
    #[cfg(test)]
    pub(super) const fn end_turn(&mut self) {
        self.others = TURN;
    }

    /// A frame came that is only presumed to be an answer, because its key is in doubt. `sent` commands
    /// were sent so far, and `missing` answers of this key may still come. Returns how many of the
    /// commands are settled, if this frame shows that.
    pub(super) fn count(&mut self, key: Key, sent: u32, missing: u16) -> Option<u32> {
        let is_counted = self.key == Some(key);
        if is_counted && self.missing > 0 {
            (self.others, self.missing) = (0, self.missing - 1);
            return None;
        }
        if !is_counted && self.key.is_some() && self.others < TURN {
            self.others += 1;
            return None;
        }
        let settled = is_counted.then_some(self.mark);
        *self = Self { key: Some(key), mark: sent, missing, others: 0 };
        settled
    }
}
