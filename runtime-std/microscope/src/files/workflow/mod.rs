//! A workflow file: the text that CAMERA_WORK_FLOW_START (0x3004) uploads.
//!
//! Reading it is here; `light.rs` reads its lasers, LED and paths; `values.rs` reads its numbers and
//! times; `count.rs` counts stacks and images; `check.rs` and `cautions.rs` find errors and warnings;
//! `change.rs` sets values. The form of the text is in `sections/`.
//! Running a workflow is in the folder `workflows/` of this crate.

mod cautions;
mod change;
mod check;
mod count;
mod light;
mod values;

use std::time::Duration;

pub use count::FieldOfView;
pub use light::LaserLine;

pub use crate::files::finding::{Finding, Severity};

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
const OPTIONS: &str = "Illumination Options";
const PLANES: &str = "Number of planes";
const LASERS_TOGETHER: &str = "Run stack with multiple lasers on";
/// The number of planes that the server finds out.
const AUTO: &str = "auto";

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
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StackOption {
    /// One stack.
    ZStack,
    /// A grid of tiles: the start and the end position are the centres of the corner tiles.
    Tile {
        /// The overlap in X, 0 to 50 %: `Stack option settings 1`.
        overlap_x: Percent,
        /// The overlap in Y, 0 to 50 %: `Stack option settings 2`.
        overlap_y: Percent,
    },
    /// Another option, as the file names it.
    Other(String),
}

impl Workflow {
    /// Reads a workflow file. Only the form is checked here; each value is read by its method, and
    /// all of them by [`Self::check`]. Forms that are read with a warning are in
    /// [`crate::sections::SectionText::read`].
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
        Ok(self.grouped(EXPERIMENT, "Exposure time (us)")?.map(Micros))
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

    /// The number of planes of a stack. `auto` is the distance divided by the plane spacing.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub fn planes(&self) -> Result<Option<u32>, WorkflowError> {
        let entry = self.filled(STACK, PLANES);
        let Some(entry) = entry.filter(|entry| entry.value.eq_ignore_ascii_case(AUTO)) else {
            return self.whole(STACK, PLANES);
        };
        let (depth, spacing) = (self.depth()?, self.plane_spacing()?);
        let planes = depth.zip(spacing).map(|(depth, spacing)| (depth.0 / spacing.0).abs().round());
        let planes = planes.filter(|planes| (1.0..=f64::from(u32::MAX)).contains(planes));
        let expected = "a whole number, or `auto` with a distance and a plane spacing";
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range
        Ok(Some(planes.ok_or_else(|| entry.wrong(expected))? as u32))
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
        let is = |name: &str| option.eq_ignore_ascii_case(name);
        let overlap =
            |name| Ok::<_, WorkflowError>(Percent(self.number(STACK, name)?.unwrap_or(0.0)));
        if is("") || is("ZStack") {
            return Ok(StackOption::ZStack);
        }
        if !is("Tile") {
            return Ok(StackOption::Other(option));
        }
        Ok(StackOption::Tile {
            overlap_x: overlap("Stack option settings 1")?,
            overlap_y: overlap("Stack option settings 2")?,
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

    /// The lasers, in the order of the file. A laser that is there twice counts once.
    ///
    /// # Errors
    /// As [`Self::exposure`]. Also if a laser is there twice with different values.
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
        light::paths(&self.text)
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
