//! The texts for people that a simulated instrument pushes.

use flamingo_protocol_core::CommandCode;
use serde::Deserialize;

use super::check::ScenarioCode;

/// Texts for people, such as the server's COMMON_MESSAGE_FROM_CONTROLLER, whose number is not known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MessageModel {
    /// The code of these frames.
    pub code: ScenarioCode,
    /// Whether a workflow that is rejected is explained in such a frame, to all clients. Otherwise the client that
    /// uploaded it gets the command back, with status 0 and the explanation.
    pub explain_rejections: bool,
    /// A text that is pushed when a workflow begins to run; empty = none.
    pub at_workflow_start: String,
    /// Whether the text comes as a payload. Otherwise it comes in the buffer, as far as it fits.
    pub in_payload: bool,
}

impl Default for MessageModel {
    fn default() -> Self {
        Self {
            code: ScenarioCode(CommandCode(0x10FE)),
            explain_rejections: false,
            at_workflow_start: String::new(),
            in_payload: false,
        }
    }
}
