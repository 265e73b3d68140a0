//! `flamingo race`: every way of talking to the instrument that the threading analysis discusses,
//! on one load, judged by the simulator's ground truth.

mod plot;
mod replay;
mod statistics;
mod strategies;
mod strategy;
mod wire;
