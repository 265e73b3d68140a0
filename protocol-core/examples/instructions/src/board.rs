//! The emulated board as a counter of instructions, and its way out. Not what is counted.
//!
//! QEMU is told to let 128 ns pass with each instruction (`-icount shift=7`). The timer counts
//! 25 MHz, so an instruction is 3.2 of its ticks, and a reading between two ticks is rounded right.

use core::arch::asm;
use core::hint::black_box;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};
use cortex_m_semihosting::debug;

const NANOSECONDS_PER_INSTRUCTION: u32 = 128;
const NANOSECONDS_PER_TICK: u32 = 40;
/// The timer counts down from here, and over again.
const RELOAD: u32 = 0x00FF_FFFF;

/// Counts the instructions of a piece of work.
pub struct Counter {
    /// Instructions that lie between two readings without any work.
    overhead: u32,
}

impl Counter {
    /// Starts the timer. `None` if it was started before.
    pub fn start() -> Option<Self> {
        let mut timer = Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        let (overhead, ()) = Self { overhead: 0 }.count(|| ());
        Some(Self { overhead })
    }

    /// Instructions from the beginning of `work` to its result, which lies in memory then; and the
    /// result. The timer's range is five million instructions.
    #[inline(always)] // a call would be counted
    #[allow(clippy::inline_always)]
    pub fn count<T>(&self, work: impl FnOnce() -> T) -> (u32, T) {
        let before = SYST::get_current();
        let result = work();
        black_box(&result);
        let after = SYST::get_current();
        let ticks = before.wrapping_sub(after) & RELOAD;
        let nanoseconds = ticks.saturating_mul(NANOSECONDS_PER_TICK);
        let instructions =
            (nanoseconds + NANOSECONDS_PER_INSTRUCTION / 2) / NANOSECONDS_PER_INSTRUCTION;
        (instructions.saturating_sub(self.overhead), result)
    }
}

/// Exactly a hundred instructions.
#[inline(always)] // a call would be counted
#[allow(clippy::inline_always)]
pub fn hundred_instructions() {
    // SAFETY: it does nothing.
    unsafe { asm!(".rept 100", "nop", ".endr", options(nomem, nostack, preserves_flags)) }
}

/// Ends the program, and the emulator with it.
pub fn exit(well: bool) -> ! {
    debug::exit(if well { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    #[allow(clippy::empty_loop)]
    loop {}
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    exit(false)
}
