//! What a workflow makes: stacks, images, repetitions, and the shortest time for them.

use std::time::Duration;

use super::{LASERS_TOGETHER, OPTIONS, StackOption, Workflow, WorkflowError};
use crate::units::{Mm, Percent};

/// The largest overlap of two tiles. The server takes a larger one for this one.
pub(super) const MOST_OVERLAP: f64 = 50.0;

/// What one image shows of the sample: the size of the image times the size of a pixel. The file does
/// not contain it; [`crate::Camera::field_of_view`] asks for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldOfView {
    /// The extent in X.
    pub width: Mm,
    /// The extent in Y.
    pub height: Mm,
}

impl Workflow {
    /// The number of stacks of one repetition; `None` if the file does not determine it. One stack is
    /// made for each laser that is on, and for each tile. Tiles are counted only if the field of view
    /// is known.
    ///
    /// ```
    /// use flamingo_microscope::units::Mm;
    /// use flamingo_microscope::workflow::{FieldOfView, Workflow};
    /// let file = b"<Workflow Settings>\n<Stack Settings>\nStack option = Tile\n\
    ///     Stack option settings 1 = 10\nStack option settings 2 = 0\n</Stack Settings>\n\
    ///     <Start Position>\nX (mm) = 7\nY (mm) = 15\n</Start Position>\n\
    ///     <End Position>\nX (mm) = 9\nY (mm) = 15\n</End Position>\n</Workflow Settings>\n";
    /// let workflow = Workflow::parse(file)?;
    /// assert_eq!(workflow.stacks(None)?, None);
    /// let view = FieldOfView { width: Mm(0.5), height: Mm(0.5) };
    /// // (2 + 0.5) / (0.5 × 0.9) is 5.6, so there are 6 tiles in X.
    /// assert_eq!(workflow.stacks(Some(view))?, Some(6));
    /// # Ok::<(), flamingo_microscope::workflow::WorkflowError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn stacks(&self, view: Option<FieldOfView>) -> Result<Option<u32>, WorkflowError> {
        let tiles = match self.stack_option()? {
            StackOption::ZStack => Some(1),
            StackOption::Tile { overlap_x, overlap_y } => {
                let ranges = (self.range("X (mm)")?, self.range("Y (mm)")?);
                let (Some(view), (Some(x), Some(y))) = (view, ranges) else { return Ok(None) };
                let across = tiles(x, view.width, overlap_x);
                Some(across.saturating_mul(tiles(y, view.height, overlap_y)))
            }
            StackOption::Other(_) => None,
        };
        let lasers = self.lasers()?.iter().filter(|laser| laser.on).count();
        let lasers = u32::try_from(lasers).unwrap_or(u32::MAX).max(1);
        // What the server makes of several lasers in one stack is not known.
        let counted = lasers == 1 || !self.lasers_together();
        Ok(tiles.filter(|_| counted).map(|tiles| tiles.saturating_mul(lasers)))
    }

    /// The number of images of one repetition, for one camera; `None` if it is not determined.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn images(&self, view: Option<FieldOfView>) -> Result<Option<u64>, WorkflowError> {
        let counted = self.stacks(view)?.zip(self.planes()?);
        Ok(counted.map(|(stacks, planes)| u64::from(stacks) * u64::from(planes)))
    }

    /// The number of repetitions: one, and one more for each interval within the duration.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn repetitions(&self) -> Result<u64, WorkflowError> {
        let (duration, interval) = (self.duration()?, self.interval()?);
        let seconds = |time: Option<Duration>| time.map_or(0, |time| time.as_secs());
        Ok(1 + seconds(duration).checked_div(seconds(interval)).unwrap_or(0))
    }

    /// The shortest time for the images of one repetition, without the motions between the stacks;
    /// `None` if it is not determined.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn acquisition_time(
        &self,
        view: Option<FieldOfView>,
    ) -> Result<Option<Duration>, WorkflowError> {
        let rate = self.frame_rate()?.filter(|rate| *rate > 0.0);
        let (Some(rate), Some(images)) = (rate, self.images(view)?) else { return Ok(None) };
        #[allow(clippy::cast_precision_loss)] // an estimate
        let seconds = images as f64 / rate;
        Ok(Duration::try_from_secs_f64(seconds).ok())
    }

    /// The distance between the start and the end position; zero if there is only a start position.
    fn range(&self, axis: &str) -> Result<Option<f64>, WorkflowError> {
        let Some(start) = self.number(super::START, axis)? else { return Ok(None) };
        let end = self.number(super::END, axis)?.unwrap_or(start);
        Ok(Some((end - start).abs()))
    }

    /// Whether the file asks for all lasers in one stack.
    fn lasers_together(&self) -> bool {
        let value = self.words(OPTIONS, LASERS_TOGETHER);
        value.is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }
}

/// The number of tiles of one axis. Start and end position are the centres of the corner tiles.
fn tiles(range: f64, view: Mm, overlap: Percent) -> u32 {
    let overlap = overlap.0.clamp(0.0, MOST_OVERLAP) / 100.0;
    let tiles = ((range + view.0) / (view.0 * (1.0 - overlap))).ceil().max(1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it saturates
    let tiles = tiles as u32;
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(option: &str, overlaps: [&str; 2], lasers: &[u8], together: &str) -> Workflow {
        let [x, y] = overlaps;
        let lasers: Vec<String> =
            (1..).zip(lasers).map(|(number, on)| format!("Laser {number} = 5.00 {on}")).collect();
        let text = format!(
            "<Workflow Settings>\n<Stack Settings>\nNumber of planes = 4\nStack option = {option}\n\
             Stack option settings 1 = {x}\nStack option settings 2 = {y}\n</Stack Settings>\n\
             <Start Position>\nX (mm) = 9.5\nY (mm) = 15\n</Start Position>\n\
             <End Position>\nX (mm) = 7.5\nY (mm) = 16\n</End Position>\n\
             <Illumination Source>\n{}\n</Illumination Source>\n<Illumination Options>\n\
             Run stack with multiple lasers on = {together}\n</Illumination Options>\n\
             </Workflow Settings>\n",
            lasers.join("\n")
        );
        Workflow::parse(text.as_bytes()).unwrap()
    }

    const VIEW: Option<FieldOfView> = Some(FieldOfView { width: Mm(0.5), height: Mm(0.4) });

    #[test]
    fn tiles_follow_from_overlap_and_field_of_view() {
        for (overlaps, tiles) in [
            // X: 2.5 mm in steps of 0.5 mm. Y: 1.4 mm in steps of 0.4 mm.
            (["0", "0"], 5 * 4),
            (["", ""], 5 * 4),
            (["10", "10"], 6 * 4),
            (["10.5", "10.5"], 6 * 4),
            (["50", "50"], 10 * 7),
            // Clamped to 0 and 50.
            (["80", "-3"], 10 * 4),
        ] {
            for (lasers, times) in [(&[1, 0][..], 1), (&[1, 1], 2), (&[0, 0], 1)] {
                let workflow = workflow("Tile", overlaps, lasers, "false");
                assert_eq!(workflow.stacks(VIEW), Ok(Some(tiles * times)), "{overlaps:?}");
                let images = u64::from(tiles * times * 4);
                assert_eq!(workflow.images(VIEW), Ok(Some(images)), "{overlaps:?}");
                assert_eq!(workflow.stacks(None), Ok(None), "the field of view is not known");
            }
        }
    }

    #[test]
    fn tiles_of_a_camera_of_2048_pixels_are_counted() {
        let text = "<Workflow Settings>\n<Stack Settings>\nStack option = Tile\n\
            Stack option settings 1 = 10.5\nStack option settings 2 = 10.5\n</Stack Settings>\n\
            <Start Position>\nX (mm) = 7.5\nY (mm) = 15\n</Start Position>\n\
            <End Position>\nX (mm) = 10.7\nY (mm) = 16.34\n</End Position>\n</Workflow Settings>\n";
        // 2048 pixels of 0.000253 mm.
        let view = FieldOfView { width: Mm(0.518_144), height: Mm(0.518_144) };
        let stacks = |text: &str| Workflow::parse(text.as_bytes()).unwrap().stacks(Some(view));
        // X: 3.718144 mm in steps of 0.46373888 mm are 8.02. Y: 1.858144 mm are 4.01.
        assert_eq!(stacks(text), Ok(Some(9 * 5)));
        // In steps of 0.4663296 mm they are 7.97 and 3.98.
        assert_eq!(stacks(&text.replace("10.5", "10")), Ok(Some(8 * 4)));
    }

    #[test]
    fn each_laser_that_is_on_makes_a_stack() {
        for (lasers, stacks) in [(&[0, 0, 0][..], 1), (&[0, 1, 0], 1), (&[1, 1, 1], 3)] {
            assert_eq!(workflow("ZStack", ["", ""], lasers, "").stacks(None), Ok(Some(stacks)));
        }
        let together = workflow("ZStack", ["", ""], &[1, 1], "true");
        assert_eq!((together.stacks(None), together.images(None)), (Ok(None), Ok(None)));
        assert_eq!(workflow("ZStack", ["", ""], &[1, 0], "true").stacks(None), Ok(Some(1)));
    }

    #[test]
    fn stacks_of_other_options_are_not_counted() {
        for option in ["OPT", "ZSweep", "None", "Spiral"] {
            assert_eq!(workflow(option, ["", ""], &[1], "").stacks(VIEW), Ok(None), "{option}");
        }
    }
}
