//! One reader thread, and a table of pending queries by code: the first frame with the code of the
//! pending query completes it, all else is an event. That is what the public client does today,
//! after the analysis was written. The instrument stays as it is.

use flamingo_protocol_core::Frame;

use super::receiver::{Receiver, Whose};
use crate::race::strategy::{Motion, Scene, Strategy};

pub(super) struct CodeMatch(Receiver);

impl CodeMatch {
    pub(super) fn start(scene: &Scene) -> std::io::Result<Self> {
        Receiver::start(scene, whose).map(Self)
    }
}

fn whose(frame: &Frame, pending: Option<&Frame>) -> Whose {
    if pending.is_some_and(|command| command.code == frame.code) {
        return Whose::Pending;
    }
    Whose::Event
}

impl Strategy for CodeMatch {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.0.query(command)
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.0.wait_for_motion_end(motion)
    }

    fn close(self: Box<Self>) {}
}
