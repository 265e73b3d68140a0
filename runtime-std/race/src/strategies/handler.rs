//! The event handler of the program: it reports each event, and notifies the caller of the end of a motion. Each strategy
//! decides which frames are events.

use std::sync::mpsc::{Receiver, Sender, channel};

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Clock;

use crate::strategy::{Events, Motion};

/// The event handler. It belongs to the listener thread.
pub(super) struct Handler {
    events: Events,
    stops: Sender<Frame>,
}

/// The ends of motions that the handler received. They belong to the caller.
pub(super) struct Stops {
    heard: Receiver<Frame>,
    /// Received ends that the caller has not waited for yet.
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
            // An error: the caller has closed.
            let _ = self.stops.send(*frame);
        }
    }
}

impl Stops {
    /// Called before a move is sent. Ends of its axis up to now belong to an earlier motion. Later ends count, even if they
    /// arrive before the acknowledgement.
    pub(super) fn arm(&mut self, command: &Frame) {
        if begins_motion(command) {
            self.unclaimed.extend(self.heard.try_iter());
            self.unclaimed.retain(|stop| !ends(stop, command.selector()));
        }
    }

    /// Waits for the end of a motion. `false`: the time is over, or the listener has ended.
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

/// Whether this command starts a motion.
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

/// Whether this frame reports the completed motion of an axis.
fn ends(stop: &Frame, axis: i32) -> bool {
    stop.outcome() == Status::Success && [axis, 255].contains(&stop.selector())
}
