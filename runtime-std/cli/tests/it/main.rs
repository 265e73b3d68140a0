//! Tests of the `flamingo` program: each runs it as a process.

mod anonymize;
mod bridge;
mod bridge_service;
mod clock_step;
mod decode;
mod decode_capture;
mod decode_live;
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
mod tcp_capture;
mod usage;
mod watch;
mod wire_capture;
mod workflow;
