//! The client in front of a scripted peer, over real sockets.

mod client_connect;
mod client_ends;
mod client_pressure;
mod client_requests;
mod client_stops;
mod engine;
mod peers_failures;
