//! The time since the start, from a timer of the board, and ticks that wake the program.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

use crate::CLOCK_MHZ;
use crate::registers::{Device, Register};

/// The most time that the clock advances at once, in timer ticks. The program reads the timer at every
/// tick. If more time has passed, a debugger or an emulator paused it, and no timeout may expire for that.
const MAX_STEP: u32 = CLOCK_MHZ * 1_000_000 / 10;

const VALUE: Register = Device::TIMER.at(0x04);

/// The clock, from a timer that wraps around every 171 s. It must be read more often.
pub struct Clock {
    last: u32,
    ticks: u64,
}

impl Clock {
    /// Starts the timer.
    #[allow(clippy::new_without_default)] // it changes the board
    pub fn start() -> Self {
        Device::TIMER.at(0x08).write(u32::MAX); // reload
        VALUE.write(u32::MAX);
        Device::TIMER.at(0x00).write(1); // enable
        Self { last: u32::MAX, ticks: 0 }
    }

    /// Microseconds since the start.
    pub fn micros(&mut self) -> u64 {
        let value = VALUE.read();
        let passed = self.last.wrapping_sub(value);
        // An emulated timer may step back a little. Then no time has passed.
        if passed <= u32::MAX / 2 {
            self.ticks += u64::from(passed.min(MAX_STEP));
            self.last = value;
        }
        self.ticks / u64::from(CLOCK_MHZ)
    }
}

/// Lets the exception `SysTick` happen `per_second` times a second (2 to 1000).
pub fn start_ticks(systick: &mut SYST, per_second: u32) {
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(CLOCK_MHZ * 1_000_000 / per_second.clamp(2, 1000) - 1);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
}
