//! The board: an MPS2 with the FPGA image AN386 (Cortex-M4), its first UART as a port that waits,
//! and SysTick as embassy's clock. The only file with `unsafe`. What the bytes mean is not known here.
//!
//! Only the interrupt touches the UART; tasks touch the pipes and ring for it.

use core::cell::RefCell;
use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SYST};
use critical_section::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use embedded_io_async::{ErrorType, Read, Write};

const CORE_HZ: u32 = 25_000_000;

/// Bytes that came in and were not read yet; bytes that wait to go out.
static CAME: Pipe<CriticalSectionRawMutex, 512> = Pipe::new();
static GOES: Pipe<CriticalSectionRawMutex, 512> = Pipe::new();
/// There was no room for a byte that has come: it waits in the UART, and what follows at the sender.
static HELD: AtomicBool = AtomicBool::new(false);

/// A register of UART 0.
#[derive(Clone, Copy)]
struct Register(usize);

impl Register {
    const DATA: Self = Self(0x4000_4000);
    const STATE: Self = Self(0x4000_4004);
    const CONTROL: Self = Self(0x4000_4008);
    const CLEAR: Self = Self(0x4000_400C);
    const DIVIDER: Self = Self(0x4000_4010);

    fn read(self) -> u32 {
        // SAFETY: each constant above is the address of a register of this chip, four bytes wide.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: as for reading; no register of these has an effect on memory.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}

const STATE_OUT_FULL: u32 = 1 << 0;
const STATE_IN_FULL: u32 = 1 << 1;
const BOTH_WAYS: u32 = 1 << 0 | 1 << 1;
const ON_OUT: u32 = 1 << 2;
const ON_IN: u32 = 1 << 3;

#[derive(Clone, Copy)]
enum Interrupt {
    Came = 0,
    Gone = 1,
}

// SAFETY: these are the numbers of the two interrupts of UART 0.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Every interrupt of a peripheral comes here: no other than those of the UART is unmasked.
// SAFETY: it takes nothing that is not behind a lock, and may come at any time.
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(_: i16) {
    Register::CLEAR.write(BOTH_WAYS);
    while !GOES.is_empty() && Register::STATE.read() & STATE_OUT_FULL == 0 {
        let mut byte = [0];
        if GOES.try_read(&mut byte).is_ok() {
            let [byte] = byte;
            Register::DATA.write(u32::from(byte));
        }
    }
    while !CAME.is_full() && Register::STATE.read() & STATE_IN_FULL != 0 {
        let [byte, ..] = Register::DATA.read().to_le_bytes();
        let _ = CAME.try_write(&[byte]); // there is room
    }
    let held = CAME.is_full();
    HELD.store(held, Ordering::Relaxed);
    let fetching = if held { 0 } else { ON_IN };
    Register::CONTROL.write(BOTH_WAYS | ON_OUT | fetching);
}

/// The UART, as tasks see it. Dropping a future of it loses nothing.
pub(crate) struct Port(());

impl ErrorType for Port {
    type Error = Infallible;
}

impl Read for Port {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let read = CAME.read(buffer).await;
        if HELD.load(Ordering::Relaxed) {
            NVIC::pend(Interrupt::Came);
        }
        Ok(read)
    }
}

impl Write for Port {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let written = GOES.write(bytes).await;
        NVIC::pend(Interrupt::Gone);
        Ok(written)
    }

    /// What is in the pipe goes out by itself: nothing need wait for it.
    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Starts the clock, the UART and the interrupts. Only the first call gives something.
pub(crate) fn start() -> Option<Port> {
    let mut core = cortex_m::Peripherals::take()?;
    start_ticks(&mut core.SYST);
    Register::DIVIDER.write(CORE_HZ / 921_600);
    Register::CONTROL.write(BOTH_WAYS | ON_IN | ON_OUT);
    // SAFETY: the interrupts find everything in its place.
    unsafe {
        NVIC::unmask(Interrupt::Came);
        NVIC::unmask(Interrupt::Gone);
    }
    Some(Port(()))
}

fn start_ticks(ticks: &mut SYST) {
    ticks.set_clock_source(SystClkSource::Core);
    ticks.set_reload(CORE_HZ / 1000 - 1);
    ticks.clear_current();
    ticks.enable_interrupt();
    ticks.enable_counter();
}

/// Embassy's clock: a millisecond for each tick, and who waits for which.
struct Ticks(Mutex<RefCell<Timers>>);

struct Timers {
    millis: u64,
    /// When the next of them is due.
    next: u64,
    queue: Queue,
}

embassy_time_driver::time_driver_impl!(static TICKS: Ticks = Ticks(Mutex::new(RefCell::new(Timers {
    millis: 0,
    next: u64::MAX,
    queue: Queue::new(),
}))));

impl Driver for Ticks {
    fn now(&self) -> u64 {
        critical_section::with(|section| self.0.borrow_ref(section).millis)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let mut timers = self.0.borrow_ref_mut(section);
            if timers.queue.schedule_wake(at, waker) {
                timers.wake();
            }
        });
    }
}

impl Timers {
    /// Wakes whoever is due.
    fn wake(&mut self) {
        self.next = self.queue.next_expiration(self.millis);
    }
}

#[cortex_m_rt::exception]
fn SysTick() {
    critical_section::with(|section| {
        let mut timers = TICKS.0.borrow_ref_mut(section);
        timers.millis += 1;
        if timers.millis >= timers.next {
            timers.wake();
        }
    });
}

/// Nothing here panics, but embassy's own checks are not all left out by the compiler.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    cortex_m::interrupt::disable();
    loop {
        cortex_m::asm::wfi();
    }
}
