//! What a workflow reports while it runs and when it has ended. Following it is in `run.rs`.

use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::EventFrame;

use crate::SystemState;

/// The messages that a run follows. It also reads the texts of unknown codes.
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

/// The longest text that is shown, in characters: a payload may have megabytes.
const LONGEST: usize = 400;

/// The text of a frame of an unknown code, in its buffer or payload: the server explains in such
/// frames what happens. `None` if the code is known, or if there is no readable text.
pub(super) fn unknown_text(event: &EventFrame) -> Option<String> {
    if event.frame.code.row().is_some() {
        return None;
    }
    [event.frame.buffer_bytes(), &event.payload].into_iter().find_map(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        let is_readable = |c: char| c != '\u{FFFD}' && (!c.is_control() || c.is_whitespace());
        let readable = !text.is_empty() && text.chars().all(is_readable);
        readable.then(|| text.chars().take(LONGEST).collect())
    })
}

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
    /// A frame of an unknown code with a text for people. The server explains a rejection in such a
    /// frame.
    Text {
        /// The code.
        code: CommandCode,
        /// The text.
        text: String,
    },
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
    /// The number of stacks that were reported complete. 0 tells nothing: some firmware does not send
    /// CAMERA_STACK_COMPLETE.
    pub stacks: u32,
    /// The number of images that were acquired: in complete stacks, or by the progress gauge if that
    /// has more.
    pub images: u64,
    /// The number of all images by the progress gauge; 0 if it told none.
    pub images_total: u64,
    /// The number of images that are missing in complete stacks.
    pub images_missing: u64,
    /// The number of errors in complete stacks.
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
