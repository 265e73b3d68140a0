//! What the firmwares need of their board: an MPS2 with the FPGA image AN386 (Cortex-M4), or QEMU's
//! mps2-an386. It moves bytes and does not interpret them. All unsafe code of the firmwares that use it is in
//! `registers.rs`, `interrupts.rs`, `executor.rs` and `log.rs`.
#![no_std]
#![deny(missing_docs)]

#[cfg(feature = "ethernet")]
pub mod ethernet;
#[cfg(feature = "executor")]
pub mod executor;
pub mod interrupts;
pub mod log;
mod registers;
#[cfg(feature = "ticks")]
pub mod ticks;
pub mod timer;
pub mod uart;
mod uart_port;

pub use uart_port::UartPort;

/// The clock of core, timer and UARTs, in MHz.
pub const CLOCK_MHZ: u32 = 25;

/// The counters of the board, by UART.
#[derive(Clone, Copy, PartialEq, Eq, Default, defmt::Format)]
pub struct Counters {
    /// How often a UART lost bytes by an overrun.
    pub overruns: [u32; 4],
    /// How often a byte waited in the UART for room in the queue.
    pub held: [u32; 4],
    /// Lines of the log that were dropped.
    pub log_dropped: u32,
}

/// The counters so far.
pub fn counters() -> Counters {
    let mut counters = Counters { log_dropped: log::dropped(), ..Counters::default() };
    for (number, (overruns, held)) in
        counters.overruns.iter_mut().zip(&mut counters.held).enumerate()
    {
        uart::with_side(number, |side| (*overruns, *held) = side.losses());
    }
    counters
}
