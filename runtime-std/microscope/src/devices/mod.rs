//! All devices but the stage, each in a file of its own with its commands and units, and the system
//! state. The stage is in `stage/`; workflows are in `workflows/`.

mod camera;
mod filter_wheel;
mod illumination;
mod lasers;
mod led;
mod settings_store;
mod storage;
mod system_state;

pub use camera::{Camera, ImageSize, LiveUpdates};
pub use filter_wheel::FilterWheel;
pub use illumination::Illumination;
pub use lasers::{Laser, Lasers};
pub use led::{Led, LedColour};
pub use settings_store::{Saved, SettingsStore};
pub use storage::Storage;
pub use system_state::SystemState;
