//! The log: what was counted, whenever it has changed, so that no loss is silent.

use flamingo_protocol_core::time::{Duration, Instant};
use mcu_bridge::Counters;

use crate::board;

/// No more often than this.
const PAUSE: Duration = Duration::from_millis(250);
/// The same if nothing was lost, and there was only traffic.
const QUIET: Duration = Duration::from_millis(5000);

/// What was logged last.
pub struct Report {
    at: Instant,
    bridge: Counters,
    board: board::Counters,
}

impl Report {
    pub fn new(bridge: Counters) -> Self {
        Self { at: Instant::from_micros(0), bridge, board: board::Counters::default() }
    }

    /// Logs what has changed.
    pub fn look(&mut self, now: Instant, bridge: &Counters, board: &board::Counters) {
        let before = &self.bridge;
        let traffic = Counters {
            commands: before.commands,
            answers: before.answers,
            pushes: before.pushes,
            ..*bridge
        };
        let pause = if traffic == *before && *board == self.board { QUIET } else { PAUSE };
        if now.since(self.at) < pause {
            return;
        }
        if bridge != before {
            defmt::info!("{}", bridge);
        }
        if *board != self.board {
            defmt::warn!("{}", board);
        }
        *self = Self { at: now, bridge: *bridge, board: *board };
    }
}
