//! One reader thread, and a table of pending queries by code: the first frame with the code of the
//! pending query completes it, all else is an event. That is what the public client does today,
//! after the analysis was written. The instrument stays as it is.

use flamingo_protocol_core::Frame;

use super::receiver::Whose;

pub(super) fn whose(frame: &Frame, pending: Option<&Frame>) -> Whose {
    if pending.is_some_and(|command| command.code == frame.code) {
        return Whose::Pending;
    }
    Whose::Event
}
