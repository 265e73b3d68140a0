//! Option 4 of the analysis: the instrument sets bit 30 of `params[6]` in answers, and a single receiver thread dispatches
//! by that flag. The flag does not say to which query an answer belongs: a late answer is taken for the answer to the next
//! query of the same code.

use flamingo_protocol_core::{Flags, Frame};

use super::receiver::Owner;

pub(super) fn owner(frame: &Frame, pending: Option<&Frame>) -> Owner {
    if !frame.flags.contains(Flags::ANSWER_TAG) {
        return Owner::Event;
    }
    if pending.is_some_and(|command| command.code == frame.code) {
        return Owner::Pending;
    }
    Owner::Late
}
