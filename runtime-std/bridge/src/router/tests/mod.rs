//! The router on a virtual clock. The tests play the clients and the instrument.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::float_cmp)]

mod aborts;
mod allocations;
mod away;
mod batches;
mod dead_man;
mod edges;
mod failures;
mod first_frame;
mod halt_all;
mod harness;
mod inline_events;
mod lights;
mod limits;
mod long_run;
mod role_change;
mod routing;
mod safety;
mod slots;
mod stalled_input;
mod stop_forms;
mod stop_rates;
mod stops_away;
mod stops_blocked;
mod times;
mod turns;
mod uploads;
mod wrong_tokens;
