//! Which messages are shown.

use flamingo_microscope::Axis;
use flamingo_protocol_core::wire::Selector;
use flamingo_protocol_core::{CommandCode, Frame};

/// The selector of all axes.
const ALL_AXES: i32 = 255;

/// Empty lists let every message through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter<'a> {
    pub(super) only: &'a [CommandCode],
    pub(super) not: &'a [CommandCode],
    pub(super) axes: &'a [Axis],
}

impl Filter<'_> {
    pub(super) fn shows(&self, frame: &Frame) -> bool {
        (self.only.is_empty() || self.only.contains(&frame.code))
            && !self.not.contains(&frame.code)
            && (self.axes.is_empty() || self.is_about(frame))
    }

    /// Whether the message is about one of the axes, or about all.
    fn is_about(&self, frame: &Frame) -> bool {
        let has_axis = frame.code.row().is_some_and(|row| row.selector == Selector::Axis);
        let is_named = |axis: &Axis| axis.selector() == frame.selector();
        has_axis && (frame.selector() == ALL_AXES || self.axes.iter().any(is_named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_axes_are_chosen_and_left_out() {
        let position = |axis| Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(axis);
        let (gauge, stopped) = (CommandCode::UI_SET_GAUGE_VALUE, CommandCode::STAGE_MOTION_STOPPED);
        let all = Filter { only: &[], not: &[], axes: &[] };
        assert!(all.shows(&Frame::new(gauge)));
        let not = Filter { not: &[gauge], ..all };
        assert!(!not.shows(&Frame::new(gauge)) && not.shows(&position(1)));
        let only = Filter { only: &[gauge], ..all };
        assert!(only.shows(&Frame::new(gauge)) && !only.shows(&position(1)));
        let y = Filter { axes: &[Axis::Y], ..all };
        assert!(y.shows(&position(2)) && !y.shows(&position(1)) && !y.shows(&Frame::new(gauge)));
        assert!(y.shows(&Frame::new(stopped).with_selector(ALL_AXES)));
    }
}
