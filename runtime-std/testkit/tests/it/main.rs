//! The firmware of `protocol-core/examples`, in QEMU, beside the client and the simulator.

mod embassy_client;
mod firmware;
mod mcu_bridge;
mod mcu_stage;
