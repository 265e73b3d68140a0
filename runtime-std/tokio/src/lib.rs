#![doc = include_str!("../README.md")]
//!
//! # What is here
//! [`connect`] and [`open`] make a [`Client`] on Tokio. All that a client does is `flamingo-runtime-std`: this
//! crate has what that asks a runtime for, a [`driver::Runtime`](flamingo_runtime_std::driver::Runtime), and no
//! more.

mod on_tokio;

pub use flamingo_runtime_std::{
    self as runtime, Answer, Client, Error, Event, Options, Reconnect, Stopped, Subscription,
    protocol,
};
pub use on_tokio::{connect, halt_at, open, stop_at};
