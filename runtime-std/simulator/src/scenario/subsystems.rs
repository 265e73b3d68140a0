//! The subsystems of a simulated instrument: light, camera, images, settings, workflows. The stage is in `axes.rs`.

use serde::Deserialize;

use super::check;

/// Lasers, LEDs and illumination.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LightModel {
    /// Lasers (1 to 4) whose level query is refused: status 0 and `getLevel error`.
    pub declining_lasers: Vec<i32>,
    /// Whether LED commands (0x4001 to 0x4003) and illumination commands (0x7004 to 0x7007) with TRIGGER_CALL_BACK are
    /// acknowledged by an echo. Laser commands never are.
    pub acknowledged: bool,
    /// Whether LASER_LEVEL_SET is followed by a push of the level (LASER_LEVEL_GET).
    pub level_pushed_after_set: bool,
}

impl Default for LightModel {
    fn default() -> Self {
        Self { declining_lasers: Vec::new(), acknowledged: true, level_pushed_after_set: true }
    }
}

/// The camera.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CameraModel {
    /// The exposure in µs, until CAMERA_EXPOSURE_SET changes it.
    pub exposure_us: u32,
    /// The answer to CAMERA_PIXEL_FIELD_OF_VIEW_GET, in mm per pixel.
    #[serde(deserialize_with = "check::above_zero")]
    pub pixel_size_mm: f64,
    /// Whether CAMERA_IMAGE_SIZE_GET (0x3027) and the camera codes above it have numbers that are four higher, as in
    /// older firmware: 0x302B image size, 0x302F check of a workflow, 0x303A, 0x303B pixel size.
    pub older_codes: bool,
}

impl Default for CameraModel {
    fn default() -> Self {
        Self { exposure_us: 9_002, pixel_size_mm: 0.000_253, older_codes: false }
    }
}

/// The image streams.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ImageModel {
    /// The width of the sensor in pixels, 16 to 8192. The real instrument has 2048.
    #[serde(deserialize_with = "check::side")]
    pub width: u32,
    /// The height of the sensor in pixels, 16 to 8192.
    #[serde(deserialize_with = "check::side")]
    pub height: u32,
    /// ImageModel per second of the live view.
    #[serde(deserialize_with = "check::above_zero")]
    pub frames_per_s: f64,
    /// The number of beads in an image.
    pub beads: u16,
    /// Before every n-th image a viewer gets a header without pixels that updates the options; 0 = never.
    pub options_every_n: u64,
}

impl Default for ImageModel {
    fn default() -> Self {
        Self { width: 512, height: 512, frames_per_s: 20.0, beads: 24, options_every_n: 0 }
    }
}

/// Scope settings and drives.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SettingsModel {
    /// Whether the answer to COMMON_SCOPE_SETTINGS_LOAD has the code COMMON_SCOPE_SETTINGS (0x1007).
    pub answer_under_1007: bool,
    /// The drives that STORAGE_PATH_SET lists.
    pub drives: Vec<String>,
    /// Whether the list comes in the buffer, as far as it fits, instead of a payload.
    pub drives_in_buffer: bool,
    /// Whether CAMERA_LIVE_VIEW_START pushes the scope settings to all clients, as COMMON_SCOPE_SETTINGS (0x1007) with
    /// a payload.
    pub pushed_at_live_start: bool,
}

impl Default for SettingsModel {
    fn default() -> Self {
        let drives = vec!["/media/data/ssd1".to_owned(), "/media/data/ssd2".to_owned()];
        Self {
            answer_under_1007: false,
            drives,
            drives_in_buffer: false,
            pushed_at_live_start: false,
        }
    }
}

/// Workflows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WorkflowModel {
    /// Stacks are taken faster than the frame rate of the workflow by this factor, above 0.
    #[serde(deserialize_with = "check::above_zero")]
    pub speed_factor: f64,
    /// The time between the upload and SYSTEM_STATE_WORK_FLOW_RUNNING, in ms.
    #[serde(deserialize_with = "check::not_negative")]
    pub start_delay_ms: f64,
    /// Whether a stale SYSTEM_STATE_IDLE comes after the upload, before the workflow runs.
    pub stale_idle: bool,
    /// Whether CAMERA_STACK_COMPLETE comes after each stack.
    pub stack_complete: bool,
    /// Whether UI_IMAGES_SAVED_TO_STORAGE comes after the last stack.
    pub images_saved: bool,
}

impl Default for WorkflowModel {
    fn default() -> Self {
        Self {
            speed_factor: 1.0,
            start_delay_ms: 20.0,
            stale_idle: false,
            stack_complete: true,
            images_saved: true,
        }
    }
}
