//! One axis on its way: armed before its command is sent, followed to its end.
//!
//! What is heard of a motion is judged here. Commands are given by `stage.rs`.

use std::time::{Duration, SystemTime};

use flamingo_protocol_core::{CommandCode, Frame, Instant};
use smol::{Timer, future};

use super::{PositionUpdates, Stage};
use crate::answers::succeeded;
use crate::axis::Axis;
use crate::units::Position;
use crate::{Error, Microscope};
use flamingo_runtime_std::Answer;
use flamingo_runtime_std::Error as ClientError;
use flamingo_runtime_std::{CallId, Subscription};

/// How long the acknowledgement is still waited for when the motion has ended before it.
const OVERTAKEN: Duration = Duration::from_millis(200);
/// Every axis, in the selector of a HALT or of STAGE_MOTION_STOPPED.
pub(super) const ALL_AXES: i32 = 255;
/// What is heard of an axis besides its position.
const CODES: [CommandCode; 7] = [
    CommandCode::STAGE_MOTION_STOPPED,
    CommandCode::STAGE_HALT,
    CommandCode::STAGE_POSITION_SET,
    CommandCode::STAGE_POSITION_SET_SLIDER,
    CommandCode::STAGE_POSITION_SET_TEXT,
    CommandCode::STAGE_HOME,
    CommandCode::STAGE_FIND_REFERENCE,
];

/// A motion that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The axis.
    pub axis: Axis,
    /// When it was known, by this host's calendar.
    pub at: SystemTime,
    /// The STAGE_MOTION_STOPPED that says so. `None`: none came, but the axis stands at its target.
    pub told_by: Option<Frame>,
}

/// How a motion ended.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    Arrived { at: SystemTime, told_by: Option<Frame> },
    Halted,
    Retargeted,
    NotCompleted { status: Option<i32>, position: Option<Position> },
    Refused { reason: String },
    Lost,
}

/// What was heard that may mean its end, but may also be older than the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// An earlier motion of the axis may still have been under way.
    Earlier,
    /// Another client sent a HALT.
    Halt,
    /// Another client sent the axis somewhere.
    Elsewhere,
}

/// An axis on its way. Dropping it does not stop the axis.
#[derive(Debug)]
pub struct Motion {
    pub(super) microscope: Microscope,
    pub(super) axis: Axis,
    pub(super) code: CommandCode,
    pub(super) target: Option<Position>,
    pub(super) call: CallId,
    pub(super) events: Subscription,
    /// What was heard before the command was given says nothing of it.
    pub(super) commanded: bool,
    acknowledgement: Option<Answer>,
    pub(super) doubt: Doubt,
    /// Of the last STAGE_MOTION_STOPPED that did not say 1.
    pub(super) status: Option<i32>,
    /// A STAGE_MOTION_STOPPED that says 1, while the axis stood elsewhere.
    pub(super) told: Option<(SystemTime, Frame)>,
    /// When to ask for the position, if nothing better comes before.
    pub(super) look_at: Option<Instant>,
    pub(super) ending: Option<Ending>,
}

impl Motion {
    /// From here on nothing that happens to the axis is missed.
    fn arm(
        microscope: &Microscope,
        axis: Axis,
        target: Option<Position>,
        code: CommandCode,
    ) -> Self {
        let client = microscope.client();
        let earlier = microscope.set_moving(axis, true);
        Self {
            microscope: microscope.clone(),
            axis,
            code,
            target,
            call: client.call_id(),
            events: client.subscribe(&CODES),
            commanded: false,
            acknowledgement: None,
            doubt: if earlier { Doubt::Earlier } else { Doubt::None },
            status: None,
            told: None,
            look_at: None,
            ending: None,
        }
    }

    /// Sends the command and waits until it is acknowledged, or until the motion has ended before.
    pub(super) async fn acknowledged(
        microscope: &Microscope,
        axis: Axis,
        target: Position,
        frame: Frame,
    ) -> Result<Self, Error> {
        let what = format!("axis {axis} to {target}");
        let client = microscope.client().clone();
        let mut motion = Self::arm(microscope, axis, Some(target), frame.code);
        let mut answer = Box::pin(client.request_as(motion.call, frame));
        let first = async { Some(answer.as_mut().await) };
        let over = async {
            motion.end().await;
            None
        };
        let answer = if let Some(answer) = future::or(first, over).await {
            answer
        } else {
            let late = async { Some(answer.await) };
            let given_up = async {
                Timer::after(OVERTAKEN).await;
                None
            };
            match future::or(late, given_up).await {
                // The end of a motion is a better answer than none.
                None | Some(Err(ClientError::TimedOut { .. })) => return Ok(motion),
                Some(answer) => answer,
            }
        };
        match answer.map_err(|error| Error::of(&what, error)) {
            Ok(answer) if answer.frame.status == 0 => {
                microscope.set_moving(axis, motion.doubt == Doubt::Earlier);
                succeeded(&what, answer).map(|_| motion)
            }
            Ok(answer) => {
                motion.acknowledgement = Some(answer);
                Ok(motion)
            }
            Err(Error::Superseded { .. }) => {
                // It never began.
                microscope.set_moving(axis, motion.doubt == Doubt::Earlier);
                Err(Error::Halted { axis })
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a command that may be acknowledged only at its end.
    pub(super) async fn sent(
        microscope: &Microscope,
        axis: Axis,
        target: Option<Position>,
        frame: Frame,
    ) -> Result<Self, Error> {
        let motion = Self::arm(microscope, axis, target, frame.code);
        let sent = microscope.client().send_as(motion.call, frame).await;
        sent.map_err(|error| Error::of(&format!("{} of axis {axis}", frame.code), error))?;
        Ok(motion)
    }

    /// The axis.
    #[must_use]
    pub fn axis(&self) -> Axis {
        self.axis
    }

    /// Where it goes, in mm, R in degrees; `None` where only the instrument knows.
    #[must_use]
    pub fn target(&self) -> Option<Position> {
        self.target
    }

    /// The acknowledgement of the command. `None` where it is not waited for, and where the motion
    /// was over before it and it did not follow.
    #[must_use]
    pub fn acknowledgement(&self) -> Option<&Answer> {
        self.acknowledgement.as_ref()
    }

    /// Stops the axis; see [`Stage::halt`].
    ///
    /// # Errors
    /// As [`Stage::halt`].
    pub async fn halt(&self) -> Result<(), Error> {
        self.stage().halt(self.axis).await
    }

    pub(super) fn stage(&self) -> Stage {
        self.microscope.stage()
    }

    /// The positions that are pushed from now on, of this axis and others.
    #[must_use]
    pub fn position_updates(&self) -> PositionUpdates {
        self.stage().position_updates()
    }

    /// Until the motion has ended. Without limit of time, but not without end: when nothing is
    /// heard for [`crate::Patience::motion_silence`], the position is asked for, and an axis that stands
    /// still has ended its motion, told or not.
    ///
    /// Cancel-safe; called again, it says the same.
    ///
    /// # Errors
    /// [`Error::Halted`], whoever sent the HALT. [`Error::NotCompleted`]: STAGE_MOTION_STOPPED has
    /// another status than 1, and the axis does not stand at its target. [`Error::Retargeted`],
    /// [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn wait(&mut self) -> Result<Arrival, Error> {
        let axis = self.axis;
        match self.end().await {
            Ending::Arrived { at, told_by } => Ok(Arrival { axis, at, told_by }),
            Ending::Halted => Err(Error::Halted { axis }),
            Ending::Retargeted => Err(Error::Retargeted { axis }),
            Ending::NotCompleted { status, position } => {
                Err(Error::NotCompleted { axis, status, position, target: self.target })
            }
            Ending::Refused { reason } => Err(Error::Refused {
                what: format!("motion of axis {axis}"),
                code: self.code,
                status: 0,
                reason,
            }),
            Ending::Lost => {
                let address = self.microscope.client().address();
                let reason = "the end of the motion is not known";
                let what = format!("motion of axis {axis}");
                Err(Error::ConnectionLost { what, source: ClientError::lost(address, reason) })
            }
        }
    }
}
