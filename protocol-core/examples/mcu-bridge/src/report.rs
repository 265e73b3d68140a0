//! Logs the counters when they have changed, so that every loss shows in the log.

use flamingo_protocol_core::time::{Duration, Instant};
use mcu_bridge::Counters;

use crate::board;

/// The shortest time between two reports of a loss.
const LOSS_INTERVAL: Duration = Duration::from_millis(250);
/// The shortest time between two reports if only the traffic has changed.
const TRAFFIC_INTERVAL: Duration = Duration::from_millis(5000);

/// The values that were logged last.
pub struct Report {
    at: Instant,
    bridge: Counters,
    board: board::Counters,
}

impl Report {
    pub fn new(bridge: Counters) -> Self {
        Self { at: Instant::from_micros(0), bridge, board: board::Counters::default() }
    }

    /// Logs the counters that have changed.
    pub fn update(&mut self, now: Instant, bridge: &Counters, board: &board::Counters) {
        let before = &self.bridge;
        let traffic = Counters {
            commands: before.commands,
            answers: before.answers,
            pushes: before.pushes,
            ..*bridge
        };
        let only_traffic = traffic == *before && *board == self.board;
        let interval = if only_traffic { TRAFFIC_INTERVAL } else { LOSS_INTERVAL };
        if now.since(self.at) < interval {
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
