//! The bytes on the wire: control frames, image streams, and the table of commands.
//!
//! Finding frames in a byte stream is `scanner.rs`; who gets a frame is `connection/`.

pub(crate) mod command;
pub(crate) mod facts;
pub(crate) mod frame;
pub(crate) mod image;
pub(crate) mod layout;
pub(crate) mod parse;
