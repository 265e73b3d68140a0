//! Recommendation B of the analysis: sequence numbers match answers to queries. Each command has a number in clientID, which
//! the instrument must echo, and must leave 0 in unsolicited messages. (The other echoed field, int32Data2, is used by
//! messages of the instrument.) A number without a pending query belongs to a late answer.

use flamingo_protocol_core::Frame;

use super::receiver::{Owner, Receiver};
use crate::strategy::{Environment, Motion, Strategy};

pub(super) struct Sequence {
    receiver: Receiver,
    /// The number of the last command; never 0.
    number: i32,
}

impl Sequence {
    pub(super) fn start(environment: &Environment) -> std::io::Result<Self> {
        Ok(Self { receiver: Receiver::start(environment, owner)?, number: 0 })
    }
}

fn owner(frame: &Frame, pending: Option<&Frame>) -> Owner {
    if frame.client_id == 0 {
        return Owner::Event;
    }
    let answers =
        |command: &Frame| (command.client_id, command.code) == (frame.client_id, frame.code);
    if pending.is_some_and(answers) { Owner::Pending } else { Owner::Late }
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
