//! Tests of the `flamingo` program: each runs it as a process.

mod bridge;
mod bridge_service;
mod clock_step;
mod decode;
mod demo;
mod doctor;
mod images;
mod live;
mod live_stack;
mod misbehaving_peer;
mod program;
mod race;
mod real_instruments;
mod record;
mod scripted_motions;
mod scripted_stops;
mod settings;
mod simulator;
mod usage;
mod watch;
mod workflow;
