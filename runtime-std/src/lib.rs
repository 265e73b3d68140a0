//! The standard-library side.
