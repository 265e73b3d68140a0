//! Motions of several axes that were started together. One motion is in `motion.rs`.

use smol::future::zip;

use super::{Arrival, Motion, Stage};
use crate::Error;
use crate::axis::Axis;
use crate::units::Position;

/// The motions of several axes that were started together. Dropping it does not stop the axes.
#[derive(Debug)]
pub struct Motions(Vec<Motion>);

impl Motions {
    /// Sends all commands at once, without waiting for one acknowledgement before the next command.
    pub(super) async fn begin(stage: &Stage, targets: &[(Axis, Position)]) -> Result<Self, Error> {
        // Each axis occurs once, so there are at most four.
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| Box::pin(begin(stage, targets.get(at).copied())));
        let ((a, b), (c, d)) = zip(zip(a, b), zip(c, d)).await;
        let (mut motions, mut failed) = (Vec::new(), None);
        for begun in [a, b, c, d] {
            match begun {
                Ok(motion) => motions.extend(motion),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let Some(error) = failed else { return Ok(Self(motions)) };
        // All axes, because an axis whose command was not answered may be moving. The first error
        // matters more to the caller than a HALT that fails as well.
        let axes: Vec<Axis> = targets.iter().map(|(axis, _)| *axis).collect();
        let _ = stage.halt_each(&axes).await;
        Err(error)
    }

    /// The motion of each axis, in the order of the targets.
    #[must_use]
    pub fn each(&self) -> &[Motion] {
        &self.0
    }

    /// Waits until all motions have ended.
    ///
    /// Cancel-safe: the next call knows the motions that have ended before.
    ///
    /// # Errors
    /// As [`Motion::wait`], for the first motion that fails, after all of them have ended.
    pub async fn wait(&mut self) -> Result<Vec<Arrival>, Error> {
        let (mut arrivals, mut failed) = (Vec::new(), None);
        for motion in &mut self.0 {
            match motion.wait().await {
                Ok(arrival) => arrivals.push(arrival),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(arrivals), Err)
    }

    /// Stops all these axes.
    ///
    /// # Errors
    /// As [`Stage::halt`], for the first axis that fails.
    pub async fn halt(&self) -> Result<(), Error> {
        let axes: Vec<Axis> = self.0.iter().map(Motion::axis).collect();
        match self.0.first() {
            Some(motion) => motion.stage().halt_each(&axes).await,
            None => Ok(()),
        }
    }
}

async fn begin(stage: &Stage, target: Option<(Axis, Position)>) -> Result<Option<Motion>, Error> {
    match target {
        Some((axis, target)) => stage.move_unchecked(axis, target).await.map(Some),
        None => Ok(None),
    }
}
