//! Where the stage is, kept up to date without asking for every image.

use std::collections::VecDeque;
use std::time::SystemTime;

use flamingo_protocol_core::CommandCode;

use super::{PositionUpdate, PositionUpdates, Stage};
use crate::Error;
use crate::axis::Axis;
use crate::units::{Degrees, Mm, Pose};
use flamingo_runtime_std::Client;
use flamingo_runtime_std::{Event, Subscription};

/// Updates that are remembered: a push tells of up to four axes, so this is what four moving axes
/// push in more than 20 seconds.
const REMEMBERED: usize = 16 * 1024;

/// The pose of the stage at any time: asked for once, then as the pushes tell it; an axis whose
/// motion has ended is asked once more, since no push tells where it came to rest.
#[derive(Debug)]
pub struct PoseTracker {
    stage: Stage,
    /// Before the oldest update that is remembered.
    pose: Pose,
    updates: VecDeque<PositionUpdate>,
    position_updates: PositionUpdates,
    stops: Subscription,
    /// X, Y, Z and R: whose motion has ended since it was asked.
    stopped: [bool; 4],
}

impl PoseTracker {
    pub(super) async fn new(stage: Stage, client: &Client) -> Result<Self, Error> {
        let stops = client.subscribe(&[CommandCode::STAGE_MOTION_STOPPED]);
        let position_updates = stage.position_updates();
        let pose = stage.pose().await?;
        let updates = VecDeque::new();
        Ok(Self { stage, pose, updates, position_updates, stops, stopped: [false; 4] })
    }

    /// Where the stage is now, as far as it was told.
    ///
    /// Cancel-safe: an axis that was to be asked is asked by the next call.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`]. An answer that does not come leaves the last push standing.
    pub async fn now(&mut self) -> Result<Pose, Error> {
        self.listen().await?;
        Ok(self.until(None))
    }

    /// Where the stage was at this time of the host, such as that of an image; at most some seconds
    /// ago.
    ///
    /// Cancel-safe, as [`Self::now`] is.
    ///
    /// # Errors
    /// As [`Self::now`].
    pub async fn at(&mut self, time: SystemTime) -> Result<Pose, Error> {
        self.listen().await?;
        Ok(self.until(Some(time)))
    }

    async fn listen(&mut self) -> Result<(), Error> {
        while let Some(update) = self.position_updates.try_next() {
            self.remember(update);
        }
        while let Some(event) = self.stops.try_next() {
            let selector = match event {
                Event::Frame(event) => event.frame.selector(),
                // Something was missed: ask all.
                Event::Lagged(_) | Event::Reconnected => 255,
                _ => continue,
            };
            for axis in Axis::ALL {
                self.stopped[axis as usize] |= [axis.selector(), 255].contains(&selector);
            }
        }
        for axis in Axis::ALL {
            if !self.stopped[axis as usize] {
                continue;
            }
            match self.stage.position(axis).await {
                Ok(position) => {
                    let at = position.answer.at;
                    self.remember(PositionUpdate { axis, position: position.value, at });
                }
                Err(error @ Error::ConnectionLost { .. }) => return Err(error),
                Err(_) => {}
            }
            self.stopped[axis as usize] = false;
        }
        Ok(())
    }

    fn remember(&mut self, update: PositionUpdate) {
        if self.updates.len() == REMEMBERED
            && let Some(oldest) = self.updates.pop_front()
        {
            set(&mut self.pose, &oldest);
        }
        self.updates.push_back(update);
    }

    /// With the updates that came by then; all of them for `None`.
    fn until(&self, time: Option<SystemTime>) -> Pose {
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
