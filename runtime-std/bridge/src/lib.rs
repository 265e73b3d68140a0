#![doc = include_str!("../README.md")]

mod access;
mod backoff;
mod bridge;
mod broadcast;
mod callback_port;
mod control;
mod descriptors;
mod id_set;
mod image_relay;
mod ports;
#[doc(hidden)]
pub mod router;
pub mod service_manager;
pub mod settings;
pub mod status;
mod threads;
mod wiring;

pub use bridge::{Bridge, BridgeError};
pub use ports::RowAddresses;
pub use settings::BridgeSettings;
pub use status::BridgeStatus;

/// Counts allocations: see `flamingo_runtime_testkit::allocator`.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: flamingo_runtime_testkit::allocator::Counting =
    flamingo_runtime_testkit::allocator::Counting;
