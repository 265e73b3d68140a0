//! The router on a virtual clock, between clients and an instrument that do what a test says.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::float_cmp)]

mod failures;
mod harness;
mod limits;
mod long_run;
mod routing;
mod safety;
