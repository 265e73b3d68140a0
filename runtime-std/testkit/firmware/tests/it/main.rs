//! The firmware of `protocol-core/examples`, in QEMU, beside the client and the simulator; and the link of one of them on
//! this host.
#![cfg(unix)]

mod board;
mod embassy_bridge;
mod embassy_client;
mod embassy_link;
mod emulator;
#[path = "../../../../../protocol-core/examples/embassy-client/src/link.rs"]
mod link;
mod mcu_bridge;
mod mcu_stage;
