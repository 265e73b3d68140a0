//! What the program does with an event: it is reported, and the end of a motion is told to the
//! caller, who may wait for it. Which frames are events is for each strategy to say.

use std::sync::mpsc::{Receiver, Sender, channel};

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Clock;

use crate::strategy::{Events, Motion};

/// The program's handler of events. It belongs to the thread that listens.
pub(super) struct Handler {
    events: Events,
    stops: Sender<Frame>,
}

/// The ends of motions that the handler saw. They belong to the caller.
pub(super) struct Stops {
    heard: Receiver<Frame>,
    /// Heard, and not waited for so far.
    unclaimed: Vec<Frame>,
    clock: Clock,
}

pub(super) fn handler(events: &Events) -> (Handler, Stops) {
    let (stops, heard) = channel();
    let handler = Handler { events: events.clone(), stops };
    (handler, Stops { heard, unclaimed: Vec::new(), clock: Clock::start() })
}

impl Handler {
    pub(super) fn call(&self, frame: &Frame) {
        self.events.deliver(frame);
        if frame.code == CommandCode::STAGE_MOTION_STOPPED {
            // Nobody waits any more when the caller has closed.
            let _ = self.stops.send(*frame);
        }
    }
}

impl Stops {
    /// Before a move is sent: what was heard of its axis until now is of an earlier motion. What
    /// is heard from now on counts, even if it comes before the acknowledgement.
    pub(super) fn arm(&mut self, command: &Frame) {
        if begins_motion(command) {
            self.unclaimed.extend(self.heard.try_iter());
            self.unclaimed.retain(|stop| !ends(stop, command.selector()));
        }
    }

    /// Waits for the end of a motion. `false`: its patience is over, or nobody listens any more.
    pub(super) fn wait(&mut self, motion: &Motion) -> bool {
        let deadline = self.clock.now() + motion.patience.into();
        loop {
            if let Some(at) = self.unclaimed.iter().position(|stop| ends(stop, motion.axis)) {
                self.unclaimed.swap_remove(at);
                return true;
            }
            let left = deadline.since(self.clock.now());
            match self.heard.recv_timeout(left.into()) {
                Ok(stop) => self.unclaimed.push(stop),
                Err(_) => return false,
            }
        }
    }
}

/// Whether a motion is to begin with this command.
pub(super) fn begins_motion(command: &Frame) -> bool {
    matches!(
        command.code,
        CommandCode::STAGE_POSITION_SET
            | CommandCode::STAGE_POSITION_SET_SLIDER
            | CommandCode::STAGE_POSITION_SET_TEXT
            | CommandCode::STAGE_HOME
            | CommandCode::STAGE_FIND_REFERENCE
    )
}

/// Whether it says that a motion of this axis was completed.
fn ends(stop: &Frame, axis: i32) -> bool {
    stop.status == 1 && [axis, 255].contains(&stop.selector())
}
