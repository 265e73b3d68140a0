//! Recommendation B of the analysis: message sequence numbers match responses to requests. Each
//! command carries a number of its own in clientID, which the instrument must give back and never
//! sets in a message that nobody asked for. (The other field that comes back, int32Data2, is not
//! free: messages of the instrument use it.) A number that nobody waits for is a late answer's.

use flamingo_protocol_core::Frame;

use super::receiver::{Receiver, Whose};
use crate::strategy::{Motion, Scene, Strategy};

pub(super) struct Sequence {
    receiver: Receiver,
    /// Of the last command. Never 0: that is no number.
    number: i32,
}

impl Sequence {
    pub(super) fn start(scene: &Scene) -> std::io::Result<Self> {
        Ok(Self { receiver: Receiver::start(scene, whose)?, number: 0 })
    }
}

fn whose(frame: &Frame, pending: Option<&Frame>) -> Whose {
    if frame.client_id == 0 {
        return Whose::Event;
    }
    let answers =
        |command: &Frame| (command.client_id, command.code) == (frame.client_id, frame.code);
    if pending.is_some_and(answers) { Whose::Pending } else { Whose::Late }
}

impl Strategy for Sequence {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.number = self.number.wrapping_add(1).max(1);
        self.receiver.query(&Frame { client_id: self.number, ..*command })
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.receiver.wait_for_motion_end(motion)
    }

    fn close(self: Box<Self>) {}
}
