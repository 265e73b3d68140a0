//! The status of the answers of a simulated instrument: which handlers set it, and what the others leave.

use std::collections::BTreeMap;

use flamingo_protocol_core::{CommandCode as Code, Frame};
use serde::Deserialize;

use super::check::ScenarioCode;

/// Which handlers of the server set the status of an answer. The server hands the command back as its answer. So the
/// answer of a handler that sets no status has the status of the command, which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StatusSetters {
    /// All handlers: 1 = success, 0 = failure.
    #[default]
    All,
    /// Only the handlers that are known to set it: SYSTEM_STATE_GET, CAMERA_IMAGE_SIZE_GET, CAMERA_LIVE_VIEW_START
    /// and CAMERA_LIVE_VIEW_STOP.
    Known,
    /// No handler: every answer has the status of its command.
    None,
}

/// The status of answers. It changes no push, such as STAGE_MOTION_STOPPED.
///
/// ```
/// use flamingo_protocol_core::CommandCode;
/// use flamingo_simulator::{Scenario, ScenarioCode, StatusSetters};
/// let mut scenario = Scenario::default();
/// scenario.status.set_by = StatusSetters::None;
/// scenario.status.codes.insert(ScenarioCode(CommandCode::STAGE_POSITION_SET), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StatusModel {
    /// Which handlers set the status.
    pub set_by: StatusSetters,
    /// The status of the answers with these codes, unless the command is refused. It replaces the choice of `set_by`.
    pub codes: BTreeMap<ScenarioCode, i32>,
}

impl StatusModel {
    /// The status of the answer to `command`. `status` is the status of a handler that sets it.
    pub(crate) fn of_answer(&self, command: &Frame, status: i32) -> i32 {
        // Only 1 is a success. A stop without live view has no success to report, and is no refusal.
        let refused = status != 1 && command.code != Code::CAMERA_LIVE_VIEW_STOP;
        match self.codes.get(&ScenarioCode(command.code)) {
            Some(listed) if !refused => *listed,
            _ if self.sets(command.code) => status,
            _ => command.status,
        }
    }

    fn sets(&self, code: Code) -> bool {
        match self.set_by {
            StatusSetters::All => true,
            StatusSetters::Known => matches!(
                code,
                Code::SYSTEM_STATE_GET
                    | Code::CAMERA_IMAGE_SIZE_GET
                    | Code::CAMERA_LIVE_VIEW_START
                    | Code::CAMERA_LIVE_VIEW_STOP
            ),
            StatusSetters::None => false,
        }
    }
}
