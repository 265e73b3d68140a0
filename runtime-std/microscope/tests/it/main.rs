//! The typed microscope in front of a simulated instrument, or of a scripted peer.

mod limits;
mod live_stream;
mod motion;
mod parts;
mod traps;
mod workflows;
