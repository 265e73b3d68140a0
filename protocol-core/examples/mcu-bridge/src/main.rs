//! The program: it connects the bridge to its board and runs it. It contains no rules.
#![no_std]
#![no_main]

mod board;
mod log;
mod report;
mod uart_port;

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
    defmt::info!("bridge started");
    loop {
        let now = board.now();
        let busy = bridge.poll(now, &mut ports);
        report.update(now, &bridge.counters(), &board::counters());
        if !busy {
            board::sleep();
        }
    }
}

/// Restarts the board, because a stopped bridge would need a person to restart it.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    board::reset()
}
