//! Whether a workflow runs, as far as the bridge can tell: live view must not begin meanwhile.

use flamingo_protocol_core::{CommandCode, Duration, Frame, Instant};

/// A workflow that was sent and is not said to run after so long never began.
const BEGINS_WITHIN: Duration = Duration::from_millis(30_000);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Workflow {
    #[default]
    None,
    /// It was sent. An IDLE that comes before it runs is an old one.
    Sent(Instant),
    Runs,
}

impl Workflow {
    pub(super) fn sent(&mut self, now: Instant) {
        if *self != Self::Runs {
            *self = Self::Sent(now);
        }
    }

    /// A frame of the instrument: a state that was pushed, or the answer to a question for it.
    pub(super) fn heard(&mut self, frame: &Frame) {
        let state = match frame.code {
            CommandCode::SYSTEM_STATE_GET => CommandCode(frame.int32_data[0] as u32),
            pushed => pushed,
        };
        *self = match (state, *self) {
            (CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING, _) => Self::Runs,
            (CommandCode::SYSTEM_STATE_IDLE, Self::Runs) => Self::None,
            (_, before) => before,
        };
    }

    pub(super) fn is_on(self, now: Instant) -> bool {
        match self {
            Self::None => false,
            Self::Sent(at) => now.since(at) < BEGINS_WITHIN,
            Self::Runs => true,
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
    fn an_idle_from_before_a_workflow_runs_does_not_end_it() {
        let mut workflow = Workflow::default();
        assert!(!workflow.is_on(at(0)));
        workflow.sent(at(0));
        workflow.heard(&Frame::new(CommandCode::SYSTEM_STATE_IDLE));
        assert!(workflow.is_on(at(10)));
        workflow.heard(&Frame::new(CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING));
        assert!(workflow.is_on(at(1_000_000)));
        workflow.heard(&Frame::new(CommandCode::SYSTEM_STATE_IDLE));
        assert!(!workflow.is_on(at(1_000_001)));
    }

    #[test]
    fn one_that_never_begins_is_not_waited_for_for_ever() {
        let mut workflow = Workflow::default();
        workflow.sent(at(0));
        assert!(workflow.is_on(at(29_999)) && !workflow.is_on(at(30_000)));
    }

    #[test]
    fn the_answer_to_a_question_for_the_state_tells_too() {
        let mut workflow = Workflow::default();
        let state = CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING.0 as i32;
        workflow.heard(&Frame::new(CommandCode::SYSTEM_STATE_GET).with_selector(state));
        assert!(workflow.is_on(at(0)));
    }
}
