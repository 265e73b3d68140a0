//! The reference for the delay of events: a thread that only calls `recv(128)` and the handler, for every frame. A query also
//! gets the first frame of its code.

use flamingo_protocol_core::Frame;

use super::receiver::Owner;

pub(super) fn owner(frame: &Frame, pending: Option<&Frame>) -> Owner {
    if pending.is_some_and(|command| command.code == frame.code) {
        return Owner::Both;
    }
    Owner::Event
}
