//! The positions that the instrument pushes during motions. Following them is `pose_tracker.rs`.

use std::collections::VecDeque;
use std::time::SystemTime;

use flamingo_protocol_core::{CommandCode, Flags, Frame};

use crate::axis::Axis;
use crate::units::Position;
use flamingo_runtime_std::Client;
use flamingo_runtime_std::{Event, Subscription};

/// A position of an axis that the instrument pushed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionUpdate {
    /// The axis.
    pub axis: Axis,
    /// The position, in mm, R in degrees.
    pub position: Position,
    /// When the message arrived, on this host's clock.
    pub at: SystemTime,
}

/// A stream of [`PositionUpdate`]: the pushes with the code STAGE_POSITION_GET (0x6008). A push with
/// the flag STAGE_POSITIONS_IN_BUFFER has positions of other axes in its buffer; these are updates as
/// well. A program that reads too slowly loses the oldest pushes; [`Self::missed`] counts them.
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

    /// Waits for the next update; `None` if the connection is closed or lost.
    ///
    /// Cancel-safe: the next call returns the update that this one did not return.
    pub async fn next(&mut self) -> Option<PositionUpdate> {
        loop {
            if let Some(update) = self.waiting.pop_front() {
                return Some(update);
            }
            match self.pushes.next().await? {
                Event::Frame(event) => self.waiting.extend(updates(&event.frame, event.at)),
                Event::Lagged(missed) => self.missed += missed,
                Event::ConnectionLost => return None,
                _ => {}
            }
        }
    }

    /// The next update that has already arrived.
    pub fn try_next(&mut self) -> Option<PositionUpdate> {
        loop {
            if let Some(update) = self.waiting.pop_front() {
                return Some(update);
            }
            match self.pushes.try_next()? {
                Event::Frame(event) => self.waiting.extend(updates(&event.frame, event.at)),
                Event::Lagged(missed) => self.missed += missed,
                _ => {}
            }
        }
    }

    /// The number of pushes that were lost because the program did not read them in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// The positions in a push: first that of its own axis, then those of other axes in its buffer.
pub(super) fn updates(frame: &Frame, at: SystemTime) -> Vec<PositionUpdate> {
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

/// Reads the positions in the buffer of a push with the flag STAGE_POSITIONS_IN_BUFFER
/// (`1=X\n2=Y\n3=Z\n`): each axis with its position in mm, R in degrees. Lines that name no axis are
/// left out.
///
/// ```
/// use flamingo_microscope::{Axis, pushed_positions};
/// let positions = pushed_positions("1=7.635\n2=14\n3=20.1\n");
/// assert_eq!(positions, [(Axis::X, 7.635), (Axis::Y, 14.0), (Axis::Z, 20.1)]);
/// ```
pub fn pushed_positions(text: &str) -> Vec<(Axis, f64)> {
    let positions = flamingo_protocol_core::wire::pushed_positions(text);
    positions.filter_map(|(axis, at)| Some((Axis::from_selector(axis)?, at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(text: &str, flags: Flags) -> Vec<PositionUpdate> {
        let mut frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(2);
        frame.value = 9.5;
        frame.flags = flags;
        frame.set_text(text).unwrap();
        updates(&frame, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_push_gives_its_own_axis_and_those_in_its_buffer_once() {
        let updates = pushed("1=7.5\n2=9.4\n3=nan\n", Flags::STAGE_POSITIONS_IN_BUFFER);
        let found: Vec<_> = updates.iter().map(|u| (u.axis, u.position)).collect();
        assert_eq!(found, [(Axis::Y, Position::Mm(9.5)), (Axis::X, Position::Mm(7.5))]);
    }

    #[test]
    fn a_buffer_that_is_not_flagged_is_not_read_as_positions() {
        assert_eq!(pushed("1=7.5\n", Flags::default()).len(), 1);
    }

    #[test]
    fn a_position_of_no_known_axis_is_left_out() {
        assert_eq!(pushed_positions("1=x\n9=4\n\n4=-90.5"), [(Axis::R, -90.5)]);
    }
}
