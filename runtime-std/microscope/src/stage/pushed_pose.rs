//! The pose of the stage as far as the pushes tell it, for a program that sends nothing.

use std::time::SystemTime;

use flamingo_protocol_core::{CommandCode, Frame};

use super::pose_history::PoseHistory;
use super::position_updates::updates;
use crate::units::{Degrees, Mm, Pose};

/// The pose of the stage by the frames that a program receives without asking. An axis that was never
/// pushed is NaN: nothing is known about it. [`super::PoseTracker`] asks instead.
///
/// ```
/// use flamingo_microscope::PushedPose;
/// use flamingo_runtime_std::Clock;
/// use flamingo_runtime_std::protocol::{CommandCode, Frame};
///
/// let mut pose = PushedPose::default();
/// assert_eq!(pose.at(Clock::wall()), None);
/// let push = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(3).with_value(19.5);
/// pose.take(&push, Clock::wall());
/// let known = pose.at(Clock::wall()).expect("Z is known");
/// assert_eq!(known.z.0, 19.5);
/// assert!(known.x.0.is_nan());
/// ```
#[derive(Debug)]
pub struct PushedPose {
    history: PoseHistory,
}

impl Default for PushedPose {
    fn default() -> Self {
        let unknown = Mm(f64::NAN);
        let pose = Pose { x: unknown, y: unknown, z: unknown, r: Degrees(f64::NAN) };
        Self { history: PoseHistory::from(pose) }
    }
}

impl PushedPose {
    /// Takes a frame that arrived at `at`. A frame without positions changes nothing.
    pub fn take(&mut self, frame: &Frame, at: SystemTime) {
        if frame.code == CommandCode::STAGE_POSITION_GET {
            for update in updates(frame, at) {
                self.history.keep(update);
            }
        }
    }

    /// The pose at a time, such as the arrival of an image, at most some seconds ago. `None`: no
    /// position is known.
    #[must_use]
    pub fn at(&self, time: SystemTime) -> Option<Pose> {
        let pose = self.history.until(Some(time));
        pose.each().iter().any(|(_, at)| at.value().is_finite()).then_some(pose)
    }
}
