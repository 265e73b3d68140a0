#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! ```text
//!  microscope.stage().move_to(Axis::X, Mm(7.5))      workflows().start(&workflow)
//!        │ unit, limits of the scope settings              │ check, state, arm
//!        ▼                                                 ▼
//!  stage/motion.rs: listens before it is sent          workflows/run.rs: IDLE after RUNNING ends it
//!  stage/motion_end.rs: what ends it
//!        └──────────────── Client: requests, events ───────┘
//! ```
//! A [`Microscope`] gives one handle for each device. Each method asks one thing and returns when
//! the instrument has answered; a [`Reading`] is the value together with that answer. Frames and
//! sockets are the work of the client, [`flamingo_runtime_std::Client`].
//!
//! This file has only the modules and what they export.

mod answers;
pub mod axis;
mod devices;
mod error;
pub mod field_words;
mod files;
#[cfg(feature = "image-files")]
pub mod image_file;
pub mod live;
mod microscope;
mod patience;
pub mod preview;
mod reading;
mod stage;
pub mod units;
mod workflows;

pub use axis::Axis;
pub use devices::{
    Camera, FilterWheel, Illumination, ImageSize, Laser, Lasers, Led, LedColour, LiveUpdates,
    Saved, SettingsStore, Storage, SystemState,
};
pub use error::Error;
pub use files::{control_settings, scope_settings, sections, workflow};
pub use microscope::Microscope;
pub use patience::Patience;
pub use reading::Reading;
pub use stage::limits;
pub use stage::{
    Arrival, Motion, Motions, PoseTracker, PositionUpdate, PositionUpdates, PushedPose, Stage,
    Velocity, pushed_positions,
};
pub use workflows::{Run, RunEvent, RunSummary, StackComplete, StackReport, Workflows};
