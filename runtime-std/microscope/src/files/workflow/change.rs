//! Setting values of a workflow. Each method changes its values and no other byte of the file.

use super::{END, EXPERIMENT, SOURCE, STACK, START, Workflow, WorkflowError, axis_name, light};
use crate::units::{Micros, Mm, Percent, Pose};

impl Workflow {
    /// Sets the exposure time.
    ///
    /// # Errors
    /// [`WorkflowError::Missing`]: the file has no line for the value. Nothing was changed.
    pub fn set_exposure(&mut self, exposure: Micros) -> Result<(), WorkflowError> {
        self.set(EXPERIMENT, "Exposure time (us)", &exposure.0.to_string())
    }

    /// Sets the frame rate, in images per second.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_frame_rate(&mut self, per_second: f64) -> Result<(), WorkflowError> {
        self.set(EXPERIMENT, "Frame rate (f/s)", &per_second.to_string())
    }

    /// Sets the number of planes of a stack. If the file has a plane spacing and a frame rate, the
    /// distance, the velocity and the end position of Z are set to match.
    ///
    /// # Errors
    /// As [`Self::set_exposure`], [`WorkflowError::Value`].
    pub fn set_planes(&mut self, planes: u32) -> Result<(), WorkflowError> {
        let (spacing, rate) = (self.plane_spacing()?, self.frame_rate()?);
        let start = self.start()?;
        // A stack that moves down keeps its direction.
        let down = self.depth()?.map_or(1.0, |depth| depth.0);
        // Change all values or none.
        let mut changed = self.clone();
        changed.set(STACK, "Number of planes", &planes.to_string())?;
        if let Some(Mm(spacing)) = spacing {
            let depth = rounded(spacing * f64::from(planes)).copysign(down);
            changed.set(STACK, "Change in Z axis (mm)", &depth.to_string())?;
            if let Some(rate) = rate {
                let velocity = rounded(spacing * rate).to_string();
                changed.set(STACK, "Z stage velocity (mm/s)", &velocity)?;
            }
            if let Some(start) = start {
                changed.set(END, "Z (mm)", &rounded(start.z.0 + depth).to_string())?;
            }
        }
        *self = changed;
        Ok(())
    }

    /// Sets the start position.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_start(&mut self, pose: &Pose) -> Result<(), WorkflowError> {
        self.set_pose(START, pose)
    }

    /// Sets the end position.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_end(&mut self, pose: &Pose) -> Result<(), WorkflowError> {
        self.set_pose(END, pose)
    }

    /// Sets the level of a laser, in percent, and whether it is on.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_laser(
        &mut self,
        number: u32,
        level: Percent,
        on: bool,
    ) -> Result<(), WorkflowError> {
        let name = light::laser_name(&self.text, number).ok_or_else(|| WorkflowError::Missing {
            section: SOURCE,
            name: format!("Laser {number} …"),
        })?;
        self.set(SOURCE, &name, &format!("{:.2} {}", level.0, u8::from(on)))
    }

    /// Sets the directory that images are saved to.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_save_directory(&mut self, directory: &str) -> Result<(), WorkflowError> {
        self.set(EXPERIMENT, "Save image directory", directory)
    }

    /// Sets the comments.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_comments(&mut self, comments: &str) -> Result<(), WorkflowError> {
        self.set(EXPERIMENT, "Comments", comments)
    }

    fn set_pose(&mut self, section: &'static str, pose: &Pose) -> Result<(), WorkflowError> {
        // Change all values or none.
        let mut changed = self.clone();
        for (axis, position) in pose.each() {
            changed.set(section, axis_name(axis), &position.value().to_string())?;
        }
        *self = changed;
        Ok(())
    }

    fn set(&mut self, section: &'static str, name: &str, value: &str) -> Result<(), WorkflowError> {
        if !self.text.set(section, name, value) {
            return Err(WorkflowError::Missing { section, name: name.to_owned() });
        }
        self.bytes = self.text.to_bytes();
        Ok(())
    }
}

/// Rounds to nm.
fn rounded(mm: f64) -> f64 {
    (mm * 1e6).round() / 1e6
}
