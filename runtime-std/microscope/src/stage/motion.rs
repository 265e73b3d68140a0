//! One motion of one axis: it listens before its command is sent, and is waited for until its end.
//!
//! What the messages about a motion mean is in `motion_end.rs`. The commands are in `mod.rs`.

use std::time::{Duration, SystemTime};

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{CommandCode, Frame, time::Instant};
use smol::{Timer, future};

use super::{PositionUpdates, Stage};
use crate::answers::succeeded;
use crate::axis::Axis;
use crate::units::Position;
use crate::{Error, Microscope};
use flamingo_runtime_std::Answer;
use flamingo_runtime_std::Error as ClientError;
use flamingo_runtime_std::{CallId, Subscription};

/// If a motion ends before its acknowledgement arrives, the wait for that continues for this time.
const LATE_ACKNOWLEDGEMENT: Duration = Duration::from_millis(200);
/// The selector that means all axes in a HALT or a STAGE_MOTION_STOPPED.
pub(super) const ALL_AXES: i32 = 255;
/// The messages that a motion listens to.
const CODES: [CommandCode; 7] = [
    CommandCode::STAGE_MOTION_STOPPED,
    CommandCode::STAGE_HALT,
    CommandCode::STAGE_POSITION_SET,
    CommandCode::STAGE_POSITION_SET_SLIDER,
    CommandCode::STAGE_POSITION_SET_TEXT,
    CommandCode::STAGE_HOME,
    CommandCode::STAGE_FIND_REFERENCE,
];

/// The arrival of an axis at its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The axis.
    pub axis: Axis,
    /// When this host learned of it.
    pub at: SystemTime,
    /// The STAGE_MOTION_STOPPED that reported it. `None`: no such message came, but the axis stands
    /// at its target.
    pub message: Option<Frame>,
}

/// How a motion ended.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    Arrived { at: SystemTime, message: Option<Frame> },
    Halted,
    Retargeted,
    NotCompleted { status: Option<i32>, position: Option<Position> },
    OffTarget { position: Position, target: Position },
    Refused { reason: String },
    Lost,
}

/// Why a STAGE_MOTION_STOPPED with status 1 may not be the end of this motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// An earlier motion of the axis may not have ended before this one began.
    Earlier,
    /// Another client sent a HALT.
    Halt,
    /// Another client gave the axis another target.
    Elsewhere,
}

/// A motion of one axis. Dropping it does not stop the axis: use [`Motion::halt`].
#[derive(Debug)]
pub struct Motion {
    pub(super) microscope: Microscope,
    pub(super) axis: Axis,
    pub(super) code: CommandCode,
    pub(super) target: Option<Position>,
    pub(super) call: CallId,
    pub(super) events: Subscription,
    /// Whether the command has reached the wire. Messages before that belong to earlier motions.
    pub(super) commanded: bool,
    acknowledgement: Option<Answer>,
    pub(super) doubt: Doubt,
    /// The status of the last STAGE_MOTION_STOPPED with a status other than 1.
    pub(super) status: Option<i32>,
    /// A STAGE_MOTION_STOPPED with status 1 that arrived while `doubt` was not `None`.
    pub(super) doubtful: Option<(SystemTime, Frame)>,
    /// A STAGE_MOTION_STOPPED with status 1 that the position has still to confirm.
    pub(super) reported: Option<(SystemTime, Frame)>,
    /// When to ask for the position, unless the motion ends before.
    pub(super) ask_at: Option<Instant>,
    pub(super) ending: Option<Ending>,
}

impl Motion {
    /// Makes a motion that hears every message about the axis from now on.
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
            doubtful: None,
            reported: None,
            ask_at: None,
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
                Timer::after(LATE_ACKNOWLEDGEMENT).await;
                None
            };
            match future::or(late, given_up).await {
                // The motion has ended, so the missing acknowledgement does not matter.
                None | Some(Err(ClientError::TimedOut { .. } | ClientError::Unanswered { .. })) => {
                    return Ok(motion);
                }
                Some(answer) => answer,
            }
        };
        if matches!(answer, Err(ClientError::Unanswered { .. } | ClientError::TimedOut { .. }))
            && motion.reported.is_some()
        {
            // The end of the motion is reported, so the missing acknowledgement does not matter.
            return Ok(motion);
        }
        match answer.map_err(|error| Error::of(&what, error)) {
            Ok(answer) if answer.outcome == Status::Failure => {
                microscope.set_moving(axis, motion.doubt == Doubt::Earlier);
                succeeded(&what, answer).map(|_| motion)
            }
            Ok(answer) => {
                motion.acknowledgement = Some(answer);
                Ok(motion)
            }
            Err(Error::Superseded { .. }) => {
                // The motion never began.
                microscope.set_moving(axis, motion.doubt == Doubt::Earlier);
                Err(Error::Halted { axis })
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a command that the instrument may acknowledge only at the end of the motion.
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

    /// The target, in mm, R in degrees; `None` if only the instrument knows it.
    #[must_use]
    pub fn target(&self) -> Option<Position> {
        self.target
    }

    /// The acknowledgement of the command. `None` for [`Stage::home`] and
    /// [`Stage::find_reference`], which do not wait for it, and if the motion ended before it
    /// arrived.
    #[must_use]
    pub fn acknowledgement(&self) -> Option<&Answer> {
        self.acknowledgement.as_ref()
    }

    /// Stops the axis, like [`Stage::halt`].
    ///
    /// # Errors
    /// As [`Stage::halt`].
    pub async fn halt(&self) -> Result<(), Error> {
        self.stage().halt(self.axis).await
    }

    pub(super) fn stage(&self) -> Stage {
        self.microscope.stage()
    }

    /// The positions that the instrument pushes from now on, of this axis and others.
    #[must_use]
    pub fn position_updates(&self) -> PositionUpdates {
        self.stage().position_updates()
    }

    /// Waits until the motion has ended. There is no time limit, but the wait always ends: after
    /// [`crate::Patience::motion_silence`] without a message the position is asked for, and if the
    /// axis stands still, the motion has ended. After the message that reports its end, the position is
    /// asked for as well: firmware may clamp a target. While the instrument answers 0 outside of the
    /// limits, the motion goes on.
    ///
    /// Cancel-safe. A second call returns the same result.
    ///
    /// # Errors
    /// [`Error::Halted`]: a HALT ended the motion, from this or another client.
    /// [`Error::NotCompleted`]: the axis stands still, but not at its target.
    /// [`Error::OffTarget`]: the same, though the instrument reports success.
    /// [`Error::Retargeted`]: a later command gave the axis another target. [`Error::Refused`]: the
    /// instrument refused the command. [`Error::ConnectionLost`].
    pub async fn wait(&mut self) -> Result<Arrival, Error> {
        let axis = self.axis;
        match self.end().await {
            Ending::Arrived { at, message } => Ok(Arrival { axis, at, message }),
            Ending::Halted => Err(Error::Halted { axis }),
            Ending::Retargeted => Err(Error::Retargeted { axis }),
            Ending::NotCompleted { status, position } => {
                Err(Error::NotCompleted { axis, status, position, target: self.target })
            }
            Ending::OffTarget { position, target } => {
                Err(Error::OffTarget { axis, position, target })
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
