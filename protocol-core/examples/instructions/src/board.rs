//! The emulated board: a counter of instructions, and the exit. The cases are in `cases.rs`.
//!
//! QEMU advances the time by 128 ns for each instruction (`-icount shift=7`). The timer runs at 25
//! MHz, so an instruction takes 3.2 ticks. The result is rounded to the nearest instruction.

use core::arch::asm;
use core::hint::black_box;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};
use cortex_m_semihosting::debug;

const NANOSECONDS_PER_INSTRUCTION: u32 = 128;
const NANOSECONDS_PER_TICK: u32 = 40;
/// The timer counts down from this value, and then starts again.
const RELOAD: u32 = 0x00FF_FFFF;

/// Counts the instructions of a closure.
pub struct Counter {
    /// The number of instructions between two readings with no work between them.
    overhead: u32,
}

impl Counter {
    /// Starts the timer. Returns `None` if it was started before.
    pub fn start() -> Option<Self> {
        let mut timer = Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        let (overhead, ()) = Self { overhead: 0 }.count(|| ());
        Some(Self { overhead })
    }

    /// Returns the number of instructions from the start of `work` until its result is in memory,
    /// and the result. The timer can count up to five million instructions.
    #[inline(always)] // a call would count as well
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

/// Runs exactly one hundred instructions.
#[inline(always)] // a call would count as well
#[allow(clippy::inline_always)]
pub fn hundred_instructions() {
    // SAFETY: the instructions have no effect.
    unsafe { asm!(".rept 100", "nop", ".endr", options(nomem, nostack, preserves_flags)) }
}

/// Ends the program and the emulator.
pub fn exit(well: bool) -> ! {
    debug::exit(if well { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    #[allow(clippy::empty_loop)]
    loop {}
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    exit(false)
}
