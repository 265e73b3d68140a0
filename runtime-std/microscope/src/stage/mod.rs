//! The stage: where it is, where it may go, sending it there. What becomes of a motion is
//! `motion.rs`.

pub mod limits;
mod motion;
mod motion_end;
mod motions;
mod pose_tracker;
mod position_updates;

use flamingo_protocol_core::{CommandCode, Frame};
use smol::future::zip;

pub use motion::{Arrival, Motion};
pub use motions::Motions;
pub use pose_tracker::PoseTracker;
pub use position_updates::{PositionUpdate, PositionUpdates};

use crate::answers::succeeded;
use crate::axis::Axis;
use crate::units::{Degrees, DegreesPerSecond, Mm, MmPerSecond, Pose, Position};
use crate::{Error, Microscope, Reading};
use flamingo_runtime_std::Answer;
use limits::StageLimits;

/// The stage of a [`Microscope`].
///
/// ```
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::{Axis, Error};
/// # use flamingo_microscope::Microscope;
/// use flamingo_microscope::units::{Degrees, Mm, Position};
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// let stage = microscope.stage();
/// let targets = [(Axis::X, Position::Mm(7.6)), (Axis::R, Position::Degrees(5.0))];
/// stage.move_together(&targets).await?.wait().await?;
/// // On its way: a HALT ends whoever waits for it.
/// let mut motion = stage.move_to(Axis::Y, Mm(25.0)).await?;
/// stage.halt(Axis::Y).await?;
/// assert!(matches!(motion.wait().await, Err(Error::Halted { axis: Axis::Y })));
/// // The wrong unit and what is out of the limits are refused before anything is sent.
/// assert!(stage.move_to(Axis::X, Degrees(5.0)).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Stage {
    microscope: Microscope,
}

/// How fast an axis goes, in the unit of that axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Velocity {
    /// Of X, Y or Z.
    MmPerSecond(f64),
    /// Of R.
    DegreesPerSecond(f64),
}

impl From<MmPerSecond> for Velocity {
    fn from(MmPerSecond(value): MmPerSecond) -> Self {
        Self::MmPerSecond(value)
    }
}

impl From<DegreesPerSecond> for Velocity {
    fn from(DegreesPerSecond(value): DegreesPerSecond) -> Self {
        Self::DegreesPerSecond(value)
    }
}

impl Stage {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// Where an axis is, in mm, R in degrees: STAGE_POSITION_GET (0x6008). The updates that are
    /// pushed during motion under the same code are never taken for the answer.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`], [`Error::Implausible`].
    pub async fn position(&self, axis: Axis) -> Result<Reading<Position>, Error> {
        let what = format!("position of axis {axis}");
        let frame = Frame::command(CommandCode::STAGE_POSITION_GET);
        let frame = frame.with_selector(axis.selector());
        self.microscope.read(&what, frame, |answer| position(axis, &what, answer)).await
    }

    /// Where all four axes are; they are asked together, one frame each, since 255 does not answer.
    ///
    /// # Errors
    /// As [`Self::position`], of the first axis that fails.
    pub async fn pose(&self) -> Result<Pose, Error> {
        let linear = zip(self.position(Axis::X), self.position(Axis::Y));
        let rest = zip(self.position(Axis::Z), self.position(Axis::R));
        let ((x, y), (z, r)) = zip(linear, rest).await;
        let mm = |position: Result<Reading<Position>, Error>| {
            position.map(|position| Mm(position.value.value()))
        };
        Ok(Pose { x: mm(x)?, y: mm(y)?, z: mm(z)?, r: Degrees(r?.value.value()) })
    }

    /// The positions that are pushed while something moves, 40 a second and axis.
    #[must_use]
    pub fn position_updates(&self) -> PositionUpdates {
        PositionUpdates::new(self.microscope.client())
    }

    /// Follows the pose of the stage from now on, for whoever needs it often.
    ///
    /// # Errors
    /// As [`Self::pose`].
    pub async fn pose_tracker(&self) -> Result<PoseTracker, Error> {
        PoseTracker::new(self.clone(), self.microscope.client()).await
    }

    /// Where an axis may go, as the scope settings say; an end that they do not name is open.
    ///
    /// # Errors
    /// What [`crate::SettingsStore::load`] fails with, if they were not loaded yet.
    pub async fn limits(&self, axis: Axis) -> Result<StageLimits, Error> {
        Ok(self.microscope.settings().get().await?.limits(axis).clone())
    }

    /// Sends an axis to a target (STAGE_POSITION_SET, 0x6004), and gives the motion when it was
    /// acknowledged. The wait for its end is armed before the command is sent: a motion of a few
    /// µm may have ended before its acknowledgement is read.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and, where the settings do not name both limits,
    /// [`Error::Unsupported`]: nothing was sent. [`Error::Refused`]: it does not move.
    /// [`Error::Timeout`]: it may be moving all the same; halt it, or ask where it is.
    pub async fn move_to(&self, axis: Axis, target: impl Into<Position>) -> Result<Motion, Error> {
        let target = target.into();
        self.check(&[(axis, target)]).await?;
        self.move_unchecked(axis, target).await
    }

    /// Sends several axes to their targets, together. All targets are checked before anything is
    /// sent; if one of them is refused by the instrument, the others are halted.
    ///
    /// # Errors
    /// As [`Self::move_to`]; [`Error::OutOfRange`] when an axis is named twice.
    pub async fn move_together(&self, targets: &[(Axis, Position)]) -> Result<Motions, Error> {
        self.check(targets).await?;
        for (at, (axis, _)) in targets.iter().enumerate() {
            if targets[..at].iter().any(|(other, _)| other == axis) {
                return Err(Error::OutOfRange {
                    what: "move of several axes".to_owned(),
                    expected: "each axis once".to_owned(),
                    found: format!("{axis} twice"),
                });
            }
        }
        Motions::begin(self, targets).await
    }

    /// [`Self::move_to`] without a look at the limits: for an instrument whose settings name none,
    /// and which has to judge by itself. NaN, infinities and the wrong unit are refused.
    ///
    /// # Errors
    /// As [`Self::move_to`].
    pub async fn move_unchecked(
        &self,
        axis: Axis,
        target: impl Into<Position>,
    ) -> Result<Motion, Error> {
        let target = target.into();
        takes(axis, target)?;
        let frame = Frame::command(CommandCode::STAGE_POSITION_SET);
        let frame = frame.with_selector(axis.selector()).with_value(target.value());
        Motion::acknowledged(&self.microscope, axis, target, frame).await
    }

    /// Sends an axis home (STAGE_HOME, 0x6002): a long motion, and never a stop. It may be
    /// acknowledged only at its end, so this gives the motion as soon as the command is out.
    ///
    /// # Errors
    /// [`Error::Superseded`], [`Error::ConnectionLost`]. A refusal ends the motion.
    pub async fn home(&self, axis: Axis) -> Result<Motion, Error> {
        let target = self.microscope.settings().get().await?.home(axis);
        let frame = Frame::command(CommandCode::STAGE_HOME).with_selector(axis.selector());
        Motion::sent(&self.microscope, axis, target, frame).await
    }

    /// Has an axis look for its reference (STAGE_FIND_REFERENCE, 0x6001). As [`Self::home`].
    ///
    /// # Errors
    /// As [`Self::home`].
    pub async fn find_reference(&self, axis: Axis) -> Result<Motion, Error> {
        let frame = Frame::command(CommandCode::STAGE_FIND_REFERENCE);
        let frame = frame.with_selector(axis.selector());
        Motion::sent(&self.microscope, axis, None, frame).await
    }

    /// Stops an axis (STAGE_HALT, 0x6003), ahead of everything that is queued. Every motion of it
    /// that somebody waits for ends as [`Error::Halted`]. Dropping the future does not take it
    /// back.
    ///
    /// # Errors
    /// [`Error::Timeout`]: it was sent, and the axis may still be moving.
    pub async fn halt(&self, axis: Axis) -> Result<(), Error> {
        let what = format!("halt of axis {axis}, which may still be moving");
        let answer = self.microscope.client().halt(axis.selector()).await;
        let answer = answer.map_err(|error| Error::of(&what, error))?;
        succeeded(&what, answer).map(|_| ())
    }

    /// Stops all axes: one HALT each, together, since "all" (255) is unproven. One that fails does
    /// not keep the others from being stopped.
    ///
    /// # Errors
    /// As [`Self::halt`], of the first axis that fails.
    pub async fn halt_all(&self) -> Result<(), Error> {
        self.halt_each(&Axis::ALL).await
    }

    /// Stops these axes; each is named once.
    pub(super) async fn halt_each(&self, axes: &[Axis]) -> Result<(), Error> {
        let halt = |axis: Option<Axis>| async move {
            match axis {
                Some(axis) => self.halt(axis).await,
                None => Ok(()),
            }
        };
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| halt(axes.get(at).copied()));
        let ((a, b), (c, d)) = zip(zip(a, b), zip(c, d)).await;
        a.and(b).and(c).and(d)
    }

    /// Sets how fast an axis goes (STAGE_VELOCITY_SET, 0x6009), in mm/s, R in degrees/s. The
    /// instrument judges what is too fast.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: not above 0, or not in the unit of the axis; [`Error::Refused`].
    pub async fn set_velocity(
        &self,
        axis: Axis,
        velocity: impl Into<Velocity>,
    ) -> Result<(), Error> {
        let what = format!("velocity of axis {axis}");
        let velocity = velocity.into();
        let value = match (velocity, axis) {
            (Velocity::DegreesPerSecond(value), Axis::R)
            | (Velocity::MmPerSecond(value), Axis::X | Axis::Y | Axis::Z) => Some(value),
            _ => None,
        };
        let Some(value) = value.filter(|value| value.is_finite() && *value > 0.0) else {
            let expected = format!("a finite number of {}/s above 0", axis.unit());
            return Err(Error::OutOfRange { what, expected, found: format!("{velocity:?}") });
        };
        let frame = Frame::command(CommandCode::STAGE_VELOCITY_SET);
        let frame = frame.with_selector(axis.selector()).with_value(value);
        self.microscope.ask(&what, frame).await.map(|_| ())
    }

    /// Whether the targets are within limits that are known.
    async fn check(&self, targets: &[(Axis, Position)]) -> Result<(), Error> {
        for (axis, target) in targets {
            takes(*axis, *target)?;
        }
        let settings = self.microscope.settings().get().await?;
        for (axis, target) in targets {
            let limits = settings.limits(*axis);
            limits.check(*axis, *target)?;
            if !limits.is_complete() {
                return Err(Error::Unsupported {
                    what: format!("move of axis {axis}"),
                    why: "the scope settings do not name both of its limits; nothing was sent"
                        .to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Whether a target is a number at all, and in the unit of the axis.
fn takes(axis: Axis, target: Position) -> Result<(), Error> {
    if target.fits(axis) && target.value().is_finite() {
        return Ok(());
    }
    Err(Error::OutOfRange {
        what: format!("target of axis {axis}"),
        expected: format!("a finite number of {}", axis.unit()),
        found: target.to_string(),
    })
}

fn position(axis: Axis, what: &str, answer: &Answer) -> Result<Position, Error> {
    let at = answer.frame.value;
    if at.is_finite() {
        return Ok(Position::of(axis, at));
    }
    let expected = format!("a number of {} in doubleData", axis.unit());
    Err(Error::Implausible { what: what.to_owned(), expected, found: at.to_string() })
}
