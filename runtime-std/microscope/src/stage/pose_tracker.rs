//! Follows the pose of the stage, so that a program knows it for each image without asking.

use std::time::SystemTime;

use flamingo_protocol_core::CommandCode;

use super::pose_history::PoseHistory;
use super::{PositionUpdate, PositionUpdates, Stage};
use crate::Error;
use crate::axis::Axis;
use crate::units::Pose;
use flamingo_runtime_std::Client;
use flamingo_runtime_std::{Event, Subscription};

/// The pose of the stage now, and at times up to some seconds ago. The tracker asks for the pose
/// once and then follows the pushes. When the motion of an axis has ended, it asks for that position
/// once more, because no push has the position where the axis stopped.
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::Axis;
/// use flamingo_microscope::units::Mm;
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// let mut tracker = microscope.stage().pose_tracker().await?;
/// microscope.stage().move_to(Axis::X, Mm(7.6)).await?.wait().await?;
/// assert!((tracker.now().await?.x.0 - 7.6).abs() < 0.001);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PoseTracker {
    stage: Stage,
    history: PoseHistory,
    position_updates: PositionUpdates,
    stops: Subscription,
    /// Whether the motion of X, Y, Z and R has ended since its position was asked for.
    stopped: [bool; 4],
}

impl PoseTracker {
    pub(super) async fn new(stage: Stage, client: &Client) -> Result<Self, Error> {
        let stops = client.subscribe(&[CommandCode::STAGE_MOTION_STOPPED]);
        let position_updates = stage.position_updates();
        let pose = stage.pose().await?;
        let history = PoseHistory::from(pose);
        Ok(Self { stage, history, position_updates, stops, stopped: [false; 4] })
    }

    /// The pose now, as of the last push or answer.
    ///
    /// Cancel-safe: the next call asks for the positions that this one did not get.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`]. If an answer does not arrive, the last push counts.
    pub async fn now(&mut self) -> Result<Pose, Error> {
        self.update().await?;
        Ok(self.history.until(None))
    }

    /// The pose at a time on this host's clock, such as the arrival of an image. The time may be at
    /// most some seconds ago.
    ///
    /// Cancel-safe, like [`Self::now`].
    ///
    /// # Errors
    /// As [`Self::now`].
    pub async fn at(&mut self, time: SystemTime) -> Result<Pose, Error> {
        self.update().await?;
        Ok(self.history.until(Some(time)))
    }

    async fn update(&mut self) -> Result<(), Error> {
        while let Some(update) = self.position_updates.try_next() {
            self.history.keep(update);
        }
        while let Some(event) = self.stops.try_next() {
            let selector = match event {
                Event::Frame(event) => event.frame.selector(),
                // Messages were lost: ask for all axes.
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
                    self.history.keep(PositionUpdate { axis, position: position.value, at });
                }
                Err(error @ Error::ConnectionLost { .. }) => return Err(error),
                Err(_) => {}
            }
            self.stopped[axis as usize] = false;
        }
        Ok(())
    }
}
