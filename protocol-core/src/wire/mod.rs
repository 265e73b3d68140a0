//! The bytes on the wire: control frames, image streams, and the table of commands.
//!
//! Finding frames in a byte stream is `scanner.rs`; who gets a frame is `connection/`.

pub(crate) mod command;
pub(crate) mod facts;
pub(crate) mod frame;
pub mod image;
pub(crate) mod layout;
pub(crate) mod parse;
mod status;
mod text;

pub use crate::assembler::{Assembler, Piece};
pub use command::{
    CallbackFlag, CommandCode, Effect, Kind, Payload, Pushed, Row, Selector, TABLE, Timing,
};
pub use frame::{Flags, Frame};
pub use layout::{
    BUFFER_LEN, CMD_END, CMD_START, END_MARKER, FIELDS, FRAME_LEN, Field, MAX_PAYLOAD, START_MARKER,
};
pub use status::{Status, StatusRule};
pub use text::{LaserLevel, pushed_positions};
