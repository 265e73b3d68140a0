//! The parts of a workflow file that the simulator uses. Running a workflow is in `workflow.rs`.

use flamingo_microscope::axis::Axis;
use flamingo_microscope::units::{Pose, Position};
use flamingo_microscope::workflow::{Workflow, WorkflowError};

/// The settings of a workflow that the simulator uses.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WorkflowPlan {
    /// X, Y, Z in mm and R in degrees.
    pub(super) start: [f64; 4],
    pub(super) end_z: f64,
    pub(super) planes: i32,
    /// Planes per second; `None` if the file does not say.
    pub(super) frame_rate: Option<f64>,
    /// The number of stacks. Tiles are taken one after the other, all at the start position.
    pub(super) stacks: i32,
    /// Number, percent, on.
    pub(super) lasers: Vec<(i32, f64, bool)>,
}

impl WorkflowPlan {
    /// Reads a workflow file. The error is the text that the instrument would send.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("work flow empty".to_owned());
        }
        Workflow::parse(bytes).and_then(|file| Self::of(&file)).map_err(|error| match error {
            WorkflowError::NoWorkflow | WorkflowError::Form(_) => "work flow is none".to_owned(),
            WorkflowError::Missing { name, .. } => format!("work flow has no {name}"),
            error => format!("work flow: {error}"),
        })
    }

    fn of(file: &Workflow) -> Result<Self, WorkflowError> {
        let missing = |section, name: &str| WorkflowError::Missing { section, name: name.into() };
        let Pose { x, y, z, r } =
            file.start()?.ok_or_else(|| missing("Start Position", "start position"))?;
        let planes = file.planes()?.and_then(|planes| i32::try_from(planes).ok());
        let planes = planes.filter(|planes| (1..=1_000_000).contains(planes));
        let lasers = file.lasers()?.into_iter().filter(|laser| (1..=4).contains(&laser.number));
        Ok(Self {
            start: [x.0, y.0, z.0, r.0],
            end_z: file.end_of(Axis::Z)?.map_or(z.0, Position::value),
            planes: planes.ok_or_else(|| missing("Stack Settings", "number of planes"))?,
            frame_rate: file.frame_rate()?.filter(|rate| *rate > 0.0),
            stacks: i32::try_from(file.stacks()?).unwrap_or(i32::MAX),
            lasers: lasers.map(|laser| (laser.number as i32, laser.level.0, laser.on)).collect(),
        })
    }

    pub(super) fn total_planes(&self) -> i32 {
        self.planes.saturating_mul(self.stacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "<Workflow Settings>\r\n  <Experiment Settings>\r\n    \
        Frame rate (f/s) = 1,040.5\r\n  </Experiment Settings>\r\n  <Camera Settings>\r\n    \
        Frame rate (f/s) =\r\n  </Camera Settings>\r\n  <Stack Settings>\r\n    \
        Number of planes = 7\r\n    Stack option = Tile\r\n    Stack option settings 1 = 2\r\n    \
        Stack option settings 2 = 3\r\n  </Stack Settings>\r\n  <Start Position>\r\n    \
        X (mm) = 2.5\r\n    Y (mm) = 13\r\n    Z (mm) = 20\r\n    Angle (degrees) = -30\r\n  \
        </Start Position>\r\n  <End Position>\r\n    Z (mm) = 20.5\r\n  </End Position>\r\n  \
        <Illumination Source>\r\n    Laser 2 2: 488 nm = 10.67 1\r\n    Laser 5 = 0.00 0\r\n  \
        </Illumination Source>\r\n</Workflow Settings>\r\n";

    #[test]
    fn a_plan_has_positions_planes_and_lasers_of_its_file() {
        let plan = WorkflowPlan::parse(FILE.as_bytes()).unwrap();
        assert_eq!(
            plan,
            WorkflowPlan {
                start: [2.5, 13.0, 20.0, -30.0],
                end_z: 20.5,
                planes: 7,
                frame_rate: Some(1040.5),
                stacks: 6,
                lasers: vec![(2, 10.67, true)],
            }
        );
        assert_eq!(plan.total_planes(), 42);
    }

    #[test]
    fn a_file_that_cannot_run_gives_a_reason() {
        assert_eq!(WorkflowPlan::parse(b""), Err("work flow empty".to_owned()));
        assert_eq!(WorkflowPlan::parse(&[0xFF, 0xFE]), Err("work flow is none".to_owned()));
        let no_planes = FILE.replace("Number of planes = 7", "Number of planes = 0");
        assert_eq!(
            WorkflowPlan::parse(no_planes.as_bytes()),
            Err("work flow has no number of planes".to_owned())
        );
    }
}
