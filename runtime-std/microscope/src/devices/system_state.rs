//! The system state: the answer to SYSTEM_STATE_GET, and the broadcasts of its changes.

use std::fmt;

use flamingo_protocol_core::CommandCode;

/// The state of the system, the codes 0xA001 to 0xA005.
///
/// ```
/// use flamingo_microscope::SystemState;
/// assert_eq!(SystemState::from_code(0xA005), SystemState::WorkflowRunning);
/// assert_eq!(SystemState::Idle.to_string(), "IDLE");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SystemState {
    /// SYSTEM_STATE_DISCONNECTED.
    Disconnected,
    /// SYSTEM_STATE_IDLE.
    Idle,
    /// SYSTEM_STATE_SNAP_SHOT.
    SnapShot,
    /// SYSTEM_STATE_LIVE_VIEW.
    LiveView,
    /// SYSTEM_STATE_WORK_FLOW_RUNNING.
    WorkflowRunning,
    /// Another number.
    Unknown(i32),
}

impl SystemState {
    /// The state for the number in int32Data0 of the answer to SYSTEM_STATE_GET.
    pub const fn from_code(code: i32) -> Self {
        match code {
            0xA001 => Self::Disconnected,
            0xA002 => Self::Idle,
            0xA003 => Self::SnapShot,
            0xA004 => Self::LiveView,
            0xA005 => Self::WorkflowRunning,
            other => Self::Unknown(other),
        }
    }

    /// The codes with which the instrument broadcasts changes of the state.
    pub const CODES: [CommandCode; 5] = [
        CommandCode::SYSTEM_STATE_DISCONNECTED,
        CommandCode::SYSTEM_STATE_IDLE,
        CommandCode::SYSTEM_STATE_SNAP_SHOT,
        CommandCode::SYSTEM_STATE_LIVE_VIEW,
        CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING,
    ];
}

impl fmt::Display for SystemState {
    /// Writes the server's name of the state without `SYSTEM_STATE_`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disconnected => "DISCONNECTED",
            Self::Idle => "IDLE",
            Self::SnapShot => "SNAP_SHOT",
            Self::LiveView => "LIVE_VIEW",
            Self::WorkflowRunning => "WORK_FLOW_RUNNING",
            Self::Unknown(code) => return write!(f, "{code} (not known)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field_words::state_name;

    #[test]
    fn every_state_has_the_name_that_the_server_gives_it() {
        for code in SystemState::CODES {
            let state = SystemState::from_code(code.0 as i32);
            assert_eq!(Some(state.to_string().as_str()), state_name(code.0 as i32));
        }
    }
}
