//! The log: what was counted, whenever it has changed, so that no loss is silent.

use flamingo_protocol_core::{Duration, Instant};
use mcu_bridge::Counters;

use crate::board;

/// No more often than this.
const PAUSE: Duration = Duration::from_millis(250);

/// What was logged last.
pub struct Report {
    at: Instant,
    bridge: Option<Counters>,
    board: board::Counters,
}

impl Report {
    pub fn new() -> Self {
        Self { at: Instant::from_micros(0), bridge: None, board: board::Counters::default() }
    }

    /// Logs what has changed.
    pub fn look(&mut self, now: Instant, bridge: &Counters, board: &board::Counters) {
        if now.since(self.at) < PAUSE {
            return;
        }
        if self.bridge.as_ref() != Some(bridge) {
            defmt::info!("{}", bridge);
            (self.at, self.bridge) = (now, Some(*bridge));
        }
        if self.board != *board {
            defmt::warn!("{}", board);
            (self.at, self.board) = (now, *board);
        }
    }
}
