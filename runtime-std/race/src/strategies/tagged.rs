//! Option 4 of the analysis: the instrument says in bit 30 of `params[6]` whether a frame is the
//! response to a query, and a single receiver thread dispatches by that flag. It does not say
//! which query: a late response of the same code is taken for the next one's.

use flamingo_protocol_core::{Flags, Frame};

use super::receiver::Whose;

pub(super) fn whose(frame: &Frame, pending: Option<&Frame>) -> Whose {
    if !frame.flags.contains(Flags::ANSWER_TAG) {
        return Whose::Event;
    }
    if pending.is_some_and(|command| command.code == frame.code) {
        return Whose::Pending;
    }
    Whose::Late
}
