//! The parts of a simulated instrument: light, camera, images, settings, workflows. Not the
//! stage (`axes.rs`).

use serde::Deserialize;

use super::check;

/// Lasers.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Light {
    /// Lasers (1 to 4) whose level query is declined: status 0 and `getLevel error`.
    pub declining_lasers: Vec<i32>,
}

/// The camera.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Camera {
    /// Until CAMERA_EXPOSURE_SET says otherwise.
    pub exposure_us: u32,
    /// What CAMERA_PIXEL_FIELD_OF_VIEW_GET answers.
    #[serde(deserialize_with = "check::above_zero")]
    pub pixel_size_mm: f64,
}

impl Default for Camera {
    fn default() -> Self {
        Self { exposure_us: 9_002, pixel_size_mm: 0.000_253 }
    }
}

/// The image streams.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Images {
    /// Pixels in a row of the sensor. The instrument's has 2048.
    #[serde(deserialize_with = "check::side")]
    pub width: u32,
    /// Rows of the sensor.
    #[serde(deserialize_with = "check::side")]
    pub height: u32,
    /// Images per second of the live view.
    #[serde(deserialize_with = "check::above_zero")]
    pub frames_per_s: f64,
    /// How many beads are seen.
    pub beads: u16,
    /// Before every n-th image a viewer gets an update of the options, without pixels; 0 = never.
    pub options_every_n: u64,
}

impl Default for Images {
    fn default() -> Self {
        Self { width: 512, height: 512, frames_per_s: 20.0, beads: 24, options_every_n: 0 }
    }
}

/// Scope settings and drives.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The answer to COMMON_SCOPE_SETTINGS_LOAD comes under COMMON_SCOPE_SETTINGS.
    pub answer_under_1007: bool,
    /// What STORAGE_PATH_SET lists.
    pub drives: Vec<String>,
    /// The list comes in the buffer, as far as it fits, instead of in a payload.
    pub drives_in_buffer: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let drives = vec!["/media/data/ssd1".to_owned(), "/media/data/ssd2".to_owned()];
        Self { answer_under_1007: false, drives, drives_in_buffer: false }
    }
}

/// Workflows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowRuns {
    /// Stacks are taken this much faster than the workflow's frame rate says.
    #[serde(deserialize_with = "check::above_zero")]
    pub speed_factor: f64,
    /// Time between the upload and SYSTEM_STATE_WORK_FLOW_RUNNING.
    #[serde(deserialize_with = "check::not_negative")]
    pub start_delay_ms: f64,
    /// A stale SYSTEM_STATE_IDLE comes after the upload, before the workflow runs.
    pub stale_idle: bool,
}

impl Default for WorkflowRuns {
    fn default() -> Self {
        Self { speed_factor: 1.0, start_delay_ms: 20.0, stale_idle: false }
    }
}
