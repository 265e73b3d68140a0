//! What moves bytes between a socket and the core, in two halves.
//!
//! [`Engine`] is the half without I/O: it takes calls, bytes and time, and gives out bytes, answers,
//! events and [`Action`]s. The other half moves the bytes: a caller that asks writes and reads the socket
//! itself, and the [`Driver`] does it while no caller waits. Neither names a runtime: a [`Runtime`] has all
//! that is written for one. `on_smol.rs` is that of smol. An adapter for another runtime is a file like it, in
//! a crate of its own: `flamingo-tokio` is one.
//!
//! | file | holds |
//! |---|---|
//! | `engine.rs` | [`Engine`]: bytes in, bytes out, deadlines, deliveries |
//! | `session.rs` | how a connection begins and ends: handshake, loss, connecting again |
//! | `calls.rs` | how a call enters the core |
//! | `pending_calls.rs` | the calls that wait for an outcome |
//! | `outcome.rs` | where the outcome of a call waits for its caller |
//! | `inbox.rs` | the channels between clients and engine |
//! | `gathered.rs` | frames that go out in one write |
//! | `turn.rs` | one round of reading and writing on a non-blocking socket |
//! | `link.rs` | who takes a turn: callers and [`Driver`], one at a time |
//! | `task.rs` | [`Driver`]: what a runtime polls |
//! | `readiness.rs` | who is woken when the socket can be read |
//! | `waiting.rs` | the future of a call, which takes turns while it waits |
//! | `runtime.rs` | what a runtime gives, and how a connection is opened and kept going with it |
//! | `on_smol.rs` | the socket and the timer of smol, and how a client is made there |
//! | `stop_first.rs` | stops over a connection of their own |

mod calls;
mod engine;
mod gathered;
pub(crate) mod inbox;
mod link;
#[cfg(feature = "smol")]
mod on_smol;
pub(crate) mod outcome;
pub(crate) mod pending_calls;
mod readiness;
mod runtime;
mod session;
mod stop_first;
mod task;
mod turn;
pub(crate) mod waiting;

pub use crate::client::Opening;
pub use engine::{Action, CoreConnection, Engine};
pub use link::Socket;
#[cfg(feature = "smol")]
pub(crate) use on_smol::Smol;
pub use pending_calls::{Answer, Stats};
pub use runtime::{Attempt, Runtime, Timer, open};
pub use stop_first::{Stopped, halts, stop_at};
pub use task::{Driver, Step};
pub use turn::READ_CHUNK;
