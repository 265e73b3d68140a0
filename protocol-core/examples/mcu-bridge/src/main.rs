//! The program: wires the bridge to its board. Nothing is decided here.
#![no_std]
#![no_main]

mod board;
mod log;
mod report;

use board::{Board, Queues};
use mcu_bridge::{Application, Bridge};
use report::Report;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut APPLICATION: Application = Application::new();
    static mut QUEUES: Queues = Queues::new();

    let Some((mut board, mut ports)) = Board::start(QUEUES) else { board::reset() };
    let mut bridge = Bridge::new(APPLICATION);
    let mut report = Report::new(bridge.counters());
    defmt::info!("the bridge runs");
    loop {
        let now = board.now();
        let again = bridge.poll(now, &mut ports);
        report.look(now, &bridge.counters(), &board::counters());
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
