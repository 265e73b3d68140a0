//! The parts of a workflow file that the simulator uses. Running a workflow is in `workflow.rs`.

use flamingo_microscope::axis::Axis;
use flamingo_microscope::sections::SectionText;
use flamingo_microscope::units::{Pose, Position};
use flamingo_microscope::workflow::{Workflow, WorkflowError};

use super::tiles::Tiles;

/// The settings of a workflow that the simulator uses.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WorkflowPlan {
    /// X, Y, Z in mm and R in degrees.
    pub(super) start: [f64; 4],
    pub(super) end_z: f64,
    pub(super) planes: i32,
    /// Planes per second; `None` if the file does not say.
    pub(super) frame_rate: Option<f64>,
    pub(super) tiles: Tiles,
    /// One for each laser that is on, and at least one.
    pub(super) stacks_of_a_tile: i32,
    /// Number, percent, on.
    pub(super) lasers: Vec<(i32, f64, bool)>,
}

impl WorkflowPlan {
    /// Reads a workflow file. `fov` is the field of view in X and Y, in mm. The error is the text that the instrument
    /// would send.
    pub(super) fn parse(bytes: &[u8], fov: [f64; 2]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("work flow empty".to_owned());
        }
        let file = Workflow::parse(bytes).map_err(|error| reason(&error))?;
        let mut plan = Self::of(&file).map_err(|error| reason(&error))?;
        if let Ok(text) = SectionText::parse(bytes) {
            plan.tiles = Tiles::of(&text, plan.tiles.first, plan.tiles.last, fov)?;
        }
        Ok(plan)
    }

    /// The plan of a file, with one tile from corner to corner.
    fn of(file: &Workflow) -> Result<Self, WorkflowError> {
        let missing = |section, name: &str| WorkflowError::Missing { section, name: name.into() };
        let Pose { x, y, z, r } =
            file.start()?.ok_or_else(|| missing("Start Position", "start position"))?;
        let planes = file.planes()?.and_then(|planes| i32::try_from(planes).ok());
        let planes = planes.filter(|planes| (1..=1_000_000).contains(planes));
        let end = |axis, start| file.end_of(axis).map(|end| end.map_or(start, Position::value));
        let last = [end(Axis::X, x.0)?, end(Axis::Y, y.0)?];
        let lasers = file.lasers()?;
        let lasers_on = lasers.iter().filter(|laser| laser.on).count();
        let lasers = lasers.into_iter().filter(|laser| (1..=4).contains(&laser.number));
        Ok(Self {
            start: [x.0, y.0, z.0, r.0],
            end_z: end(Axis::Z, z.0)?,
            planes: planes.ok_or_else(|| missing("Stack Settings", "number of planes"))?,
            frame_rate: file.frame_rate()?.filter(|rate| *rate > 0.0),
            tiles: Tiles { first: [x.0, y.0], last, number: [1, 1] },
            stacks_of_a_tile: i32::try_from(lasers_on).unwrap_or(i32::MAX).max(1),
            lasers: lasers.map(|laser| (laser.number as i32, laser.level.0, laser.on)).collect(),
        })
    }

    /// The number of stacks.
    pub(super) fn stacks(&self) -> i32 {
        self.tiles.count().saturating_mul(self.stacks_of_a_tile)
    }

    /// X and Y of a stack, in mm.
    pub(super) fn place_of(&self, stack: i32) -> [f64; 2] {
        self.tiles.place(stack / self.stacks_of_a_tile)
    }

    pub(super) fn total_planes(&self) -> i32 {
        self.planes.saturating_mul(self.stacks())
    }
}

fn reason(error: &WorkflowError) -> String {
    match error {
        WorkflowError::NoWorkflow | WorkflowError::Form(_) => "work flow is none".to_owned(),
        WorkflowError::Missing { name, .. } => format!("work flow has no {name}"),
        error => format!("work flow: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOV: [f64; 2] = [0.5, 0.25];
    const FILE: &str = "<Workflow Settings>\r\n  <Experiment Settings>\r\n    \
        Frame rate (f/s) = 1040.5\r\n  </Experiment Settings>\r\n  <Camera Settings>\r\n    \
        Frame rate (f/s) =\r\n  </Camera Settings>\r\n  <Stack Settings>\r\n    \
        Number of planes = 7\r\n    Stack option = Tile\r\n    Stack option settings 1 = 2\r\n    \
        Stack option settings 2 = 3\r\n  </Stack Settings>\r\n  <Start Position>\r\n    \
        X (mm) = 2.5\r\n    Y (mm) = 13\r\n    Z (mm) = 20\r\n    Angle (degrees) = -30\r\n  \
        </Start Position>\r\n  <End Position>\r\n    X (mm) = 3.5\r\n    Y (mm) = 12\r\n    Z (mm) = 20.5\r\n  </End Position>\r\n  \
        <Illumination Source>\r\n    Laser 2 2: 488 nm = 10.67 1\r\n    Laser 1 = 5 1\r\n    Laser 3 = 5 0\r\n    Laser 5 = 0.00 1\r\n  \
        </Illumination Source>\r\n</Workflow Settings>\r\n";

    #[test]
    fn a_plan_has_positions_planes_and_lasers_of_its_file() {
        let plan = WorkflowPlan::parse(FILE.as_bytes(), FOV).unwrap();
        assert_eq!(
            plan,
            WorkflowPlan {
                start: [2.5, 13.0, 20.0, -30.0],
                end_z: 20.5,
                planes: 7,
                frame_rate: Some(1040.5),
                // 3.06 and 5.15, rounded up.
                tiles: Tiles { first: [2.5, 13.0], last: [3.5, 12.0], number: [4, 6] },
                stacks_of_a_tile: 3,
                lasers: vec![(2, 10.67, true), (1, 5.0, true), (3, 5.0, false)],
            }
        );
        assert_eq!((plan.stacks(), plan.total_planes()), (72, 504));
        assert!(plan.place_of(2)[0].total_cmp(&2.5).is_eq());
        assert!((plan.place_of(3)[0] - 2.5 - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_file_that_cannot_run_gives_a_reason() {
        assert_eq!(WorkflowPlan::parse(b"", FOV), Err("work flow empty".to_owned()));
        assert_eq!(WorkflowPlan::parse(&[0xFF, 0xFE], FOV), Err("work flow is none".to_owned()));
        let no_planes = FILE.replace("Number of planes = 7", "Number of planes = 0");
        assert_eq!(
            WorkflowPlan::parse(no_planes.as_bytes(), FOV),
            Err("work flow has no number of planes".to_owned())
        );
    }
}
