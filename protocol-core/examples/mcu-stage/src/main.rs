//! The program: it wires the board, the pump and the stage, and sleeps when there is nothing to do.
#![no_std]
#![no_main]

mod board;

use mcu_stage::pump::Pump;
use mcu_stage::stage::Stage;

#[cortex_m_rt::entry]
fn main() -> ! {
    if let Some((mut port, clock)) = board::start() {
        let (mut pump, mut stage) = (Pump::default(), Stage::default());
        loop {
            if pump.turn(&mut port, || clock.now(), &mut stage).is_err() {
                pump = Pump::default();
            }
            port.sleep();
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}
