//! The extension module of the Python package `flamingo-link`. It makes calls of what the crates can do; the
//! blocking API over them, callbacks and the drop-in socket are written in Python, in `python/flamingo/`.
//!
//! | file | holds |
//! |---|---|
//! | `call.rs` | a prepared request, for `wait()` and `await` |
//! | `waiting.rs` | where futures run: on the thread that asks, or on the one for asyncio |
//! | `halts.rs` | the HALTs of moves that were cancelled |
//! | `failure.rs` | errors as exceptions |
//! | `codes.rs` | what Python calls a code, an axis, a laser, a colour |
//! | `frame.rs` | frames, answers, events |
//! | `events.rs` | subscriptions |
//! | `closing.rs` | ends waits from another thread |
//! | `microscope.rs` | the connection |
//! | `stage.rs`, `devices.rs`, `settings.rs`, `workflows.rs` | the devices |
//! | `images.rs` | image streams, and images that NumPy reads without a copy |
//! | `servers.rs` | simulator and bridge |
//! | `dropin.rs`, `lane.rs` | what today's clients use: bytes of commands in, bytes of answers out |

mod call;
mod closing;
mod codes;
mod devices;
mod dropin;
mod events;
mod failure;
mod frame;
mod halts;
mod images;
mod lane;
mod microscope;
mod servers;
mod settings;
mod stage;
mod waiting;
mod workflows;

/// `flamingo._native`.
#[pyo3::pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::call::Call;
    #[pymodule_export]
    use crate::codes::{code_name, known_codes};
    #[pymodule_export]
    use crate::devices::{Camera, FilterWheel, Illumination, Lasers, Led};
    #[pymodule_export]
    use crate::dropin::{CommandLink, ParsedMessage};
    #[pymodule_export]
    use crate::events::EventStream;
    #[pymodule_export]
    use crate::frame::{PyAnswer, PyEvent, PyFrame};
    #[pymodule_export]
    use crate::halts::finish;
    #[pymodule_export]
    use crate::images::{Image, ImageStream};
    #[pymodule_export]
    use crate::lane::Lane;
    #[pymodule_export]
    use crate::microscope::{Microscope, connect};
    #[pymodule_export]
    use crate::servers::{
        PyBridge, PySimulator, ReceivedCommand, SentFrame, start_bridge, start_simulator,
    };
    #[pymodule_export]
    use crate::settings::{PyScopeSettings, Settings, Storage};
    #[pymodule_export]
    use crate::stage::{Arrival, AxisLimits, Motion, Pose, Stage};
    #[pymodule_export]
    use crate::workflows::{PyRunEvent, PyRunSummary, Run, StackReport, Workflows};

    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
