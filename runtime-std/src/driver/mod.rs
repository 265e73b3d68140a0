//! What moves bytes between a socket and the core, in two halves.
//!
//! [`Engine`] is the half without I/O: it takes calls, bytes and time, and gives out bytes, answers,
//! events and [`Action`]s. It names no runtime, opens no socket and sets no timer. The other half is
//! `on_smol.rs`: the socket, the timer and the waiting on smol. An adapter for another runtime is a
//! file like it, in a crate of its own; [`turn`] and everything else here serve it as they are.
//!
//! | file | holds |
//! |---|---|
//! | `engine.rs` | [`Engine`]: bytes in, bytes out, deadlines, deliveries |
//! | `session.rs` | how a connection begins and ends: handshake, loss, connecting again |
//! | `calls.rs` | how a call enters the core |
//! | `pending_calls.rs` | the calls that wait for an outcome |
//! | `inbox.rs` | the channels between clients and engine |
//! | `turn.rs` | one round of reading and writing on a non-blocking socket |
//! | `on_smol.rs` | the socket and the waiting, on smol |
//! | `stop_first.rs` | stops over a connection of their own |

mod calls;
mod engine;
pub(crate) mod inbox;
#[cfg(feature = "smol")]
mod on_smol;
pub(crate) mod pending_calls;
mod session;
#[cfg(feature = "smol")]
mod stop_first;
mod turn;

pub use crate::client::Opening;
pub use engine::{Action, CoreConnection, Engine};
pub use pending_calls::{Answer, Stats};
#[cfg(feature = "smol")]
pub use stop_first::Stopped;
pub use turn::{READ_CHUNK, Turn, turn};
