//! The line of a terminal that follows the axes that move, so that 40 positions a second do not hide the other
//! messages. In a pipe each position is a line.

use std::fmt::Write;

use console::Term;
use flamingo_microscope::Axis;
use flamingo_protocol_core::{CommandCode, Flags};

use super::line::{Message, rounded};
use crate::output::fitted;

/// Goes to the begin of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

#[derive(Debug)]
pub(super) struct MovingLine {
    is_used: bool,
    is_drawn: bool,
    positions: [Option<f64>; Axis::ALL.len()],
}

impl MovingLine {
    /// `each_line`: each position is a line, whatever stdout is.
    pub(super) fn new(each_line: bool) -> Self {
        let is_used = !each_line
            && Term::stdout().is_term()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { is_used, is_drawn: false, positions: [None; Axis::ALL.len()] }
    }

    /// Takes a position of an axis that moves. Returns `false` for every other message.
    pub(super) fn takes(&mut self, message: &Message) -> bool {
        let frame = &message.frame;
        let is_pushed = frame.code == CommandCode::STAGE_POSITION_GET
            && frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER);
        let (true, true, Some(axis)) = (self.is_used, is_pushed, message.axis()) else {
            return false;
        };
        self.positions[axis as usize] = Some(frame.value);
        true
    }

    /// An axis has stopped.
    pub(super) fn forget(&mut self, message: &Message) {
        if message.frame.code != CommandCode::STAGE_MOTION_STOPPED {
            return;
        }
        match message.axis() {
            Some(axis) => self.positions[axis as usize] = None,
            None => self.positions = [None; Axis::ALL.len()],
        }
    }

    /// What draws the line. Empty if no axis moves.
    pub(super) fn drawn(&mut self) -> String {
        let mut line = String::new();
        for (axis, at) in Axis::ALL.into_iter().zip(self.positions) {
            let Some(at) = at else { continue };
            // Memory takes it.
            let _ = write!(line, "  {axis} {} {}", rounded(at), axis.unit());
        }
        if line.is_empty() {
            return line;
        }
        self.is_drawn = true;
        // A line that wraps could not be drawn again.
        format!("{CLEAR}{}", fitted(&format!("moving{line}")))
    }

    /// What removes the line before other output.
    pub(super) fn cleared(&mut self) -> &'static str {
        if std::mem::take(&mut self.is_drawn) { CLEAR } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_protocol_core::Frame;
    use flamingo_runtime_std::Payload;

    fn message(frame: Frame) -> Message {
        let at = std::time::SystemTime::UNIX_EPOCH;
        Message { frame, payload: Payload::default(), class: None, at, skipped: 0 }
    }

    #[test]
    fn positions_of_moving_axes_are_one_line() {
        let mut line = MovingLine { is_used: true, is_drawn: false, positions: [None; 4] };
        let mut position = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(1);
        position.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
        position.value = 7.5;
        assert!(line.takes(&message(position)));
        position.value = 7.75;
        assert!(line.takes(&message(position)));
        assert!(line.takes(&message(position.with_selector(2))));
        assert_eq!(line.drawn(), format!("{CLEAR}moving  x 7.75 mm  y 7.75 mm"));
        let stopped = message(Frame::new(CommandCode::STAGE_MOTION_STOPPED).with_selector(1));
        assert!(!line.takes(&stopped));
        line.forget(&stopped);
        assert_eq!((line.cleared(), line.cleared()), (CLEAR, ""));
        assert_eq!(line.drawn(), format!("{CLEAR}moving  y 7.75 mm"));
        let mut in_a_pipe = MovingLine { is_used: false, is_drawn: false, positions: [None; 4] };
        assert!(!in_a_pipe.takes(&message(position)) && in_a_pipe.drawn().is_empty());
    }
}
