//! The positions that were pushed in the last seconds, and the pose that follows from them.
//!
//! `pose_tracker.rs` asks for what is not pushed; `pushed_pose.rs` never asks.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::PositionUpdate;
use crate::axis::Axis;
use crate::units::{Degrees, Mm, Pose};

/// How many updates are kept. Four axes that move push fewer than that in 20 seconds: each push has
/// the positions of up to four axes.
const KEPT_UPDATES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct PoseHistory {
    /// The pose before the oldest update that is kept.
    pose: Pose,
    updates: VecDeque<PositionUpdate>,
}

impl From<Pose> for PoseHistory {
    fn from(pose: Pose) -> Self {
        Self { pose, updates: VecDeque::new() }
    }
}

impl PoseHistory {
    pub(super) fn keep(&mut self, update: PositionUpdate) {
        if self.updates.len() == KEPT_UPDATES
            && let Some(oldest) = self.updates.pop_front()
        {
            set(&mut self.pose, &oldest);
        }
        self.updates.push_back(update);
    }

    /// The pose with the updates up to `time`; with all updates for `None`.
    pub(super) fn until(&self, time: Option<SystemTime>) -> Pose {
        let mut pose = self.pose;
        let came = |update: &&PositionUpdate| time.is_none_or(|time| update.at <= time);
        self.updates.iter().filter(came).for_each(|update| set(&mut pose, update));
        pose
    }
}

fn set(pose: &mut Pose, update: &PositionUpdate) {
    let value = update.position.value();
    match update.axis {
        Axis::X => pose.x = Mm(value),
        Axis::Y => pose.y = Mm(value),
        Axis::Z => pose.z = Mm(value),
        Axis::R => pose.r = Degrees(value),
    }
}
