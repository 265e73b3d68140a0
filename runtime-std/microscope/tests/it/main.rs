//! The typed microscope in front of a simulated instrument, or of a scripted peer.

mod devices;
mod limits;
mod live_stream;
mod motion;
mod traps;
mod workflows;
