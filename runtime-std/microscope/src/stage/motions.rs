//! Several axes on their way at the same time.

use smol::future::zip;

use super::{Arrival, Motion, Stage};
use crate::Error;
use crate::axis::Axis;
use crate::units::Position;

/// The motions of several axes that were begun together.
#[derive(Debug)]
pub struct Motions(Vec<Motion>);

impl Motions {
    /// Sends all of them, one behind the other without waiting for any acknowledgement.
    pub(super) async fn begin(stage: &Stage, targets: &[(Axis, Position)]) -> Result<Self, Error> {
        // An axis each: there are at most four.
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
        // Those that failed, too: without an answer an axis may be moving. That a HALT failed as
        // well is not what the caller must hear first.
        let axes: Vec<Axis> = targets.iter().map(|(axis, _)| *axis).collect();
        let _ = stage.halt_each(&axes).await;
        Err(error)
    }

    /// The motion of each axis, in the order in which they were named.
    #[must_use]
    pub fn each(&self) -> &[Motion] {
        &self.0
    }

    /// Until all of them have ended.
    ///
    /// Cancel-safe: what ended meanwhile is known to the next call.
    ///
    /// # Errors
    /// As [`Motion::wait`], of the first one that fails; the others are waited for all the same.
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

    /// Stops all of them.
    ///
    /// # Errors
    /// As [`Stage::halt`], of the first axis that fails.
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
