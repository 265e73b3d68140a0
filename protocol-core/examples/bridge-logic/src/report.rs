//! When to log the counters, so that every loss shows in the log. The firmware writes the line.

use flamingo_protocol_core::time::{Duration, Instant};

use crate::Counters;

/// The shortest time between two reports of a loss.
const LOSS_INTERVAL: Duration = Duration::from_millis(250);
/// The shortest time between two reports if only the traffic has changed.
const TRAFFIC_INTERVAL: Duration = Duration::from_millis(5000);

/// The counters that were logged last: those of the bridge, and those of the board.
#[derive(Debug)]
pub struct Report<B> {
    at: Instant,
    bridge: Counters,
    board: B,
}

impl<B: Copy + PartialEq> Report<B> {
    /// Nothing was logged yet.
    pub fn new(bridge: Counters, board: B) -> Self {
        Self { at: Instant::from_micros(0), bridge, board }
    }

    /// Returns what to log now: the counters of the bridge and of the board, if they have changed.
    pub fn update(
        &mut self,
        now: Instant,
        bridge: &Counters,
        board: &B,
    ) -> (Option<Counters>, Option<B>) {
        let before = &self.bridge;
        let traffic = Counters {
            commands: before.commands,
            answers: before.answers,
            pushes: before.pushes,
            without_peer: before.without_peer,
            ..*bridge
        };
        let only_traffic = traffic == *before && *board == self.board;
        let interval = if only_traffic { TRAFFIC_INTERVAL } else { LOSS_INTERVAL };
        if now.since(self.at) < interval {
            return (None, None);
        }
        let changed = (bridge != before).then_some(*bridge);
        let board_changed = (*board != self.board).then_some(*board);
        *self = Self { at: now, bridge: *bridge, board: *board };
        (changed, board_changed)
    }
}
