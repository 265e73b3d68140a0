//! The bridge on real sockets: clients on one side, a simulated or scripted instrument on the other.

mod harness;
mod image_ports;
mod instrument_lost;
mod many_clients;
mod naive_program;
mod named_ports;
mod python_gui;
mod router_fuzz_corpus;
mod stop_behind_upload;
mod stop_first;
mod stopping;
