//! The four axes of a simulated instrument: limits, home, velocity, motion.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::check;

/// An axis, as a scenario file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AxisName {
    /// 1
    X,
    /// 2
    Y,
    /// 3
    Z,
    /// 4
    R,
}

/// An axis. At the start it stands at its home. In a scenario file the keys are `min_mm`,
/// `max_mm`, `home_mm` and `velocity_mm_per_s`, on R `min_deg` … `velocity_deg_per_s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    /// The lowest target that is not refused, in mm (R: degrees).
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// Where HOME goes.
    pub home: f64,
    /// Per second, until STAGE_VELOCITY_SET says otherwise.
    pub velocity: f64,
}

const X: Axis = Axis { min: 1.0, max: 12.31, home: 7.5, velocity: 1.0 };
const Y: Axis = Axis { min: 5.0, max: 25.0, home: 15.0, velocity: 1.0 };
const Z: Axis = Axis { min: 12.5, max: 26.0, home: 19.0, velocity: 1.0 };
const R: Axis = Axis { min: -720.0, max: 720.0, home: 0.0, velocity: 50.0 };

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LinearKeys {
    min_mm: Option<f64>,
    max_mm: Option<f64>,
    home_mm: Option<f64>,
    velocity_mm_per_s: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RotationKeys {
    min_deg: Option<f64>,
    max_deg: Option<f64>,
    home_deg: Option<f64>,
    velocity_deg_per_s: Option<f64>,
}

impl Axis {
    fn checked<E: Error>(self, unit: &str) -> Result<Self, E> {
        let Self { min, max, home, velocity } = self;
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
        Ok(self)
    }
}

fn linear<'de, D: Deserializer<'de>>(deserializer: D, default: Axis) -> Result<Axis, D::Error> {
    let keys = LinearKeys::deserialize(deserializer)?;
    let axis = Axis {
        min: keys.min_mm.unwrap_or(default.min),
        max: keys.max_mm.unwrap_or(default.max),
        home: keys.home_mm.unwrap_or(default.home),
        velocity: keys.velocity_mm_per_s.unwrap_or(default.velocity),
    };
    axis.checked("mm")
}

fn x<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Axis, D::Error> {
    linear(deserializer, X)
}

fn y<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Axis, D::Error> {
    linear(deserializer, Y)
}

fn z<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Axis, D::Error> {
    linear(deserializer, Z)
}

fn r<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Axis, D::Error> {
    let keys = RotationKeys::deserialize(deserializer)?;
    let axis = Axis {
        min: keys.min_deg.unwrap_or(R.min),
        max: keys.max_deg.unwrap_or(R.max),
        home: keys.home_deg.unwrap_or(R.home),
        velocity: keys.velocity_deg_per_s.unwrap_or(R.velocity),
    };
    axis.checked("deg")
}

/// The four axes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stage {
    /// X
    #[serde(deserialize_with = "x")]
    pub x: Axis,
    /// Y
    #[serde(deserialize_with = "y")]
    pub y: Axis,
    /// Z
    #[serde(deserialize_with = "z")]
    pub z: Axis,
    /// R
    #[serde(deserialize_with = "r")]
    pub r: Axis,
    /// All motion is this much faster than its velocity says.
    #[serde(deserialize_with = "check::above_zero")]
    pub speed_factor: f64,
    /// The least that a motion takes.
    #[serde(deserialize_with = "check::not_negative")]
    pub settle_ms: f64,
    /// What finding the reference takes at a speed factor of 1.
    #[serde(deserialize_with = "check::not_negative")]
    pub find_reference_ms: f64,
    /// HOME and FIND_REFERENCE are answered when the motion has ended, instead of at once.
    pub home_answers_at_end: bool,
    /// Axes that go back and forth without end, until they are told to do something else.
    pub continuous_axes: Vec<AxisName>,
}

impl Default for Stage {
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
            continuous_axes: Vec::new(),
        }
    }
}
