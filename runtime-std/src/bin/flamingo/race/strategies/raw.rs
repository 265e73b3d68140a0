//! No contestant, but the yardstick for the delay of events: a thread that does nothing but
//! `recv(128)` and calls the handler with every frame. A query is given the first of its code, too.

use flamingo_protocol_core::Frame;

use super::receiver::{Receiver, Whose};
use crate::race::strategy::{Motion, Scene, Strategy};

pub(super) struct Raw(Receiver);

impl Raw {
    pub(super) fn start(scene: &Scene) -> std::io::Result<Self> {
        Receiver::start(scene, whose).map(Self)
    }
}

fn whose(frame: &Frame, pending: Option<&Frame>) -> Whose {
    if pending.is_some_and(|command| command.code == frame.code) {
        return Whose::Both;
    }
    Whose::Event
}

impl Strategy for Raw {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.0.query(command)
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.0.wait_for_motion_end(motion)
    }

    fn close(self: Box<Self>) {}
}
