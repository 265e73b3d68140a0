//! The program: wires the bridge to its board. Nothing is decided here.
#![no_std]
#![no_main]

mod board;
mod log;
mod report;

use board::{Board, Queues};
use mcu_bridge::Bridge;
use report::Report;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut BRIDGE: Bridge = Bridge::new();
    static mut QUEUES: Queues = Queues::new();

    let Some((mut board, mut ports)) = Board::start(QUEUES) else { board::reset() };
    let mut report = Report::new(BRIDGE.counters());
    defmt::info!("the bridge runs");
    loop {
        let now = board.now();
        let again = BRIDGE.poll(now, &mut ports);
        report.look(now, &BRIDGE.counters(), &board::counters());
        if !again {
            board::sleep();
        }
    }
}

/// A bridge that nobody sees is better begun anew than stopped.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    board::reset()
}
