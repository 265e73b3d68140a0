//! The stage: positions, limits, and the commands that start and stop motions.
//!
//! A motion that was started is in `motion.rs`; what ends it is in `motion_end.rs`.

pub mod limits;
mod motion;
mod motion_end;
mod motions;
mod pose_history;
mod pose_tracker;
mod position_updates;
mod pushed_pose;

use flamingo_protocol_core::{CommandCode, Frame};
use smol::future::zip;
use std::fmt;

pub use motion::{Arrival, Motion};
pub use motions::Motions;
pub use pose_tracker::PoseTracker;
pub use position_updates::{PositionUpdate, PositionUpdates, pushed_positions};
pub use pushed_pose::PushedPose;

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
/// // A HALT ends the motion, and the wait for it.
/// let mut motion = stage.move_to(Axis::Y, Mm(25.0)).await?;
/// stage.halt(Axis::Y).await?;
/// assert!(matches!(motion.wait().await, Err(Error::Halted { axis: Axis::Y })));
/// // A target with the wrong unit or outside the limits is refused before anything is sent.
/// assert!(stage.move_to(Axis::X, Degrees(5.0)).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Stage {
    microscope: Microscope,
}

/// The velocity of an axis, in the unit of that axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Velocity {
    /// A velocity of X, Y or Z, in mm/s.
    MmPerSecond(f64),
    /// A velocity of R, in degrees/s.
    DegreesPerSecond(f64),
}

impl fmt::Display for Velocity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MmPerSecond(value) => write!(f, "{value} mm/s"),
            Self::DegreesPerSecond(value) => write!(f, "{value} degrees/s"),
        }
    }
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

    /// The position of an axis, in mm, R in degrees: STAGE_POSITION_GET (0x6008). The instrument
    /// pushes positions with the same code during motions; a push is never taken for the answer.
    ///
    /// A linear axis that moves may answer exactly 0. If 0 is outside of its limits, that is
    /// [`Error::PositionUnknown`], never a position.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`], [`Error::Implausible`],
    /// [`Error::PositionUnknown`].
    pub async fn position(&self, axis: Axis) -> Result<Reading<Position>, Error> {
        let what = format!("position of axis {axis}");
        let frame = Frame::command(CommandCode::STAGE_POSITION_GET);
        let frame = frame.with_selector(axis.selector());
        let read = self.microscope.read(&what, frame, |answer| position(axis, &what, answer));
        let Reading { value, answer } = read.await?;
        if self.says_nothing(axis, value).await {
            return Err(Error::PositionUnknown { axis, answer: Box::new(answer) });
        }
        Ok(Reading { value, answer })
    }

    /// Whether this is the 0 of a linear axis that moves: 0 is outside of its limits. Without limits, an
    /// axis that this program moves counts as such.
    async fn says_nothing(&self, axis: Axis, position: Position) -> bool {
        if axis == Axis::R || position.value() != 0.0 {
            return false;
        }
        match self.microscope.settings().get().await {
            Ok(settings) if settings.limits(axis).is_known() => {
                settings.limits(axis).check(axis, position).is_err()
            }
            _ => self.microscope.is_moving(axis),
        }
    }

    /// The positions of all four axes. Each axis is asked with a frame of its own, all at the same
    /// time, because the instrument does not answer for axis 255.
    ///
    /// # Errors
    /// As [`Self::position`], for the first axis that fails.
    pub async fn pose(&self) -> Result<Pose, Error> {
        // Boxed: the futures of four requests together are large.
        let [x, y, z, r] = Axis::ALL.map(|axis| Box::pin(self.position(axis)));
        let ((x, y), (z, r)) = zip(zip(x, y), zip(z, r)).await;
        let mm = |position: Result<Reading<Position>, Error>| {
            position.map(|position| Mm(position.value.value()))
        };
        Ok(Pose { x: mm(x)?, y: mm(y)?, z: mm(z)?, r: Degrees(r?.value.value()) })
    }

    /// The positions that the instrument pushes during motions, from now on: about 40 per second for
    /// each axis that moves.
    #[must_use]
    pub fn position_updates(&self) -> PositionUpdates {
        PositionUpdates::new(self.microscope.client())
    }

    /// Asks for the pose once and follows it from now on. Use it to know the pose for each image
    /// without asking each time.
    ///
    /// # Errors
    /// As [`Self::pose`].
    pub async fn pose_tracker(&self) -> Result<PoseTracker, Error> {
        PoseTracker::new(self.clone(), self.microscope.client()).await
    }

    /// The limits of an axis in the scope settings. An end that they do not name is `None`.
    ///
    /// # Errors
    /// As [`crate::SettingsStore::load`], if the settings were not loaded before.
    pub async fn limits(&self, axis: Axis) -> Result<StageLimits, Error> {
        Ok(self.microscope.settings().get().await?.limits(axis).clone())
    }

    /// Moves an axis to a target: STAGE_POSITION_SET (0x6004). Returns the motion when the
    /// instrument has acknowledged the command. The motion listens before the command is sent,
    /// because a motion of a few µm may end before its acknowledgement is read.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: the target is outside the limits, not finite, or in the wrong unit.
    /// [`Error::Unsupported`]: the settings do not name both limits of the axis. In both cases
    /// nothing was sent. [`Error::Refused`]: the axis does not move. [`Error::Halted`]: a HALT
    /// cancelled the command. [`Error::Timeout`]: the axis may be moving; halt it, or ask for its
    /// position. [`Error::ConnectionLost`].
    pub async fn move_to(&self, axis: Axis, target: impl Into<Position>) -> Result<Motion, Error> {
        let target = target.into();
        self.check_targets(&[(axis, target)]).await?;
        self.move_unchecked(axis, target).await
    }

    /// Moves several axes at the same time. All targets are checked before anything is sent. If the
    /// instrument refuses one of them, all these axes are halted.
    ///
    /// # Errors
    /// As [`Self::move_to`]. [`Error::OutOfRange`] also if an axis is named twice.
    pub async fn move_together(&self, targets: &[(Axis, Position)]) -> Result<Motions, Error> {
        self.check_targets(targets).await?;
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

    /// Like [`Self::move_to`], but does not check the limits: for an instrument whose settings name
    /// none. NaN, infinities and the wrong unit are still refused.
    ///
    /// # Errors
    /// As [`Self::move_to`].
    pub async fn move_unchecked(
        &self,
        axis: Axis,
        target: impl Into<Position>,
    ) -> Result<Motion, Error> {
        let target = target.into();
        check_target(axis, target)?;
        let frame = Frame::command(CommandCode::STAGE_POSITION_SET);
        let frame = frame.with_selector(axis.selector()).with_value(target.value());
        Motion::acknowledged(&self.microscope, axis, target, frame).await
    }

    /// Moves an axis to its home position: STAGE_HOME (0x6002). This is a long motion and no stop.
    /// The instrument may acknowledge it only at its end, so the method returns the motion as soon
    /// as the command is sent.
    ///
    /// # Errors
    /// [`Error::Superseded`]: a HALT cancelled the command before it was sent.
    /// [`Error::ConnectionLost`], and the errors of [`crate::SettingsStore::load`]. A refusal ends
    /// the motion: [`Motion::wait`] returns it.
    pub async fn home(&self, axis: Axis) -> Result<Motion, Error> {
        let target = self.microscope.settings().get().await?.home(axis);
        let frame = Frame::command(CommandCode::STAGE_HOME).with_selector(axis.selector());
        Motion::sent(&self.microscope, axis, target, frame).await
    }

    /// Lets an axis search for its reference: STAGE_FIND_REFERENCE (0x6001). Returns like
    /// [`Self::home`].
    ///
    /// # Errors
    /// As [`Self::home`].
    pub async fn find_reference(&self, axis: Axis) -> Result<Motion, Error> {
        let frame = Frame::command(CommandCode::STAGE_FIND_REFERENCE);
        let frame = frame.with_selector(axis.selector());
        Motion::sent(&self.microscope, axis, None, frame).await
    }

    /// Stops an axis: STAGE_HALT (0x6003). It is sent before everything that is queued. Every
    /// [`Motion`] of the axis ends with [`Error::Halted`]. Dropping the future does not cancel the
    /// HALT.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`]: the axis may still be
    /// moving.
    pub async fn halt(&self, axis: Axis) -> Result<(), Error> {
        let what = format!("halt of axis {axis}, which may still be moving");
        let answer = self.microscope.client().halt(axis.selector()).await;
        let answer = answer.map_err(|error| Error::of(&what, error))?;
        succeeded(&what, answer).map(|_| ())
    }

    /// Stops all axes with one HALT for each of them, all at the same time, because it is not known
    /// whether HALT works with axis 255. If one fails, the others are still sent.
    ///
    /// # Errors
    /// As [`Self::halt`], for the first axis that fails.
    pub async fn halt_all(&self) -> Result<(), Error> {
        self.halt_each(&Axis::ALL).await
    }

    /// Stops these axes. Each axis must occur at most once.
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

    /// Sets the velocity of an axis, in mm/s, R in degrees/s: STAGE_VELOCITY_SET (0x6009). Only the
    /// instrument knows the upper limit.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: the velocity is not above 0, not finite, or not in the unit of the
    /// axis; nothing was sent. [`Error::Refused`], [`Error::Timeout`], [`Error::ConnectionLost`].
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
            return Err(Error::OutOfRange { what, expected, found: velocity.to_string() });
        };
        let frame = Frame::command(CommandCode::STAGE_VELOCITY_SET);
        let frame = frame.with_selector(axis.selector()).with_value(value);
        self.microscope.ask(&what, frame).await.map(|_| ())
    }

    /// Checks that each target is within both limits of its axis.
    async fn check_targets(&self, targets: &[(Axis, Position)]) -> Result<(), Error> {
        for (axis, target) in targets {
            check_target(*axis, *target)?;
        }
        let settings = self.microscope.settings().get().await?;
        for (axis, target) in targets {
            let limits = settings.limits(*axis);
            limits.check(*axis, *target)?;
            limits.known().map_err(|why| Error::Unsupported {
                what: format!("move of axis {axis}"),
                why: format!("{why}; nothing was sent"),
            })?;
        }
        Ok(())
    }
}

/// Checks that a target is finite and in the unit of the axis.
fn check_target(axis: Axis, target: Position) -> Result<(), Error> {
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
