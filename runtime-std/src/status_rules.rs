//! What a status of 0 says, where an instrument differs from the table of commands. What a single
//! status means is in the core: `wire::Status`.

use std::collections::BTreeMap;

use flamingo_protocol_core::{
    CommandCode, Frame,
    wire::{Status, StatusRule},
};

/// What a status of 0 says, for the codes for which an instrument differs from the table of commands.
///
/// ```
/// use flamingo_runtime_std::StatusRules;
/// use flamingo_runtime_std::protocol::{CommandCode, Frame, wire::{Status, StatusRule}};
/// let acknowledged = Frame::command(CommandCode::STAGE_POSITION_SET);
/// let mut rules = StatusRules::default();
/// assert_eq!(rules.outcome(&acknowledged), Status::Unset);
/// rules.set(CommandCode::STAGE_POSITION_SET, StatusRule::Set);
/// assert_eq!(rules.outcome(&acknowledged), Status::Failure);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusRules {
    codes: BTreeMap<u32, StatusRule>,
    /// The instrument was seen to leave a status that others set: the table does not apply.
    sets_none: bool,
}

impl StatusRules {
    /// From now on, this rule applies to that code.
    pub fn set(&mut self, code: CommandCode, rule: StatusRule) {
        self.codes.insert(code.0, rule);
    }

    /// The rule that applies to a code.
    #[must_use]
    pub fn rule(&self, code: CommandCode) -> StatusRule {
        let known = || match code.row().map(|row| row.status) {
            Some(StatusRule::Set) if self.sets_none => StatusRule::Unknown,
            rule => rule.unwrap_or_default(),
        };
        self.codes.get(&code.0).copied().unwrap_or_else(known)
    }

    /// Takes note of the answer to SYSTEM_STATE_GET. If its data is right and its status is not set, this
    /// instrument sets the status nowhere.
    pub(crate) fn learn(&mut self, state: &Frame) {
        self.sets_none = state.status == 0 && self.outcome(state) == Status::Unset;
    }

    /// What the status of a frame says. See [`Frame::outcome_by`].
    #[must_use]
    pub fn outcome(&self, frame: &Frame) -> Status {
        frame.outcome_by(self.rule(frame.code))
    }
}
