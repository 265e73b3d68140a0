//! The simulated instrument, seen by clients.

mod client_faults;
mod faults;
mod load;
mod observed;
mod observed_workflows;
mod queries;
mod scenarios;
mod server;
mod stage;
mod streams;
mod workflow;
