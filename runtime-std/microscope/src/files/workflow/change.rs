//! What a program changes in a workflow: one value each, and no other byte.

use super::{END, EXPERIMENT, SOURCE, STACK, START, Workflow, WorkflowError, axis_name, light};
use crate::units::{Micros, Mm, Percent, Pose};

impl Workflow {
    /// Sets the exposure time.
    ///
    /// # Errors
    /// [`WorkflowError::Missing`], as all of these: nothing was changed.
    pub fn set_exposure(&mut self, exposure: Micros) -> Result<(), WorkflowError> {
        self.set(EXPERIMENT, "Exposure time (us)", &exposure.0.to_string())
    }

    /// Sets the images a second.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_frame_rate(&mut self, per_second: f64) -> Result<(), WorkflowError> {
        self.set(EXPERIMENT, "Frame rate (f/s)", &per_second.to_string())
    }

    /// Sets the planes of a stack, and with them how far and how fast Z goes and where it ends: as
    /// the plane spacing and the frame rate of the file say, where it has them.
    ///
    /// # Errors
    /// As [`Self::set_exposure`], [`WorkflowError::Value`].
    pub fn set_planes(&mut self, planes: u32) -> Result<(), WorkflowError> {
        let (spacing, rate) = (self.plane_spacing()?, self.frame_rate()?);
        let start = self.start()?;
        // A stack that goes down keeps going down.
        let down = self.depth()?.map_or(1.0, |depth| depth.0);
        // All of it or nothing.
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

    /// Sets where it begins.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_start(&mut self, pose: &Pose) -> Result<(), WorkflowError> {
        self.set_pose(START, pose)
    }

    /// Sets where it ends.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_end(&mut self, pose: &Pose) -> Result<(), WorkflowError> {
        self.set_pose(END, pose)
    }

    /// Sets a laser's level, and whether it is on.
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

    /// Sets what is noted about it.
    ///
    /// # Errors
    /// As [`Self::set_exposure`].
    pub fn set_comments(&mut self, comments: &str) -> Result<(), WorkflowError> {
        self.set(EXPERIMENT, "Comments", comments)
    }

    fn set_pose(&mut self, section: &'static str, pose: &Pose) -> Result<(), WorkflowError> {
        // All of it or nothing.
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

/// To the nearest nm.
fn rounded(mm: f64) -> f64 {
    (mm * 1e6).round() / 1e6
}
