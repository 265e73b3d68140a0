//! The C ABI of the protocol core: `include/flamingo.h` is generated from this crate.
//!
//! A program in C or C++ owns the memory of a connection, passes bytes and time in, and gets frames with
//! their class, events and bytes to write out. Nothing is decided here: every function checks its
//! pointers, calls the method of the same name in `flamingo-protocol-core`, and copies the result.
//!
//! - `memory.rs` holds the checks of pointers and nearly all of the `unsafe` code;
//! - `result.rs` holds the error codes; `values.rs`, `events.rs` and `settings.rs` the structs that cross the ABI;
//! - `connection.rs`, `traffic.rs`, `responder.rs`, `image.rs`, `frame.rs` hold the functions.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod connection;
mod events;
mod frame;
mod image;
mod memory;
#[cfg(not(feature = "std"))]
mod panic;
mod responder;
mod result;
mod settings;
mod traffic;
mod values;

pub use connection::*;
pub use events::*;
pub use frame::*;
pub use image::*;
pub use memory::{
    FLAMINGO_CONNECTION_WORDS, FLAMINGO_IMAGE_READER_WORDS, FLAMINGO_RESPONDER_WORDS,
    flamingo_connection, flamingo_image_reader, flamingo_responder,
};
pub use responder::*;
pub use result::*;
pub use settings::*;
pub use traffic::*;
pub use values::*;
