//! The simulated instrument as clients see it.

mod client_faults;
mod faults;
mod load;
mod queries;
mod scenarios;
mod server;
mod stage;
mod streams;
mod workflow;
