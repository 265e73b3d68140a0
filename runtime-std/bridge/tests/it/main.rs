//! The bridge between real sockets: clients on one side, a simulated or scripted instrument on the other.

mod bridged;
mod images;
mod load;
mod lost;
mod ports;
mod router_corpus;
mod seed;
