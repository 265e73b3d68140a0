//! The instrument, typed: its parts, with units, limits and the traps of the protocol known.
//!
//! ```text
//!  microscope.stage().move_to(Axis::X, Mm(7.5))      workflows().start(&workflow)
//!        │ unit, limits of the scope settings              │ check, state, arm
//!        ▼                                                 ▼
//!  motion.rs: armed before it is sent                run.rs: IDLE after RUNNING ends it
//!  verdict.rs: what ends it
//!        └──────────────── Client: requests, events ───────┘
//! ```
//! Here are the connection, the settings that are kept, and how a part asks. Each part is in a file
//! of its own. Frames and sockets are the client's; reading texts is `scope_settings.rs` and
//! `workflow/`; images are `live/`.

pub mod axis;
mod camera;
mod error;
mod filter_wheel;
mod illumination;
#[cfg(feature = "image-files")]
pub mod image_file;
mod lasers;
mod led;
pub mod limits;
pub mod live;
pub mod meaning;
mod motion;
mod motions;
pub mod preview;
mod progress;
mod run;
pub mod scope_settings;
pub mod sections;
mod settings;
mod stage;
mod state;
mod storage;
pub mod text;
pub mod units;
mod verdict;
mod whereabouts;
pub mod workflow;
mod workflows;

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};

pub use axis::Axis;
pub use camera::{Camera, ImageSize, LiveUpdates};
pub use error::Error;
pub use filter_wheel::FilterWheel;
pub use illumination::Illumination;
pub use lasers::{Laser, Lasers};
pub use led::{Led, LedColour};
pub use motion::{Arrival, Motion};
pub use motions::Motions;
pub use progress::{PositionUpdate, Progress};
pub use run::{Run, RunEvent, RunSummary, StackComplete};
pub use settings::Settings;
pub use stage::{Stage, Velocity};
pub use state::SystemState;
pub use storage::Storage;
pub use whereabouts::Whereabouts;
pub use workflows::{StackReport, Workflows};

use crate::scope_settings::ScopeSettings;
use crate::units::{Degrees, Mm};
use flamingo_runtime_std::Answer;
use flamingo_runtime_std::Client;
use flamingo_runtime_std::Options;

/// How patient the typed layer is where the protocol is silent.
///
/// ```
/// use flamingo_microscope::Patience;
/// use flamingo_microscope::units::Mm;
/// let patience = Patience { arrived_mm: Mm(0.0005), ..Patience::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// How long, after a STAGE_MOTION_STOPPED with another status than 1, a better one may still
    /// come: 250 ms.
    pub grace: Duration,
    /// How long nothing may be heard of a motion before the position is asked for: 2 s.
    pub quiet: Duration,
    /// How near to its target X, Y or Z has arrived: 0.002 mm.
    pub arrived_mm: Mm,
    /// The same for R: 0.01 degrees.
    pub arrived_deg: Degrees,
    /// How long a workflow may take to begin: 10 s.
    pub start: Duration,
    /// How long nothing may be heard of a workflow before the state is asked for: 10 s.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_millis(250),
            quiet: Duration::from_secs(2),
            arrived_mm: Mm(0.002),
            arrived_deg: Degrees(0.01),
            start: Duration::from_secs(10),
            silence: Duration::from_secs(10),
        }
    }
}

/// A microscope, shared by any number of tasks: clones are the same one.
///
/// Every future is cancel-safe as those of [`Client`] are: dropping it harms no other call. What
/// was sent by then is carried out.
///
/// ```
/// use flamingo_microscope::Microscope;
/// use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::units::Mm;
/// use flamingo_runtime_std::{Axis, Options};
///
/// smol::block_on(async {
///     let simulator = Simulator::start(SimulatorOptions::default()).await?;
///     let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
///     let mut motion = microscope.stage().move_to(Axis::X, Mm(6.5)).await?;
///     motion.wait().await?;
///     let x = microscope.stage().position(Axis::X).await?;
///     println!("{} at {:?}", x.value, x.at);
///     # assert!((x.value.value() - 6.5).abs() < 1e-6);
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Microscope(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    patience: Patience,
    /// As they were loaded or saved last. Held for a look, never across an await.
    settings: Mutex<Option<Arc<ScopeSettings>>>,
    /// Whether the end of the last motion of X, Y, Z and R is not known. Held for a look.
    moving: Mutex<[bool; 4]>,
    /// Workflows that were uploaded here, and have not ended as far as is known.
    runs: AtomicUsize,
}

/// What was asked for, and the answer that says it.
#[derive(Debug, Clone)]
pub struct Reading<T> {
    /// The value, with its unit.
    pub value: T,
    /// The frame, whether it is proven, and when it came.
    pub answer: Answer,
}

/// To the answer: `reading.proven`, `reading.at`.
impl<T> Deref for Reading<T> {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

impl Microscope {
    /// Connects as [`Client::connect`] does, and loads the scope settings.
    ///
    /// # Errors
    /// [`Error::Client`] and what [`Settings::load`] fails with.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let what = format!("connecting to {}", options.address);
        let client = Client::connect(options).await.map_err(|error| Error::of(&what, error))?;
        let microscope = Self::over(client, Patience::default());
        microscope.settings().load().await?;
        Ok(microscope)
    }

    /// Over a connection that exists. The settings are loaded when they are needed first.
    #[must_use]
    pub fn over(client: Client, patience: Patience) -> Self {
        let (settings, moving) = (Mutex::new(None), Mutex::new([false; 4]));
        let runs = AtomicUsize::new(0);
        Self(Arc::new(Inner { client, patience, settings, moving, runs }))
    }

    /// The connection, for whatever has no method here.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// The stage: X, Y and Z in mm, R in degrees.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage::new(self.clone())
    }

    /// The camera: exposure, region, live view, snapshots.
    #[must_use]
    pub fn camera(&self) -> Camera {
        Camera::new(self.clone())
    }

    /// The lasers, 1 to 4.
    #[must_use]
    pub fn lasers(&self) -> Lasers {
        Lasers::new(self.clone())
    }

    /// The LED in its four colours.
    #[must_use]
    pub fn led(&self) -> Led {
        Led::new(self.clone())
    }

    /// The filter wheel.
    #[must_use]
    pub fn filter_wheel(&self) -> FilterWheel {
        FilterWheel::new(self.clone())
    }

    /// The two illumination paths.
    #[must_use]
    pub fn illumination(&self) -> Illumination {
        Illumination::new(self.clone())
    }

    /// Workflows: check, start, follow, abort.
    #[must_use]
    pub fn workflows(&self) -> Workflows {
        Workflows::new(self.clone())
    }

    /// The scope settings: load, save.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::new(self.clone())
    }

    /// Where images can be saved.
    #[must_use]
    pub fn storage(&self) -> Storage {
        Storage::new(self.clone())
    }

    /// What the instrument is doing: SYSTEM_STATE_GET (0xA007), which answers always.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn state(&self) -> Result<Reading<SystemState>, Error> {
        let frame = Frame::command(CommandCode::SYSTEM_STATE_GET);
        self.read("state of the system", frame, |answer| {
            Ok(SystemState::from_code(answer.frame.selector()))
        })
        .await
    }

    /// Ends the connection, for all clones.
    pub async fn close(self) {
        self.0.client.clone().close().await;
    }

    fn patience(&self) -> &Patience {
        &self.0.patience
    }

    fn kept_settings(&self) -> MutexGuard<'_, Option<Arc<ScopeSettings>>> {
        self.0.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether an axis may be moving, and gives what was noted before.
    fn set_moving(&self, axis: Axis, moving: bool) -> bool {
        let mut axes = self.0.moving.lock().unwrap_or_else(PoisonError::into_inner);
        axes.get_mut(axis as usize).is_some_and(|noted| std::mem::replace(noted, moving))
    }

    /// Refuses what must not be done while a workflow runs, or is about to.
    async fn not_while_running(&self, what: &str) -> Result<(), Error> {
        let state = if self.0.runs.load(Ordering::Acquire) > 0 {
            SystemState::WorkflowRunning
        } else {
            self.state().await?.value
        };
        match state {
            SystemState::WorkflowRunning => Err(Error::Busy { what: what.to_owned(), state }),
            _ => Ok(()),
        }
    }

    /// The answer to a request, unless its status says failure.
    async fn ask(&self, what: &str, frame: Frame) -> Result<Answer, Error> {
        let answer = self.client().request(frame).await.map_err(|e| Error::of(what, e))?;
        succeeded(what, answer)
    }

    /// What the answer to a request says.
    async fn read<T>(
        &self,
        what: &str,
        frame: Frame,
        value: impl FnOnce(&Answer) -> Result<T, Error>,
    ) -> Result<Reading<T>, Error> {
        let answer = self.ask(what, frame).await?;
        Ok(Reading { value: value(&answer)?, answer })
    }

    /// Sends what is never answered.
    async fn tell(&self, what: &str, frame: Frame) -> Result<(), Error> {
        self.client().send(frame).await.map_err(|error| Error::of(what, error))
    }
}

/// The answer, unless its status says failure (0). Other statuses than 0 and 1 are seen, and are
/// no failure.
fn succeeded(what: &str, answer: Answer) -> Result<Answer, Error> {
    if answer.frame.status != 0 {
        return Ok(answer);
    }
    let code = answer.frame.code;
    Err(Error::Refused { what: what.to_owned(), code, status: 0, reason: reason(&answer) })
}

/// The text of an answer: its buffer, or else its payload.
fn text_of(answer: &Answer) -> String {
    let buffer = answer.frame.buffer_bytes();
    let text = if buffer.is_empty() { &answer.payload } else { buffer };
    String::from_utf8_lossy(text).into_owned()
}

/// The longest reason that is told, in characters: an answer may have megabytes behind it.
const REASON: usize = 200;

fn reason(answer: &Answer) -> String {
    text_of(answer).trim().chars().take(REASON).collect()
}

/// A number of an answer that must be finite and above 0.
fn above_zero(what: &str, unit: &str, found: f64) -> Result<f64, Error> {
    if found.is_finite() && found > 0.0 {
        return Ok(found);
    }
    let expected = format!("a number of {unit} above 0");
    Err(Error::Implausible { what: what.to_owned(), expected, found: found.to_string() })
}

/// A whole number for the wire that must be within a range; nothing is sent otherwise.
fn in_range(what: &str, value: i64, range: std::ops::RangeInclusive<i32>) -> Result<i32, Error> {
    let found = i32::try_from(value).ok().filter(|value| range.contains(value));
    found.ok_or_else(|| Error::OutOfRange {
        what: what.to_owned(),
        expected: format!("{} to {}", range.start(), range.end()),
        found: value.to_string(),
    })
}
