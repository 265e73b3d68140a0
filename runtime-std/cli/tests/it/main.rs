//! The `flamingo` program as scripts and people run it.

mod bridge;
mod decode;
mod doctor;
mod live;
mod misbehaving_peer;
mod program;
mod race;
mod record;
mod settings;
mod simulator;
mod usage;
mod workflow;
