//! The four axes of a simulated instrument: limits, home, velocity, motion. How they move is in
//! `instrument/axis.rs`.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::check;

/// The name of an axis in a scenario file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AxisName {
    /// Axis 1.
    X,
    /// Axis 2.
    Y,
    /// Axis 3.
    Z,
    /// Axis 4, the rotation.
    R,
}

/// An axis. At the start it stands at its home position. In a scenario file the keys are `min_mm`,
/// `max_mm`, `home_mm`, `velocity_mm_per_s`, `clamp_min_mm` and `clamp_max_mm`, on R `min_deg` … `clamp_max_deg`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct AxisModel {
    /// The lowest target that is accepted, in mm (R: degrees).
    pub min: f64,
    /// The highest target that is accepted, in mm (R: degrees).
    pub max: f64,
    /// The target of HOME, in mm (R: degrees).
    pub home: f64,
    /// In mm (R: degrees) per second, until STAGE_VELOCITY_SET changes it.
    pub velocity: f64,
    /// A lower target is silently replaced by this one, before the limits are checked. The motion ends there with
    /// status 1.
    pub clamp_min: Option<f64>,
    /// The same for a higher target.
    pub clamp_max: Option<f64>,
}

const X: AxisModel = AxisModel::new([1.0, 12.31], 7.5, 1.0);
const Y: AxisModel = AxisModel::new([5.0, 25.0], 15.0, 1.0);
const Z: AxisModel = AxisModel::new([12.5, 26.0], 19.0, 1.0);
const R: AxisModel = AxisModel::new([-720.0, 720.0], 0.0, 50.0);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LinearKeys {
    min_mm: Option<f64>,
    max_mm: Option<f64>,
    home_mm: Option<f64>,
    velocity_mm_per_s: Option<f64>,
    clamp_min_mm: Option<f64>,
    clamp_max_mm: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RotationKeys {
    min_deg: Option<f64>,
    max_deg: Option<f64>,
    home_deg: Option<f64>,
    velocity_deg_per_s: Option<f64>,
    clamp_min_deg: Option<f64>,
    clamp_max_deg: Option<f64>,
}

impl AxisModel {
    const fn new([min, max]: [f64; 2], home: f64, velocity: f64) -> Self {
        Self { min, max, home, velocity, clamp_min: None, clamp_max: None }
    }

    fn checked<E: Error>(self, unit: &str) -> Result<Self, E> {
        let Self { min, max, home, velocity, clamp_min, clamp_max } = self;
        if !(min.is_finite() && max.is_finite() && min < max && (min..=max).contains(&home)) {
            return Err(E::custom(format!(
                "expected min_{unit} < max_{unit} with home_{unit} between them, \
                 found {min}, {max} and {home}"
            )));
        }
        if !(velocity.is_finite() && velocity > 0.0) {
            return Err(E::custom(format!(
                "expected velocity_{unit}_per_s above 0, found {velocity}"
            )));
        }
        let (low, high) = (clamp_min.unwrap_or(min), clamp_max.unwrap_or(max));
        if !(low.is_finite() && high.is_finite() && (low..=high).contains(&home)) {
            return Err(E::custom(format!(
                "expected clamp_min_{unit} up to home_{unit} and clamp_max_{unit} from there, \
                 found {low}, {home} and {high}"
            )));
        }
        Ok(self)
    }
}

fn linear<'de, D: Deserializer<'de>>(
    deserializer: D,
    default: AxisModel,
) -> Result<AxisModel, D::Error> {
    let keys = LinearKeys::deserialize(deserializer)?;
    let axis = AxisModel {
        min: keys.min_mm.unwrap_or(default.min),
        max: keys.max_mm.unwrap_or(default.max),
        home: keys.home_mm.unwrap_or(default.home),
        velocity: keys.velocity_mm_per_s.unwrap_or(default.velocity),
        clamp_min: keys.clamp_min_mm,
        clamp_max: keys.clamp_max_mm,
    };
    axis.checked("mm")
}

fn x<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AxisModel, D::Error> {
    linear(deserializer, X)
}

fn y<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AxisModel, D::Error> {
    linear(deserializer, Y)
}

fn z<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AxisModel, D::Error> {
    linear(deserializer, Z)
}

fn r<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AxisModel, D::Error> {
    let keys = RotationKeys::deserialize(deserializer)?;
    let axis = AxisModel {
        min: keys.min_deg.unwrap_or(R.min),
        max: keys.max_deg.unwrap_or(R.max),
        home: keys.home_deg.unwrap_or(R.home),
        velocity: keys.velocity_deg_per_s.unwrap_or(R.velocity),
        clamp_min: keys.clamp_min_deg,
        clamp_max: keys.clamp_max_deg,
    };
    axis.checked("deg")
}

/// The four axes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StageModel {
    /// Axis X.
    #[serde(deserialize_with = "x")]
    pub x: AxisModel,
    /// Axis Y.
    #[serde(deserialize_with = "y")]
    pub y: AxisModel,
    /// Axis Z.
    #[serde(deserialize_with = "z")]
    pub z: AxisModel,
    /// The rotation.
    #[serde(deserialize_with = "r")]
    pub r: AxisModel,
    /// All motions are faster than their velocity by this factor, above 0.
    #[serde(deserialize_with = "check::above_zero")]
    pub speed_factor: f64,
    /// The minimum time of a motion, in ms.
    #[serde(deserialize_with = "check::not_negative")]
    pub settle_ms: f64,
    /// The time of FIND_REFERENCE in ms, at a speed factor of 1.
    #[serde(deserialize_with = "check::not_negative")]
    pub find_reference_ms: f64,
    /// Whether HOME and FIND_REFERENCE are answered at the end of the motion instead of at once.
    pub home_answers_at_end: bool,
    /// Whether the query of a linear axis that moves is answered with exactly 0.
    pub zero_while_moving: bool,
    /// Axes that move back and forth until a command moves or stops them.
    pub continuous_axes: Vec<AxisName>,
}

impl Default for StageModel {
    fn default() -> Self {
        Self {
            x: X,
            y: Y,
            z: Z,
            r: R,
            speed_factor: 1.0,
            settle_ms: 5.0,
            find_reference_ms: 4000.0,
            home_answers_at_end: false,
            zero_while_moving: false,
            continuous_axes: Vec::new(),
        }
    }
}
