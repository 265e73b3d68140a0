//! The positions that the instrument pushes while something moves.

use std::collections::VecDeque;
use std::time::SystemTime;

use flamingo_protocol_core::{CommandCode, Flags};

use crate::axis::Axis;
use crate::text::pushed_positions;
use crate::units::Position;
use flamingo_runtime_std::Client;
use flamingo_runtime_std::{Event, EventFrame, Subscription};

/// Where an axis was, and when that came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionUpdate {
    /// The axis.
    pub axis: Axis,
    /// In mm, R in degrees.
    pub position: Position,
    /// When it came, by this host's calendar.
    pub at: SystemTime,
}

/// A stream of [`PositionUpdate`]: pushes under STAGE_POSITION_GET (0x6008), and what stands in the
/// buffer of those that are flagged STAGE_POSITIONS_IN_BUFFER. Who is slow loses the oldest.
#[derive(Debug)]
pub struct PositionUpdates {
    pushes: Subscription,
    waiting: VecDeque<PositionUpdate>,
    missed: u64,
}

impl PositionUpdates {
    pub(super) fn new(client: &Client) -> Self {
        let pushes = client.subscribe(&[CommandCode::STAGE_POSITION_GET]);
        Self { pushes, waiting: VecDeque::new(), missed: 0 }
    }

    /// The next one; `None` when the connection is closed or lost.
    ///
    /// Cancel-safe: an update that was not returned is returned by the next call.
    pub async fn next(&mut self) -> Option<PositionUpdate> {
        loop {
            if let Some(update) = self.waiting.pop_front() {
                return Some(update);
            }
            match self.pushes.next().await? {
                Event::Frame(event) => self.waiting.extend(updates(&event)),
                Event::Lagged(missed) => self.missed += missed,
                Event::ConnectionLost => return None,
                _ => {}
            }
        }
    }

    /// The next one that is already there.
    pub fn try_next(&mut self) -> Option<PositionUpdate> {
        loop {
            if let Some(update) = self.waiting.pop_front() {
                return Some(update);
            }
            match self.pushes.try_next()? {
                Event::Frame(event) => self.waiting.extend(updates(&event)),
                Event::Lagged(missed) => self.missed += missed,
                _ => {}
            }
        }
    }

    /// Pushes that were lost because they were not taken in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// What a push says: the axis that it is for, then the others that its buffer names.
fn updates(event: &EventFrame) -> Vec<PositionUpdate> {
    let (frame, at) = (&event.frame, event.at);
    let update = |axis, value| PositionUpdate { axis, position: Position::of(axis, value), at };
    let own = Axis::from_selector(frame.selector());
    let mut updates: Vec<_> = own.map(|axis| update(axis, frame.value)).into_iter().collect();
    if frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER) {
        let text = String::from_utf8_lossy(frame.buffer_bytes());
        let others = pushed_positions(&text).into_iter().filter(|(axis, _)| Some(*axis) != own);
        updates.extend(others.map(|(axis, value)| update(axis, value)));
    }
    updates.retain(|update| update.position.value().is_finite());
    updates
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_protocol_core::{Class, Frame};
    use std::sync::Arc;

    fn push(text: &str, flags: Flags) -> EventFrame {
        let mut frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(2);
        frame.value = 9.5;
        frame.flags = flags;
        frame.set_text(text).unwrap();
        let class = Class::Unsolicited { ours: false };
        EventFrame { frame, payload: Arc::from([]), class, at: SystemTime::UNIX_EPOCH, skipped: 0 }
    }

    #[test]
    fn a_push_tells_its_own_axis_and_those_in_its_buffer_each_once() {
        let event = push("1=7.5\n2=9.4\n3=nan\n", Flags::STAGE_POSITIONS_IN_BUFFER);
        let told: Vec<_> = updates(&event).iter().map(|u| (u.axis, u.position)).collect();
        assert_eq!(told, [(Axis::Y, Position::Mm(9.5)), (Axis::X, Position::Mm(7.5))]);
    }

    #[test]
    fn a_buffer_that_is_not_flagged_is_not_read_as_positions() {
        assert_eq!(updates(&push("1=7.5\n", Flags::default())).len(), 1);
    }
}
