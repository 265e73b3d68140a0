//! The microscope that a program holds: the connection, the state that all handles share, and the
//! requests of the devices. The devices are in `devices/`, `stage/` and `workflows/`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Answer, Client, Options};

use crate::answers::succeeded;
use crate::axis::Axis;
use crate::devices::{
    Camera, FilterWheel, Illumination, Lasers, Led, SettingsStore, Storage, SystemState,
};
use crate::files::scope_settings::ScopeSettings;
use crate::stage::Stage;
use crate::workflows::Workflows;
use crate::{Error, Patience, Reading};

/// A microscope. Clones share one connection, so any number of tasks can use it.
///
/// Every future is cancel-safe, like those of [`Client`]: dropping it harms no other call. A
/// command that was sent before is still carried out.
///
/// ```
/// use flamingo_microscope::{Axis, Microscope};
/// use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::units::Mm;
/// use flamingo_runtime_std::Options;
///
/// smol::block_on(async {
///     let simulator = Simulator::start(SimulatorOptions::default()).await?;
///     let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
///     let mut motion = microscope.stage().move_to(Axis::X, Mm(6.5)).await?;
///     motion.wait().await?;
///     let x = microscope.stage().position(Axis::X).await?;
///     println!("{} at {:?}", x.value, x.answer.at);
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
    /// The settings that were loaded or saved last. Never locked across an await.
    settings: Mutex<Option<Arc<ScopeSettings>>>,
    /// Whether X, Y, Z and R may still be moving. Never locked across an await.
    moving: Mutex<[bool; 4]>,
    /// The number of workflows that this program uploaded and that are not known to have ended.
    runs: AtomicUsize,
}

impl Microscope {
    /// Connects to the control port with [`Client::connect`] and loads the scope settings.
    ///
    /// # Errors
    /// [`Error::Client`], [`Error::Timeout`] or [`Error::ConnectionLost`] if the connection cannot
    /// be made, and the errors of [`SettingsStore::load`].
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let what = format!("connecting to {}", options.address);
        let client = Client::connect(options).await.map_err(|error| Error::of(&what, error))?;
        let microscope = Self::over(client, Patience::default());
        microscope.settings().load().await?;
        Ok(microscope)
    }

    /// Makes a microscope of an existing connection. The scope settings are loaded when they are
    /// first needed.
    #[must_use]
    pub fn over(client: Client, patience: Patience) -> Self {
        let (settings, moving) = (Mutex::new(None), Mutex::new([false; 4]));
        let runs = AtomicUsize::new(0);
        Self(Arc::new(Inner { client, patience, settings, moving, runs }))
    }

    /// The connection, for commands that have no method here.
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

    /// The LED with its four colours.
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
    pub fn settings(&self) -> SettingsStore {
        SettingsStore::new(self.clone())
    }

    /// The drives that images can be saved to.
    #[must_use]
    pub fn storage(&self) -> Storage {
        Storage::new(self.clone())
    }

    /// What the instrument is doing now: SYSTEM_STATE_GET (0xA007), which is always answered.
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

    /// Closes the connection, also for all clones.
    pub async fn close(self) {
        self.0.client.clone().close().await;
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.0.patience
    }

    pub(crate) fn kept_settings(&self) -> MutexGuard<'_, Option<Arc<ScopeSettings>>> {
        self.0.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether an axis may be moving, and returns what was noted before.
    pub(crate) fn set_moving(&self, axis: Axis, moving: bool) -> bool {
        let mut axes = self.0.moving.lock().unwrap_or_else(PoisonError::into_inner);
        axes.get_mut(axis as usize).is_some_and(|noted| std::mem::replace(noted, moving))
    }

    /// Whether an axis may be moving, as far as this program knows.
    pub(crate) fn is_moving(&self, axis: Axis) -> bool {
        let axes = self.0.moving.lock().unwrap_or_else(PoisonError::into_inner);
        axes.get(axis as usize).copied().unwrap_or(false)
    }

    /// Counts a workflow that this program uploads.
    pub(crate) fn run_began(&self) {
        self.0.runs.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends the count of one workflow.
    pub(crate) fn run_ended(&self) {
        self.0.runs.fetch_sub(1, Ordering::AcqRel);
    }

    /// Refuses a command that must not be sent while a workflow runs or is about to begin.
    pub(crate) async fn not_while_running(&self, what: &str) -> Result<(), Error> {
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

    /// Sends a request and returns its answer, unless the status is failure.
    pub(crate) async fn ask(&self, what: &str, frame: Frame) -> Result<Answer, Error> {
        let answer = self.client().request(frame).await.map_err(|e| Error::of(what, e))?;
        succeeded(what, answer)
    }

    /// Sends a request and reads a value from its answer.
    pub(crate) async fn read<T>(
        &self,
        what: &str,
        frame: Frame,
        value: impl FnOnce(&Answer) -> Result<T, Error>,
    ) -> Result<Reading<T>, Error> {
        let answer = self.ask(what, frame).await?;
        Ok(Reading { value: value(&answer)?, answer })
    }

    /// Sends a command that is never answered.
    pub(crate) async fn send(&self, what: &str, frame: Frame) -> Result<(), Error> {
        self.client().send(frame).await.map_err(|error| Error::of(what, error))
    }
}
