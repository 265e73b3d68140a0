//! The program: it connects the board, the pump and the stage, and sleeps when it has nothing to do.
#![no_std]
#![no_main]

mod board;

use mcu_stage::pump::Pump;
use mcu_stage::report::{Counts, Report};
use mcu_stage::stage::Stage;

#[cortex_m_rt::entry]
fn main() -> ! {
    if let Some((mut port, clock)) = board::start() {
        let (mut pump, mut stage) = (Pump::default(), Stage::default());
        let mut report = Report::default();
        loop {
            // This port cannot fail.
            let _ = pump.poll(&mut port, || clock.now(), &mut stage);
            let (noise, cut_uploads) = pump.losses();
            let (held, overruns) = board::held_and_overruns();
            report.poll(Counts { noise, cut_uploads, held, overruns }, board::report);
            port.sleep();
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}
