//! What a simulated instrument is like: the scenario file (TOML), read and checked.
//!
//! Every key is optional; the default is a healthy instrument. Units stand in the keys. What the
//! simulator does with it is not here.

mod axes;
mod check;
mod faults;
mod instrument;
mod traffic;

pub use axes::{Axis, AxisName, Stage};
pub use check::Code;
pub use faults::{Fault, Faults};
pub use instrument::{Camera, Images, Light, Settings, WorkflowRuns};
pub use traffic::{Background, Latency, Pushes, Server, Tokens};

use serde::Deserialize;

/// What the simulated instrument is like and what goes wrong with it.
///
/// ```
/// use flamingo_simulator::Scenario;
/// let scenario = Scenario::from_toml("[background]\nframes_per_s = 400\n")?;
/// assert!((scenario.background.frames_per_s - 400.0).abs() < 1e-9);
/// let error = Scenario::from_toml("[background]\nframes_per_second = 400\n").unwrap_err();
/// assert!(error.to_string().starts_with("line 2: unknown field `frames_per_second`"));
/// # Ok::<(), flamingo_simulator::ScenarioError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What all chance comes from: the same seed gives the same run.
    pub seed: u64,
    /// Frames that the ground truth keeps, for each kind of record; older ones are dropped and
    /// counted.
    pub truth_capacity_frames: usize,
    /// Commands that are implemented by nobody: never answered, without any effect.
    pub never_answered: Vec<Code>,
    /// How long an answer takes.
    #[serde(deserialize_with = "check::latency")]
    pub latency: Latency,
    /// What is pushed, and what the pushes look like.
    pub pushes: Pushes,
    /// Unsolicited traffic that flows without any cause.
    pub background: Background,
    /// Which fields of a command come back.
    pub tokens: Tokens,
    /// The sockets.
    pub server: Server,
    /// The four axes.
    pub stage: Stage,
    /// Lasers.
    pub light: Light,
    /// The camera.
    pub camera: Camera,
    /// The image streams.
    pub images: Images,
    /// Scope settings and drives.
    pub settings: Settings,
    /// Workflows.
    pub workflow: WorkflowRuns,
    /// What goes wrong.
    pub faults: Faults,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            truth_capacity_frames: 262_144,
            never_answered: Vec::new(),
            latency: Latency::default(),
            pushes: Pushes::default(),
            background: Background::default(),
            tokens: Tokens::default(),
            server: Server::default(),
            stage: Stage::default(),
            light: Light::default(),
            camera: Camera::default(),
            images: Images::default(),
            settings: Settings::default(),
            workflow: WorkflowRuns::default(),
            faults: Faults::default(),
        }
    }
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`ScenarioError`] names the line, what was found and what was expected.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or(text);
                before.matches('\n').count() + 1
            });
            let message = error.message().trim().replace('\n', "; ");
            ScenarioError { line, message }
        })
    }
}

/// A scenario file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct ScenarioError {
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Scenario::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_a_healthy_instrument() {
        assert_eq!(Scenario::from_toml(""), Ok(Scenario::default()));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        assert!(refused("seed = 3\n\n[latency]\nmin = 3\n").starts_with("line 4: unknown field"));
    }

    #[test]
    fn values_that_cannot_be_are_refused_with_their_line_and_what_was_expected() {
        let probability = refused("[faults]\n\nlost_answers = { probability = 1.5 }\n");
        assert_eq!(probability, "line 3: expected a number from 0 to 1, found 1.5");
        let negative = refused("[background]\nframes_per_s = -4\n");
        assert_eq!(negative, "line 2: expected a number of 0 or more, found -4");
        let zero = refused("[stage]\nspeed_factor = 0.0\n");
        assert_eq!(zero, "line 2: expected a number above 0, found 0");
        let swapped = refused("\n[latency]\nmin_ms = 3\nmax_ms = 2\n");
        assert!(swapped.contains("min_ms = 3 is above max_ms = 2"), "{swapped}");
        let limits = refused("[stage.y]\nmin_mm = 30\n");
        assert!(limits.starts_with("line 1: ") && limits.contains("min_mm"), "{limits}");
    }

    #[test]
    fn codes_are_names_or_numbers() {
        let scenario =
            Scenario::from_toml("never_answered = [0x6008, \"camera_image_size_get\"]").unwrap();
        assert_eq!(
            scenario.never_answered.iter().map(|code| code.0.0).collect::<Vec<_>>(),
            [0x6008, 0x3027]
        );
        let unknown = refused("never_answered = [\"NO_SUCH_THING\"]");
        assert!(unknown.contains("NO_SUCH_THING"), "{unknown}");
    }
}
