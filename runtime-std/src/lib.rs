//! The standard-library side.

mod clock;
pub mod simulator;

pub use clock::Clock;
