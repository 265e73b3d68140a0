//! The stage: positions, limits, and motions, which are halted if the wait for them is cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flamingo_microscope as typed;
use flamingo_microscope::units::{DegreesPerSecond, MmPerSecond, Position};
use flamingo_microscope::{Axis, Error};
use pyo3::prelude::*;
use smol::future::zip;
use smol::lock::Mutex;

use crate::call::Call;
use crate::codes::{AxisLike, targets};
use crate::failure::Failure;
use crate::frame::{PyFrame, unix_time};
use crate::halts;
use crate::waiting::{seconds, within};

/// The stage: X, Y and Z in mm, R in degrees.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Stage(pub(crate) typed::Stage);

/// The positions of all four axes.
#[pyclass(module = "flamingo", frozen, get_all, eq)]
#[derive(PartialEq)]
pub(crate) struct Pose {
    x: f64,
    y: f64,
    z: f64,
    r: f64,
}

#[pymethods]
impl Pose {
    fn __repr__(&self) -> String {
        let Self { x, y, z, r } = self;
        format!("Pose(x={x}, y={y}, z={z}, r={r})")
    }
}

/// The limits of an axis; `None` if the scope settings do not name one.
#[pyclass(module = "flamingo", frozen, get_all)]
pub(crate) struct AxisLimits {
    min: Option<f64>,
    max: Option<f64>,
    /// Why the limits are not known, so that the axis cannot be moved; `None` if they are.
    unknown: Option<String>,
}

#[pymethods]
impl AxisLimits {
    fn __repr__(&self) -> String {
        let at = |limit: Option<f64>| limit.map_or("None".to_owned(), |at| at.to_string());
        format!("AxisLimits(min={}, max={})", at(self.min), at(self.max))
    }
}

/// The arrival of an axis at its target.
#[pyclass(module = "flamingo", frozen, get_all)]
pub(crate) struct Arrival {
    axis: &'static str,
    /// When this host learned of it, as `time.time()`.
    at: f64,
    /// The STAGE_MOTION_STOPPED that reported it.
    message: Option<PyFrame>,
}

impl From<typed::Arrival> for Arrival {
    fn from(arrival: typed::Arrival) -> Self {
        let typed::Arrival { axis, at, message } = arrival;
        Self { axis: axis.letter(), at: unix_time(at), message: message.map(PyFrame) }
    }
}

#[pymethods]
impl Arrival {
    fn __repr__(&self) -> String {
        format!("<Arrival of axis {} at {}>", self.axis, self.at)
    }
}

#[pymethods]
impl Stage {
    /// The position of an axis.
    fn position(&self, axis: AxisLike) -> Result<Call, Failure> {
        let (stage, axis) = (self.0.clone(), axis.axis()?);
        Ok(Call::new(async move { stage.position(axis).await.map(|at| at.value.value()) }))
    }

    /// The positions of all axes.
    fn pose(&self) -> Call {
        let stage = self.0.clone();
        Call::new(async move {
            let pose = stage.pose().await?;
            Ok::<_, Error>(Pose { x: pose.x.0, y: pose.y.0, z: pose.z.0, r: pose.r.0 })
        })
    }

    /// The limits of an axis in the scope settings.
    fn limits(&self, axis: AxisLike) -> Result<Call, Failure> {
        let (stage, axis) = (self.0.clone(), axis.axis()?);
        Ok(Call::new(async move {
            let limits = stage.limits(axis).await?;
            let at = |limit: &Option<typed::limits::Limit>| limit.as_ref().map(|it| it.at.value());
            let unknown = limits.known().err().map(|why| why.to_string());
            Ok::<_, Error>(AxisLimits { min: at(&limits.min), max: at(&limits.max), unknown })
        }))
    }

    /// Starts a motion to a target for each axis that is given.
    #[pyo3(signature = (*, x = None, y = None, z = None, r = None, unchecked = false))]
    fn start_move(
        &self,
        x: Option<f64>,
        y: Option<f64>,
        z: Option<f64>,
        r: Option<f64>,
        unchecked: bool,
    ) -> Result<Call, Failure> {
        let (stage, targets) = (self.0.clone(), targets([x, y, z, r])?);
        Ok(Call::new(async move { Motion::begin(&stage, &targets, unchecked).await }))
    }

    /// Moves each axis that is given to its target, and waits for the end. If the wait is cancelled or too long,
    /// the axes are halted.
    #[pyo3(signature = (*, x = None, y = None, z = None, r = None, unchecked = false, timeout = None))]
    fn move_to(
        &self,
        x: Option<f64>,
        y: Option<f64>,
        z: Option<f64>,
        r: Option<f64>,
        unchecked: bool,
        timeout: Option<f64>,
    ) -> Result<Call, Failure> {
        let (stage, targets) = (self.0.clone(), targets([x, y, z, r])?);
        let limit = timeout.map(|time| seconds("timeout", time)).transpose()?;
        Ok(Call::new(async move {
            let axes: Vec<Axis> = targets.iter().map(|(axis, _)| *axis).collect();
            let guard = HaltIfDropped { stage: stage.clone(), axes: axes.clone() };
            let is_over = AtomicBool::new(false);
            let moved = within(limit, "move", async {
                let motion = Motion::begin(&stage, &targets, unchecked).await;
                let ended = match motion {
                    Ok(motion) => end(&motion.motions).await,
                    Err(error) => Err(error.into()),
                };
                is_over.store(true, Ordering::Relaxed);
                ended
            })
            .await;
            if !is_over.load(Ordering::Relaxed) {
                halt(&stage, &axes).await?;
            }
            guard.disarm();
            moved
        }))
    }

    /// Starts the motion of an axis to its home position.
    fn start_home(&self, axis: AxisLike) -> Result<Call, Failure> {
        let (stage, axis) = (self.0.clone(), axis.axis()?);
        Ok(Call::new(
            async move { stage.home(axis).await.map(|motion| Motion::of(&stage, motion)) },
        ))
    }

    /// Starts the search of an axis for its reference.
    fn start_find_reference(&self, axis: AxisLike) -> Result<Call, Failure> {
        let (stage, axis) = (self.0.clone(), axis.axis()?);
        Ok(Call::new(async move {
            stage.find_reference(axis).await.map(|motion| Motion::of(&stage, motion))
        }))
    }

    /// Stops these axes, or all.
    #[pyo3(signature = (*axes))]
    fn halt(&self, axes: Vec<AxisLike>) -> Result<Call, Failure> {
        let stage = self.0.clone();
        let axes: Vec<Axis> = axes.into_iter().map(AxisLike::axis).collect::<Result<_, _>>()?;
        Ok(Call::new(async move { halt(&stage, &axes).await }))
    }

    /// Sets the velocity of an axis, in mm/s, R in degrees/s.
    fn set_velocity(&self, axis: AxisLike, velocity: f64) -> Result<Call, Failure> {
        let (stage, axis) = (self.0.clone(), axis.axis()?);
        Ok(Call::new(async move {
            match axis {
                Axis::R => stage.set_velocity(axis, DegreesPerSecond(velocity)).await,
                _ => stage.set_velocity(axis, MmPerSecond(velocity)).await,
            }
        }))
    }
}

/// Stops these axes, all at the same time; all four if none is named.
async fn halt(stage: &typed::Stage, axes: &[Axis]) -> Result<(), Error> {
    let halt = |axis: Axis| async move {
        if axes.is_empty() || axes.contains(&axis) { stage.halt(axis).await } else { Ok(()) }
    };
    let [x, y, z, r] = Axis::ALL.map(|axis| Box::pin(halt(axis)));
    let ((x, y), (z, r)) = zip(zip(x, y), zip(z, r)).await;
    x.and(y).and(z).and(r)
}

/// Halts the axes if it is dropped before it is disarmed.
struct HaltIfDropped {
    stage: typed::Stage,
    axes: Vec<Axis>,
}

impl HaltIfDropped {
    fn disarm(mut self) {
        self.axes.clear();
    }
}

impl Drop for HaltIfDropped {
    fn drop(&mut self) {
        let (stage, axes) = (self.stage.clone(), std::mem::take(&mut self.axes));
        if !axes.is_empty() {
            halts::begin(async move {
                // An error: the connection is lost, or nobody answers. Nothing else can be done.
                let _ = halt(&stage, &axes).await;
            });
        }
    }
}

/// One motion, or several that were started together.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Motion {
    stage: typed::Stage,
    targets: Vec<(Axis, Option<Position>)>,
    motions: Arc<Mutex<Started>>,
}

/// What [`typed::Stage`] returns.
enum Started {
    Together(typed::Motions),
    Each(Vec<typed::Motion>),
}

impl Started {
    async fn end(&mut self) -> Result<Vec<typed::Arrival>, Error> {
        match self {
            Self::Together(motions) => motions.wait().await,
            Self::Each(motions) => {
                let mut arrivals = Vec::new();
                for motion in motions {
                    arrivals.push(motion.wait().await?);
                }
                Ok(arrivals)
            }
        }
    }
}

impl Motion {
    async fn begin(
        stage: &typed::Stage,
        targets: &[(Axis, Position)],
        unchecked: bool,
    ) -> Result<Self, Error> {
        let started = if unchecked {
            let mut motions = Vec::new();
            for (axis, target) in targets {
                motions.push(stage.move_unchecked(*axis, *target).await?);
            }
            Started::Each(motions)
        } else {
            Started::Together(stage.move_together(targets).await?)
        };
        let targets = targets.iter().map(|(axis, target)| (*axis, Some(*target))).collect();
        Ok(Self { stage: stage.clone(), targets, motions: Arc::new(Mutex::new(started)) })
    }

    fn of(stage: &typed::Stage, motion: typed::Motion) -> Self {
        let targets = vec![(motion.axis(), motion.target())];
        let motions = Arc::new(Mutex::new(Started::Each(vec![motion])));
        Self { stage: stage.clone(), targets, motions }
    }

    fn each_axis(&self) -> Vec<Axis> {
        self.targets.iter().map(|(axis, _)| *axis).collect()
    }
}

async fn end(motions: &Mutex<Started>) -> Result<Vec<Arrival>, Failure> {
    let arrivals = motions.lock().await.end().await?;
    Ok(arrivals.into_iter().map(Arrival::from).collect())
}

#[pymethods]
impl Motion {
    /// The axes, as letters.
    #[getter]
    fn axes(&self) -> Vec<&'static str> {
        self.targets.iter().map(|(axis, _)| axis.letter()).collect()
    }

    /// The target of each axis; `None` where only the instrument knows it.
    #[getter]
    fn targets(&self) -> Vec<Option<f64>> {
        self.targets.iter().map(|(_, target)| target.map(Position::value)).collect()
    }

    /// Waits for the end of the motion. It goes on if the wait is cancelled or too long, unless
    /// `halt_if_cancelled` is set.
    #[pyo3(signature = (*, timeout = None, halt_if_cancelled = false))]
    fn wait(&self, timeout: Option<f64>, halt_if_cancelled: bool) -> Result<Call, Failure> {
        let limit = timeout.map(|time| seconds("timeout", time)).transpose()?;
        let (stage, motions) = (self.stage.clone(), Arc::clone(&self.motions));
        let axes = if halt_if_cancelled { self.each_axis() } else { Vec::new() };
        Ok(Call::new(async move {
            let guard = HaltIfDropped { stage, axes };
            let ended = within(limit, "motion", end(&motions)).await;
            guard.disarm();
            ended
        }))
    }

    /// Stops the axes of the motion.
    fn halt(&self) -> Call {
        let (stage, axes) = (self.stage.clone(), self.each_axis());
        Call::new(async move { halt(&stage, &axes).await })
    }

    fn __repr__(&self) -> String {
        format!("<Motion of {}>", self.axes().join(", "))
    }
}
