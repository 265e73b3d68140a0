//! The texts that the instrument stores and runs: their form (`sections/`), the scope settings, and
//! workflow files. Sending and loading them is `devices/settings_store.rs` and `workflows/`.

pub mod scope_settings;
pub mod sections;
pub mod workflow;
