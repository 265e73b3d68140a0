//! What a workflow reports while it runs and when it has ended. Following it is in `run.rs`.

use flamingo_protocol_core::CommandCode;

use crate::SystemState;

/// The messages that a run listens to.
pub(super) const CODES: [CommandCode; 10] = [
    CommandCode::CAMERA_WORK_FLOW_START,
    CommandCode::CAMERA_STACK_COMPLETE,
    CommandCode::UI_SET_GAUGE_SIZE,
    CommandCode::UI_SET_GAUGE_VALUE,
    CommandCode::UI_IMAGES_SAVED_TO_STORAGE,
    CommandCode::SYSTEM_STATE_DISCONNECTED,
    CommandCode::SYSTEM_STATE_IDLE,
    CommandCode::SYSTEM_STATE_SNAP_SHOT,
    CommandCode::SYSTEM_STATE_LIVE_VIEW,
    CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING,
];

/// What happens during a workflow.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RunEvent {
    /// The workflow has begun: SYSTEM_STATE_WORK_FLOW_RUNNING.
    Started,
    /// The instrument broadcast a system state that is neither the start nor the end of the workflow,
    /// such as an IDLE that is older than the workflow.
    State(SystemState),
    /// The instrument's progress gauge. `done` never decreases.
    Progress {
        /// The number of images that are done.
        done: u32,
        /// The number of all images.
        total: u32,
    },
    /// A stack is complete: CAMERA_STACK_COMPLETE.
    Stack(StackComplete),
    /// The images are saved: UI_IMAGES_SAVED_TO_STORAGE.
    ImagesSaved,
    /// The connection was lost, and the workflow continues. Only if the client's options have
    /// `reconnect`; otherwise a lost connection is an error.
    Disconnected,
    /// The client has connected again, and the workflow still runs.
    Reconnected,
    /// The program did not read this many messages in time; they are lost.
    Missed(u64),
}

/// The report about a complete stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StackComplete {
    /// The number of images that were acquired.
    pub acquired: i32,
    /// The number of images that were expected.
    pub expected: i32,
    /// The number of errors.
    pub errors: i32,
    /// The time of the acquisition, in µs.
    pub acquisition_us: f64,
}

/// The totals of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunSummary {
    /// The number of stacks that were reported complete.
    pub stacks: u32,
    /// The number of images that were acquired in them.
    pub images: u64,
    /// The number of images that are missing in them.
    pub images_missing: u64,
    /// The number of errors in them.
    pub errors: u64,
    /// Whether the instrument reported that the images are saved.
    pub saved: bool,
    /// Whether [`Run::abort`] stopped it: the stop was sent and not refused.
    ///
    /// [`Run::abort`]: crate::Run::abort
    pub aborted: bool,
    /// The number of messages that were lost, because the program did not read them in time or
    /// because the connection was lost. Above 0, the other numbers may be too small.
    pub missed: u64,
}
