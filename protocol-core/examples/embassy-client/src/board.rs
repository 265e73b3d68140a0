//! The board: an MPS2 with the FPGA image AN386 (Cortex-M4). This file provides the first UART as an async
//! port, and SysTick as the clock of embassy. It is the only file with `unsafe`, and it does not
//! interpret the bytes.
//!
//! Only the interrupt uses the UART. Tasks use the pipes and pend the interrupt.

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

/// Bytes that were received and not read yet.
static INPUT: Pipe<CriticalSectionRawMutex, 512> = Pipe::new();
/// Bytes that wait to be sent.
static OUTPUT: Pipe<CriticalSectionRawMutex, 512> = Pipe::new();
/// The input pipe is full. The next byte waits in the UART, and the rest waits at the sender.
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
        // SAFETY: as for reading; a write to one of these registers has no effect on memory.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}

const STATE_OUTPUT_FULL: u32 = 1 << 0;
const STATE_INPUT_FULL: u32 = 1 << 1;
const BOTH_DIRECTIONS: u32 = 1 << 0 | 1 << 1;
const ON_OUTPUT: u32 = 1 << 2;
const ON_INPUT: u32 = 1 << 3;

#[derive(Clone, Copy)]
enum Interrupt {
    Received = 0,
    Sent = 1,
}

// SAFETY: these are the numbers of the two interrupts of UART 0.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Handles the interrupts of the UART. No other interrupt of a peripheral is unmasked.
// SAFETY: everything that it uses is behind a lock, so it may run at any time.
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(_: i16) {
    Register::CLEAR.write(BOTH_DIRECTIONS);
    while !OUTPUT.is_empty() && Register::STATE.read() & STATE_OUTPUT_FULL == 0 {
        let mut byte = [0];
        if OUTPUT.try_read(&mut byte).is_ok() {
            let [byte] = byte;
            Register::DATA.write(u32::from(byte));
        }
    }
    while !INPUT.is_full() && Register::STATE.read() & STATE_INPUT_FULL != 0 {
        let [byte, ..] = Register::DATA.read().to_le_bytes();
        let _ = INPUT.try_write(&[byte]); // there is room
    }
    let held = INPUT.is_full();
    HELD.store(held, Ordering::Relaxed);
    let fetching = if held { 0 } else { ON_INPUT };
    Register::CONTROL.write(BOTH_DIRECTIONS | ON_OUTPUT | fetching);
}

/// The UART as an async port. Dropping one of its futures loses no bytes.
pub(crate) struct Port(());

impl ErrorType for Port {
    type Error = Infallible;
}

impl Read for Port {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let read = INPUT.read(buffer).await;
        if HELD.load(Ordering::Relaxed) {
            NVIC::pend(Interrupt::Received);
        }
        Ok(read)
    }
}

impl Write for Port {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let written = OUTPUT.write(bytes).await;
        NVIC::pend(Interrupt::Sent);
        Ok(written)
    }

    /// Does nothing, because the interrupt sends the pipe.
    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Starts the clock, the UART and the interrupts. Only the first call returns a port.
pub(crate) fn start() -> Option<Port> {
    let mut core = cortex_m::Peripherals::take()?;
    start_ticks(&mut core.SYST);
    Register::DIVIDER.write(CORE_HZ / 921_600);
    Register::CONTROL.write(BOTH_DIRECTIONS | ON_INPUT | ON_OUTPUT);
    // SAFETY: the interrupt handler uses only statics that are initialised.
    unsafe {
        NVIC::unmask(Interrupt::Received);
        NVIC::unmask(Interrupt::Sent);
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

/// The clock of embassy, with a millisecond for each tick, and the wakers that wait for a time.
struct Ticks(Mutex<RefCell<Timers>>);

struct Timers {
    millis: u64,
    /// When the next waker is due.
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
    /// Wakes all wakers that are due.
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

/// This program does not panic, but the compiler keeps some of embassy's checks.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    cortex_m::interrupt::disable();
    loop {
        cortex_m::asm::wfi();
    }
}
