//! One reader thread, and a table of pending queries by code: the first frame with the code of the pending query is its
//! answer, every other frame is an event. The public client works like this today. The instrument is unchanged.

use flamingo_protocol_core::Frame;

use super::receiver::Owner;

pub(super) fn owner(frame: &Frame, pending: Option<&Frame>) -> Owner {
    if pending.is_some_and(|command| command.code == frame.code) {
        return Owner::Pending;
    }
    Owner::Event
}
