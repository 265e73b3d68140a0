//! Whether a workflow runs, as far as the bridge can tell. A live view must not begin meanwhile.

use flamingo_protocol_core::{
    CommandCode, Frame,
    time::{Duration, Instant},
};

/// If the instrument does not report a running workflow within this time, it did not begin.
const START_TIMEOUT: Duration = Duration::from_millis(30_000);

/// What is known about workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum WorkflowState {
    /// No workflow runs.
    #[default]
    Idle,
    /// A workflow was sent at this time. An IDLE that comes before it runs is older than the workflow.
    Sent(Instant),
    /// A workflow runs.
    Running,
}

impl WorkflowState {
    /// A command that starts a workflow was written.
    pub(super) fn start_sent(&mut self, now: Instant) {
        if *self != Self::Running {
            *self = Self::Sent(now);
        }
    }

    /// Observes a frame of the instrument: it may push its state or answer a query for it.
    pub(super) fn observe(&mut self, frame: &Frame) {
        let state = match frame.code {
            CommandCode::SYSTEM_STATE_GET => CommandCode(frame.int32_data[0] as u32),
            pushed => pushed,
        };
        *self = match (state, *self) {
            (CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING, _) => Self::Running,
            (CommandCode::SYSTEM_STATE_IDLE, Self::Running) => Self::Idle,
            (_, before) => before,
        };
    }

    /// Whether a workflow runs or is about to begin.
    pub(super) fn is_active(self, now: Instant) -> bool {
        match self {
            Self::Idle => false,
            Self::Sent(at) => now.since(at) < START_TIMEOUT,
            Self::Running => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn an_idle_before_the_workflow_runs_does_not_end_it() {
        let mut workflow = WorkflowState::default();
        assert!(!workflow.is_active(at(0)));
        workflow.start_sent(at(0));
        workflow.observe(&Frame::new(CommandCode::SYSTEM_STATE_IDLE));
        assert!(workflow.is_active(at(10)));
        workflow.observe(&Frame::new(CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING));
        assert!(workflow.is_active(at(1_000_000)));
        workflow.observe(&Frame::new(CommandCode::SYSTEM_STATE_IDLE));
        assert!(!workflow.is_active(at(1_000_001)));
    }

    #[test]
    fn a_workflow_that_never_begins_is_forgotten() {
        let mut workflow = WorkflowState::default();
        workflow.start_sent(at(0));
        assert!(workflow.is_active(at(29_999)) && !workflow.is_active(at(30_000)));
    }

    #[test]
    fn the_answer_to_a_query_for_the_state_counts_too() {
        let mut workflow = WorkflowState::default();
        let state = CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING.0 as i32;
        workflow.observe(&Frame::new(CommandCode::SYSTEM_STATE_GET).with_selector(state));
        assert!(workflow.is_active(at(0)));
    }
}
