//! The scenario file (TOML), read and checked: how a simulated instrument behaves, and what goes wrong.
//!
//! Every key is optional; the default is a healthy instrument. The keys contain their units. How the simulator uses
//! them is not here.

mod axes;
mod check;
mod faults;
mod messages;
mod named;
mod status;
mod subsystems;
mod traffic;

pub use axes::{AxisModel, AxisName, StageModel};
pub use check::ScenarioCode;
pub use faults::{Fault, Faults};
pub use messages::MessageModel;
pub use named::NamedScenario;
pub use status::{StatusModel, StatusSetters};
pub use subsystems::{CameraModel, ImageModel, LightModel, SettingsModel, WorkflowModel};
pub use traffic::{BackgroundTraffic, Latency, Pushes, ServerModel, Tokens};

use serde::Deserialize;

/// How the simulated instrument behaves, and what goes wrong. Read it from TOML, or take the default, a healthy
/// instrument, and change its fields.
///
/// ```
/// use flamingo_simulator::Scenario;
/// let scenario = Scenario::from_toml("[background]\nframes_per_s = 400\n")?;
/// assert!((scenario.background.frames_per_s - 400.0).abs() < 1e-9);
/// let error = Scenario::from_toml("[background]\nframes_per_second = 400\n").unwrap_err();
/// assert!(error.to_string().starts_with("line 2: unknown field `frames_per_second`"));
///
/// let mut healthy = Scenario::default();
/// healthy.stage.speed_factor = 10.0;
/// # Ok::<(), flamingo_simulator::ScenarioError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Scenario {
    /// The seed of all random choices. The same seed and the same input give the same run.
    pub seed: u64,
    /// How many records of each kind the ground truth keeps. Older records are dropped and counted.
    pub truth_capacity_frames: usize,
    /// Commands that are never answered and have no effect.
    pub never_answered: Vec<ScenarioCode>,
    /// The time that an answer takes.
    #[serde(deserialize_with = "check::latency")]
    pub latency: Latency,
    /// The status of the answers.
    pub status: StatusModel,
    /// Which messages are pushed, and their form.
    pub pushes: Pushes,
    /// Unsolicited traffic without a cause.
    pub background: BackgroundTraffic,
    /// Which fields of a command its answer echoes.
    pub tokens: Tokens,
    /// The limits and options of the sockets.
    pub server: ServerModel,
    /// The four axes.
    pub stage: StageModel,
    /// Lasers, LEDs and illumination.
    pub light: LightModel,
    /// The camera.
    pub camera: CameraModel,
    /// The image streams.
    pub images: ImageModel,
    /// Scope settings and drives.
    pub settings: SettingsModel,
    /// Workflows.
    pub workflow: WorkflowModel,
    /// Texts for people.
    pub messages: MessageModel,
    /// The faults.
    pub faults: Faults,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            truth_capacity_frames: 262_144,
            never_answered: Vec::new(),
            latency: Latency::default(),
            status: StatusModel::default(),
            pushes: Pushes::default(),
            background: BackgroundTraffic::default(),
            tokens: Tokens::default(),
            server: ServerModel::default(),
            stage: StageModel::default(),
            light: LightModel::default(),
            camera: CameraModel::default(),
            images: ImageModel::default(),
            settings: SettingsModel::default(),
            workflow: WorkflowModel::default(),
            messages: MessageModel::default(),
            faults: Faults::default(),
        }
    }
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`ScenarioError`] has the line, what was found and what was expected.
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

/// An error in a scenario file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{}{message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct ScenarioError {
    /// The line, from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use flamingo_runtime_std::InputLimits;

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
    fn bad_values_are_refused_with_line_and_expectation() {
        let probability = refused("[faults]\n\nlost_answers = { probability = 1.5 }\n");
        assert_eq!(probability, "line 3: expected a number from 0 to 1, found 1.5");
        let negative = refused("[background]\nframes_per_s = -4\n");
        assert_eq!(negative, "line 2: expected a number of 0 or more, found -4");
        let zero = refused("[stage]\nspeed_factor = 0.0\n");
        assert_eq!(zero, "line 2: expected a number above 0, found 0");
        let swapped = refused("\n[latency]\nmin_ms = 3\nmax_ms = 2\n");
        assert!(swapped.contains("min_ms = 3 is above max_ms = 2"), "{swapped}");
        let clamps = refused("[stage.r]\nclamp_max_deg = -5\n");
        assert!(clamps.contains("clamp_max_deg") && clamps.contains("found"), "{clamps}");
        let limits = refused("[stage.y]\nmin_mm = 30\n");
        assert!(limits.starts_with("line 1: ") && limits.contains("min_mm"), "{limits}");
    }

    #[test]
    fn the_time_for_a_frame_is_a_limit_unless_it_is_zero() {
        for (ms, limit) in [("5000", Some(5_000)), ("0", None), ("0.0", None), ("1e300", None)] {
            let server = Scenario::from_toml(&format!("[server]\nfirst_frame_ms = {ms}\n"));
            let limits = server.unwrap().server.input_limits();
            let expected = limit.map(flamingo_protocol_core::time::Duration::from_millis);
            assert_eq!((limits.first_frame, limits.rest_of_frame), (expected, expected), "{ms}");
        }
        assert_eq!(Scenario::default().server.input_limits(), InputLimits::COMMANDS);
    }

    #[test]
    fn codes_are_names_or_numbers() {
        let scenario =
            Scenario::from_toml("never_answered = [0x6008, \"camera_image_size_get\"]").unwrap();
        assert_eq!(
            scenario.never_answered.iter().map(|code| code.0.0).collect::<Vec<_>>(),
            [0x6008, 0x3027]
        );
        let scenario = Scenario::from_toml("[status.codes]\n0x6008 = 0\nstage_halt = 5\n").unwrap();
        let codes: Vec<_> =
            scenario.status.codes.iter().map(|(code, at)| (code.0.0, *at)).collect();
        assert_eq!(codes, [(0x6003, 5), (0x6008, 0)]);
        assert!(refused("[status.codes]\n0xZZ = 0\n").contains("0xZZ"));
        let unknown = refused("never_answered = [\"NO_SUCH_THING\"]");
        assert!(unknown.contains("NO_SUCH_THING"), "{unknown}");
        for (bad, reason) in [
            ("6008", "write \"0x6008\" for STAGE_POSITION_GET"),
            ("\"6008\"", "write 0x6008 for STAGE_POSITION_GET"),
            ("0x1778", "\"0x1778\" in quotes for this one"),
            ("-1", "expected a command code"),
        ] {
            let error = refused(&format!("never_answered = [{bad}]"));
            assert!(error.contains(reason), "{bad}: {error}");
        }
        let hex = Scenario::from_toml("never_answered = [\"0x1778\"]").unwrap();
        assert_eq!(hex.never_answered[0].0.0, 0x1778);
    }
}
