//! TCP sockets with the options that the instrument needs: connecting, accepting connections, and reading
//! clients. No byte is moved in this file. Without the feature `smol` there are only the options.

#[cfg(feature = "smol")]
pub mod acceptor;
#[cfg(feature = "smol")]
pub mod client_input;
pub(crate) mod connecting;
#[cfg(feature = "smol")]
pub mod instrument_ports;
#[cfg(feature = "smol")]
pub(crate) mod on_smol;
mod options;
#[cfg(feature = "smol")]
pub mod port_holder;

#[cfg(feature = "smol")]
pub use on_smol::{connect, connect_for_images};
pub use options::{LOST_AFTER, is_emptied, prepare, set_options, set_user_timeout};
