//! The bridge on real sockets: clients on one side, a simulated or scripted instrument on the other.

mod dead_man;
#[cfg(target_os = "linux")]
mod descriptors;
mod floods;
mod harness;
mod image_ports;
mod instrument_lost;
mod instrument_stalls;
mod many_clients;
mod naive_program;
mod named_ports;
mod python_gui;
mod router_fuzz_corpus;
mod shared_places;
mod stop_behind_upload;
mod stop_first;
mod stopping;
mod web_pages;
