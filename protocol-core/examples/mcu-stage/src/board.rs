//! The board: an LM3S6965 (Cortex-M3). This file starts the clock and both UARTs. The first UART has an
//! interrupt and two bounded queues; the second one carries the report. It is the only file with
//! `unsafe`, and it does not interpret the bytes.
//!
//! Only the interrupt uses the first UART. The program uses the queues and pends the interrupt.

use core::cell::Cell;
use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SYST};
use critical_section::Mutex;
use embedded_io::{ErrorType, Read, ReadReady, Write};
use flamingo_protocol_core::time::Instant;
use heapless::spsc::{Consumer, Producer, Queue};
use lm3s6965::{Interrupt, interrupt};

const CORE_HZ: u32 = 50_000_000;
/// Room for seven whole commands. Clients leave at most four commands unanswered.
const INPUT_LEN: usize = 1024;
/// Room for eight frames. A queue holds one byte less than its length.
const OUTPUT_LEN: usize = 1024 + 1;

/// Milliseconds since the start, modulo 2³².
static MILLIS: AtomicU32 = AtomicU32::new(0);
/// The interrupt's ends of the queues.
static UART_SIDE: Mutex<Cell<Option<UartSide>>> = Mutex::new(Cell::new(None));
/// The input queue is full, and the rest of the input waits in the UART.
static HELD: AtomicBool = AtomicBool::new(false);
/// How often input had to wait. If the sender can be held up, nothing is lost; otherwise [`OVERRUNS`]
/// counts the loss.
static HELD_COUNT: AtomicU32 = AtomicU32::new(0);
/// How often the UART lost bytes because they were not fetched in time.
static OVERRUNS: AtomicU32 = AtomicU32::new(0);

/// A register of the board.
#[derive(Clone, Copy)]
struct Register(usize);

impl Register {
    const SYSCTL_STATUS: Self = Self(0x400F_E050);
    const SYSCTL_CLOCK: Self = Self(0x400F_E060);
    const SYSCTL_GATE_1: Self = Self(0x400F_E104);
    const SYSCTL_GATE_2: Self = Self(0x400F_E108);
    const UART_0: Self = Self(0x4000_C000);
    const UART_1: Self = Self(0x4000_D000);
    const GPIO_A: Self = Self(0x4000_4000);
    const GPIO_D: Self = Self(0x4000_7000);
    const GPIO_FUNCTION: usize = 0x420;
    const GPIO_DIGITAL: usize = 0x51C;
    const UART_DATA: usize = 0x00;
    const UART_FLAGS: usize = 0x18;
    const UART_BAUD_WHOLE: usize = 0x24;
    const UART_BAUD_64TH: usize = 0x28;
    const UART_FORM: usize = 0x2C;
    const UART_CONTROL: usize = 0x30;
    const UART_MASK: usize = 0x38;
    const UART_CLEAR: usize = 0x44;

    /// The register at this offset.
    const fn at(self, offset: usize) -> Self {
        Self(self.0 + offset)
    }

    fn read(self) -> u32 {
        // SAFETY: each constant above, with its offset, is a register of this chip, four bytes wide.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: as for reading; a write to one of these registers has no effect on memory.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }

    fn change(self, clear: u32, set: u32) {
        self.write(self.read() & !clear | set);
    }
}

const FLAG_INPUT_EMPTY: u32 = 1 << 4;
const FLAG_OUTPUT_FULL: u32 = 1 << 5;
const DATA_OVERRUN: u32 = 1 << 11;
const ON_INPUT: u32 = 1 << 4;
const ON_OUTPUT: u32 = 1 << 5;
/// Input waits, and no more has arrived for a while.
const ON_PAUSE: u32 = 1 << 6;

/// The interrupt's ends of the two queues.
struct UartSide {
    input: Producer<'static, u8>,
    output: Consumer<'static, u8>,
}

impl UartSide {
    /// Moves bytes between the UART and the queues, and enables the interrupts that are needed.
    fn service(&mut self) {
        Register::UART_0.at(Register::UART_CLEAR).write(ON_OUTPUT | ON_PAUSE);
        let held = self.fetch();
        HELD.store(held, Ordering::Relaxed);
        while Register::UART_0.at(Register::UART_FLAGS).read() & FLAG_OUTPUT_FULL == 0
            && let Some(byte) = self.output.dequeue()
        {
            Register::UART_0.at(Register::UART_DATA).write(u32::from(byte));
        }
        let fetching = if held { 0 } else { ON_INPUT | ON_PAUSE };
        let sending = if self.output.ready() { ON_OUTPUT } else { 0 };
        Register::UART_0.at(Register::UART_MASK).write(fetching | sending);
    }

    /// Moves input into the queue. Returns true if some of it must wait for room.
    fn fetch(&mut self) -> bool {
        while Register::UART_0.at(Register::UART_FLAGS).read() & FLAG_INPUT_EMPTY == 0 {
            if !self.input.ready() {
                count(&HELD_COUNT);
                return true;
            }
            let data = Register::UART_0.at(Register::UART_DATA).read();
            if data & DATA_OVERRUN != 0 {
                count(&OVERRUNS);
            }
            let [byte, ..] = data.to_le_bytes();
            let _ = self.input.enqueue(byte); // there is room
        }
        false
    }
}

#[interrupt]
fn UART0() {
    critical_section::with(|section| {
        let uart_side = UART_SIDE.borrow(section);
        if let Some(mut owned) = uart_side.take() {
            owned.service();
            uart_side.set(Some(owned));
        }
    });
}

#[cortex_m_rt::exception]
fn SysTick() {
    count(&MILLIS);
}

fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The program's ends of the two queues: a port that sleeps while it waits.
pub(crate) struct Port {
    input: Consumer<'static, u8>,
    output: Producer<'static, u8>,
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.input.ready())
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        while !self.input.ready() && !buffer.is_empty() {
            self.sleep();
        }
        let mut read = 0;
        for (place, byte) in buffer.iter_mut().zip(core::iter::from_fn(|| self.input.dequeue())) {
            *place = byte;
            read += 1;
        }
        if HELD.load(Ordering::Relaxed) {
            NVIC::pend(Interrupt::UART0);
        }
        Ok(read)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        while !self.output.ready() && !bytes.is_empty() {
            // The interrupt makes room. If it ran just before this sleep, the next tick ends the sleep.
            cortex_m::asm::wfi();
        }
        let written = bytes.iter().take_while(|byte| self.output.enqueue(**byte).is_ok()).count();
        NVIC::pend(Interrupt::UART0);
        Ok(written)
    }

    /// Does nothing, because the interrupt sends the queue.
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Port {
    /// Sleeps until an interrupt, unless input waits.
    pub(crate) fn sleep(&self) {
        // An interrupt between the check and the sleep is pending, so it ends the sleep at once.
        cortex_m::interrupt::free(|_| {
            if !self.input.ready() {
                cortex_m::asm::wfi();
            }
        });
    }
}

/// The time since the start, from a counter that wraps around every 49 days.
pub(crate) struct Clock {
    last: Cell<u32>,
    millis: Cell<u64>,
}

impl Clock {
    /// The time now. It must be called more often than every 49 days.
    pub(crate) fn now(&self) -> Instant {
        let count = MILLIS.load(Ordering::Relaxed);
        let more = count.wrapping_sub(self.last.replace(count));
        self.millis.set(self.millis.get() + u64::from(more));
        Instant::from_micros(self.millis.get() * 1000)
    }
}

/// Starts the clock, the UARTs and the interrupts. Only the first call returns a port.
pub(crate) fn start() -> Option<(Port, Clock)> {
    let mut core = cortex_m::Peripherals::take()?;
    let (input_producer, input) =
        cortex_m::singleton!(: Queue<u8, INPUT_LEN> = Queue::new())?.split();
    let (output, output_consumer) =
        cortex_m::singleton!(: Queue<u8, OUTPUT_LEN> = Queue::new())?.split();
    let uart_side = UartSide { input: input_producer, output: output_consumer };
    critical_section::with(|section| UART_SIDE.borrow(section).set(Some(uart_side)));
    start_core_clock();
    start_uarts();
    start_ticks(&mut core.SYST);
    // SAFETY: the interrupt finds its ends of the queues in `UART_SIDE`.
    unsafe { NVIC::unmask(Interrupt::UART0) };
    NVIC::pend(Interrupt::UART0); // it enables the interrupts of the UART
    Some((Port { input, output }, Clock { last: Cell::new(0), millis: Cell::new(0) }))
}

/// Sets 50 MHz from the 8 MHz crystal as the data sheet describes: the PLL is bypassed until it is locked.
fn start_core_clock() {
    const BYPASS: u32 = 1 << 11;
    const DIVIDED: u32 = 1 << 22;
    const DIVIDE_BY_4: u32 = 3 << 23;
    const DIVISOR: u32 = 0xF << 23;
    const CRYSTAL_8_MHZ: u32 = 0xE << 6;
    const CRYSTAL: u32 = 0xF << 6;
    const SOURCE_PLL_OFF_CRYSTAL_OFF: u32 = 3 << 4 | 1 << 13 | 1;
    const LOCKED: u32 = 1 << 6;
    Register::SYSCTL_CLOCK.change(DIVIDED, BYPASS);
    Register::SYSCTL_CLOCK.change(CRYSTAL | SOURCE_PLL_OFF_CRYSTAL_OFF, CRYSTAL_8_MHZ);
    Register::SYSCTL_CLOCK.change(DIVISOR, DIVIDE_BY_4 | DIVIDED);
    for _ in 0..100_000 {
        if Register::SYSCTL_STATUS.read() & LOCKED != 0 {
            break;
        }
    }
    Register::SYSCTL_CLOCK.change(BYPASS, 0);
}

/// Starts both UARTs and their pins: 921 600 baud, 8 bits, no parity, with the 16-byte FIFOs of the UART.
fn start_uarts() {
    const BOTH: u32 = 1 << 0 | 1 << 1;
    const PORTS_A_AND_D: u32 = 1 << 0 | 1 << 3;
    const ON: u32 = 1;
    const BITS_8: u32 = 3 << 5;
    const FIFOS: u32 = 1 << 4;
    const BOTH_DIRECTIONS: u32 = 1 << 8 | 1 << 9;
    Register::SYSCTL_GATE_1.change(0, BOTH);
    Register::SYSCTL_GATE_2.change(0, PORTS_A_AND_D);
    cortex_m::asm::delay(8); // until their clocks run
    for (port, pins) in [(Register::GPIO_A, 1 << 0 | 1 << 1), (Register::GPIO_D, 1 << 2 | 1 << 3)] {
        port.at(Register::GPIO_FUNCTION).change(0, pins);
        port.at(Register::GPIO_DIGITAL).change(0, pins);
    }
    for uart in [Register::UART_0, Register::UART_1] {
        uart.at(Register::UART_CONTROL).write(0);
        // 50 MHz / (16 * 921 600) = 3 + 25/64
        uart.at(Register::UART_BAUD_WHOLE).write(3);
        uart.at(Register::UART_BAUD_64TH).write(25);
        uart.at(Register::UART_FORM).write(BITS_8 | FIFOS);
        uart.at(Register::UART_CONTROL).write(ON | BOTH_DIRECTIONS);
    }
}

/// Writes a byte to the second UART. Returns false if it has no room now.
pub(crate) fn report(byte: u8) -> bool {
    let room = Register::UART_1.at(Register::UART_FLAGS).read() & FLAG_OUTPUT_FULL == 0;
    if room {
        Register::UART_1.at(Register::UART_DATA).write(u32::from(byte));
    }
    room
}

/// How often input had to wait, and how often the UART lost bytes.
pub(crate) fn held_and_overruns() -> (u32, u32) {
    (HELD_COUNT.load(Ordering::Relaxed), OVERRUNS.load(Ordering::Relaxed))
}

fn start_ticks(ticks: &mut SYST) {
    ticks.set_clock_source(SystClkSource::Core);
    ticks.set_reload(CORE_HZ / 1000 - 1);
    ticks.clear_current();
    ticks.enable_interrupt();
    ticks.enable_counter();
}

#[cfg(not(debug_assertions))]
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    unsafe extern "C" {
        /// Does not exist, so a program with a reachable panic does not link.
        safe fn the_stage_can_panic() -> !;
    }
    the_stage_can_panic()
}

/// A debug build has checks that can fail. It stops here if one does.
#[cfg(debug_assertions)]
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    cortex_m::interrupt::disable();
    loop {
        cortex_m::asm::wfi();
    }
}
