//! A workflow file: the text that CAMERA_WORK_FLOW_START (0x3004) uploads.
//!
//! Reading it is here; `light.rs` reads its lasers, LED and paths; `values.rs` reads its numbers and
//! times; `check.rs` finds errors; `change.rs` sets values. The form of the text is in `sections/`.
//! Running a workflow is in the folder `workflows/` of this crate.

mod change;
mod check;
mod light;
mod values;

use std::time::Duration;

pub use check::{Finding, Severity};
pub use light::LaserLine;

use crate::axis::Axis;
use crate::files::sections::{SectionError, SectionText, ValueError};
use crate::units::{Degrees, Micros, Mm, MmPerSecond, Percent, Pose, Position};

const ROOT: &str = "Workflow Settings";
const EXPERIMENT: &str = "Experiment Settings";
const STACK: &str = "Stack Settings";
const START: &str = "Start Position";
const END: &str = "End Position";
const SOURCE: &str = "Illumination Source";
const PATH: &str = "Illumination Path";

/// A workflow file. A value that the file does not contain, or that is empty, is `None`.
///
/// ```
/// use flamingo_microscope::units::Micros;
/// use flamingo_microscope::workflow::Workflow;
/// let file = b"<Workflow Settings>\r\n  <Experiment Settings>\r\n    \
///     Exposure time (us) = 9,002\r\n  </Experiment Settings>\r\n</Workflow Settings>\r\n";
/// let mut workflow = Workflow::parse(file)?;
/// assert_eq!(workflow.bytes(), file);
/// assert_eq!(workflow.exposure()?, Some(Micros(9_002)));
/// workflow.set_exposure(Micros(12_000))?;
/// assert!(workflow.bytes().ends_with(b"= 12000\r\n  </Experiment Settings>\r\n</Workflow Settings>\r\n"));
/// # Ok::<(), flamingo_microscope::workflow::WorkflowError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    text: SectionText,
    bytes: Vec<u8>,
}

/// Why a workflow file cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// The text does not have the form of sections.
    #[error(transparent)]
    Form(#[from] SectionError),
    /// The text is no workflow.
    #[error("expected a section <{ROOT}>, found none; is it a workflow file?")]
    NoWorkflow,
    /// A value cannot be read.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The file has no line for the value.
    #[error("expected a line `{name} =` in <{section}>, found none; add it to the file")]
    Missing {
        /// The section.
        section: &'static str,
        /// The name of the value.
        name: String,
    },
}

/// The layout of the stacks of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackOption {
    /// One stack.
    ZStack,
    /// A grid of stacks between the start and the end position.
    Tile {
        /// The number of stacks side by side: `Stack option settings 1`.
        across: u32,
        /// The number of stacks one above the other: `Stack option settings 2`.
        down: u32,
    },
    /// Another option, as the file names it.
    Other(String),
}

impl Workflow {
    /// Reads a workflow file. Only the form is checked here; each value is read by its method, and
    /// all of them by [`Self::check`].
    ///
    /// # Errors
    /// [`WorkflowError::Form`] with the line; [`WorkflowError::NoWorkflow`].
    pub fn parse(file: &[u8]) -> Result<Self, WorkflowError> {
        let text = SectionText::parse(file)?;
        if !text.has_section(ROOT) {
            return Err(WorkflowError::NoWorkflow);
        }
        Ok(Self { text, bytes: file.to_vec() })
    }

    /// The bytes of the file, as they are uploaded.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The exposure time.
    ///
    /// # Errors
    /// [`WorkflowError::Value`]: the value cannot be read; the error has the line.
    pub fn exposure(&self) -> Result<Option<Micros>, WorkflowError> {
        Ok(self.whole(EXPERIMENT, "Exposure time (us)")?.map(Micros))
    }

    /// The frame rate, in images per second.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn frame_rate(&self) -> Result<Option<f64>, WorkflowError> {
        self.number(EXPERIMENT, "Frame rate (f/s)")
    }

    /// The distance from one plane to the next.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn plane_spacing(&self) -> Result<Option<Mm>, WorkflowError> {
        Ok(self.number(EXPERIMENT, "Plane spacing (um)")?.map(|um| Mm(um / 1000.0)))
    }

    /// The number of planes of a stack.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn planes(&self) -> Result<Option<u32>, WorkflowError> {
        self.whole(STACK, "Number of planes")
    }

    /// The distance that Z moves in a stack; negative if it moves down.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn depth(&self) -> Result<Option<Mm>, WorkflowError> {
        Ok(self.number(STACK, "Change in Z axis (mm)")?.map(Mm))
    }

    /// The velocity of Z in a stack.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn z_velocity(&self) -> Result<Option<MmPerSecond>, WorkflowError> {
        Ok(self.number(STACK, "Z stage velocity (mm/s)")?.map(MmPerSecond))
    }

    /// The layout of the stacks; [`StackOption::ZStack`] if the file does not name one.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn stack_option(&self) -> Result<StackOption, WorkflowError> {
        let option = self.words(STACK, "Stack option").unwrap_or_default();
        Ok(match option.as_str() {
            "" | "ZStack" => StackOption::ZStack,
            "Tile" => StackOption::Tile {
                across: self.whole(STACK, "Stack option settings 1")?.unwrap_or(1),
                down: self.whole(STACK, "Stack option settings 2")?.unwrap_or(1),
            },
            _ => StackOption::Other(option),
        })
    }

    /// How long the workflow is repeated; zero means once.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn duration(&self) -> Result<Option<Duration>, WorkflowError> {
        self.time(EXPERIMENT, "Duration (dd:hh:mm:ss)")
    }

    /// The time from the start of one repetition to the start of the next.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn interval(&self) -> Result<Option<Duration>, WorkflowError> {
        self.time(EXPERIMENT, "Interval (dd:hh:mm:ss)")
    }

    /// The start position; `None` if one of the four axes is missing.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn start(&self) -> Result<Option<Pose>, WorkflowError> {
        self.pose(START)
    }

    /// The end position; `None` if one of the four axes is missing.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn end(&self) -> Result<Option<Pose>, WorkflowError> {
        self.pose(END)
    }

    /// The end position of one axis.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn end_of(&self, axis: Axis) -> Result<Option<Position>, WorkflowError> {
        Ok(self.number(END, axis_name(axis))?.map(|at| Position::of(axis, at)))
    }

    /// The lasers, in the order of the file.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn lasers(&self) -> Result<Vec<LaserLine>, WorkflowError> {
        light::lasers(&self.text)
    }

    /// The brightness of the LED, and whether it is on.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn led(&self) -> Result<Option<(Percent, bool)>, WorkflowError> {
        light::led(&self.text)
    }

    /// Whether the left and the right illumination path are open.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn paths(&self) -> Result<[Option<bool>; 2], WorkflowError> {
        Ok([light::path(&self.text, "Left path")?, light::path(&self.text, "Right path")?])
    }

    /// The drive that images are saved to.
    #[must_use]
    pub fn save_drive(&self) -> Option<String> {
        self.words(EXPERIMENT, "Save image drive")
    }

    /// The directory on that drive.
    #[must_use]
    pub fn save_directory(&self) -> Option<String> {
        self.words(EXPERIMENT, "Save image directory")
    }

    /// The format of the saved images, such as `Tiff` or `Raw`.
    #[must_use]
    pub fn save_format(&self) -> Option<String> {
        self.words(EXPERIMENT, "Save image data")
    }

    /// The comments.
    #[must_use]
    pub fn comments(&self) -> Option<String> {
        self.words(EXPERIMENT, "Comments")
    }

    /// The number of stacks of one repetition.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn stacks(&self) -> Result<u32, WorkflowError> {
        Ok(match self.stack_option()? {
            StackOption::Tile { across, down } => across.max(1).saturating_mul(down.max(1)),
            StackOption::ZStack | StackOption::Other(_) => 1,
        })
    }

    /// The number of images of one repetition, for one camera.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn images(&self) -> Result<u64, WorkflowError> {
        Ok(u64::from(self.stacks()?) * u64::from(self.planes()?.unwrap_or(0)))
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

    /// The shortest time for the images of one repetition, without the motions between the stacks.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn acquisition_time(&self) -> Result<Option<Duration>, WorkflowError> {
        let rate = self.frame_rate()?.filter(|rate| *rate > 0.0);
        #[allow(clippy::cast_precision_loss)] // an estimate
        let seconds = rate.map(|rate| self.images().map(|images| images as f64 / rate));
        Ok(seconds.transpose()?.and_then(|time| Duration::try_from_secs_f64(time).ok()))
    }

    fn pose(&self, section: &'static str) -> Result<Option<Pose>, WorkflowError> {
        let axis = |axis| self.number(section, axis_name(axis));
        let (x, y, z) = (axis(Axis::X)?, axis(Axis::Y)?, axis(Axis::Z)?);
        let (Some(x), Some(y), Some(z), Some(r)) = (x, y, z, axis(Axis::R)?) else {
            return Ok(None);
        };
        Ok(Some(Pose { x: Mm(x), y: Mm(y), z: Mm(z), r: Degrees(r) }))
    }
}

const fn axis_name(axis: Axis) -> &'static str {
    match axis {
        Axis::X => "X (mm)",
        Axis::Y => "Y (mm)",
        Axis::Z => "Z (mm)",
        Axis::R => "Angle (degrees)",
    }
}

#[cfg(test)]
mod tests;
