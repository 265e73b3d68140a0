//! Where the stage is, kept up to date without asking for every image.

use flamingo_protocol_core::CommandCode;

use super::progress::Progress;
use super::{Error, Stage};
use crate::axis::Axis;
use crate::client::Client;
use crate::fanout::{Event, Subscription};
use crate::units::{Degrees, Mm, Pose, Position};

/// The pose of the stage at any time: asked for once, then as the pushes tell it; an axis whose
/// motion has ended is asked once more, since no push tells where it came to rest.
#[derive(Debug)]
pub struct Whereabouts {
    stage: Stage,
    pose: Pose,
    progress: Progress,
    stops: Subscription,
    /// X, Y, Z and R: whose motion has ended since it was asked.
    stopped: [bool; 4],
}

impl Whereabouts {
    pub(super) async fn new(stage: Stage, client: &Client) -> Result<Self, Error> {
        let stops = client.subscribe(&[CommandCode::STAGE_MOTION_STOPPED]);
        let progress = stage.progress();
        let pose = stage.pose().await?;
        Ok(Self { stage, pose, progress, stops, stopped: [false; 4] })
    }

    /// Where the stage is now, as far as it was told.
    ///
    /// Cancel-safe: an axis that was to be asked is asked by the next call.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`]. An answer that does not come leaves the last push standing.
    pub async fn now(&mut self) -> Result<Pose, Error> {
        while let Some(update) = self.progress.try_next() {
            self.set(update.axis, update.position);
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
                Ok(position) => self.set(axis, position.value),
                Err(error @ Error::ConnectionLost { .. }) => return Err(error),
                Err(_) => {}
            }
            self.stopped[axis as usize] = false;
        }
        Ok(self.pose)
    }

    fn set(&mut self, axis: Axis, position: Position) {
        let value = position.value();
        match axis {
            Axis::X => self.pose.x = Mm(value),
            Axis::Y => self.pose.y = Mm(value),
            Axis::Z => self.pose.z = Mm(value),
            Axis::R => self.pose.r = Degrees(value),
        }
    }
}
