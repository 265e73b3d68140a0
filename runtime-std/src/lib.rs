//! The standard-library side.

pub mod axis;
pub mod dissect;
pub mod hex;
pub mod meaning;
pub mod text;

pub use axis::Axis;
