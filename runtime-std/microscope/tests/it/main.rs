//! The typed microscope against the simulator, or against a peer that the test scripts.

mod devices;
mod examples;
mod fuzz_corpus;
mod limits;
mod live_stream;
mod motion;
mod motion_positions;
mod settings;
mod traps;
mod workflows;
mod workflows_simulated;
