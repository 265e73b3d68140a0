//! The router on a virtual clock, between clients and an instrument that do what a test says.

mod failures;
mod hour;
mod lab;
mod limits;
mod routing;
mod safety;
