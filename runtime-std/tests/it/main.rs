//! The adapter's tests: the clients, on smol and on plain threads, in front of a scripted peer over real sockets, the
//! engine on virtual time, and the examples.

mod allocations;
mod bench;
mod client_connect;
mod client_ends;
mod client_pressure;
mod client_requests;
mod client_stops;
mod engine;
mod engine_events;
mod engine_stops;
mod engine_times;
mod engine_tokens;
mod event_batches;
mod examples;
mod halt_first;
mod link;
mod peers_failures;
mod plain_threads;
mod played;
mod shared_reactor;
mod sharing;
mod suite;

/// Counts allocations: see `flamingo_runtime_testkit::allocator`.
#[global_allocator]
static ALLOCATOR: flamingo_runtime_testkit::allocator::Counting =
    flamingo_runtime_testkit::allocator::Counting;
