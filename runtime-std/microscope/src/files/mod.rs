//! The texts that the instrument stores and runs: scope settings, control settings and workflow files,
//! and the form that all have (`sections/`).
//!
//! Loading and sending them is in `devices/settings_store.rs` and `workflows/`.

pub mod control_settings;
pub(crate) mod finding;
pub mod scope_settings;
pub mod sections;
pub mod workflow;
