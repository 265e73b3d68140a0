//! The firmware of `protocol-core/examples`, in QEMU, beside the client and the simulator.
#![cfg(unix)]

mod embassy_bridge;
mod embassy_client;
mod emulator;
mod mcu_bridge;
mod mcu_stage;
