//! No contestant, but the yardstick for the delay of events: a thread that does nothing but
//! `recv(128)` and calls the handler with every frame. A query is given the first of its code, too.

use flamingo_protocol_core::Frame;

use super::receiver::Whose;

pub(super) fn whose(frame: &Frame, pending: Option<&Frame>) -> Whose {
    if pending.is_some_and(|command| command.code == frame.code) {
        return Whose::Both;
    }
    Whose::Event
}
