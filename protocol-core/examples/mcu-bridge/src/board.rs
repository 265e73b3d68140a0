//! The board (MPS2 with the Cortex-M4 of AN386): UARTs, timer, interrupts, log. All unsafe code is in
//! this file. It does not interpret the bytes. The program reads and writes them in `uart_port.rs`.
//!
//! Each UART has two queues. Its interrupt moves bytes between the queues and the UART. A byte that
//! finds no room in the queue stays in the UART, and the receive interrupt is off until there is room.
//! If more bytes arrive meanwhile, the UART reports an overrun, which is counted.

use core::cell::RefCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_rt::exception;
use critical_section::{Mutex, RestoreState};
use flamingo_protocol_core::{time::Instant, wire::FRAME_LEN};
use heapless::spsc::{Consumer, Producer, Queue};
use mcu_bridge::Ports;

use crate::log::Log;
use crate::uart_port::UartPort;

/// The clock of core, timer and UARTs, in MHz.
const CLOCK_MHZ: u32 = 25;
/// How often the program wakes up to check deadlines if nothing else happens.
const TICKS_PER_S: u32 = 100;
/// The most time that the clock advances at once, in timer ticks. The program reads the timer at every
/// tick. If more time has passed, a debugger or an emulator paused it, and no timeout may expire for that.
const MAX_STEP: u32 = CLOCK_MHZ * 1_000_000 / 10;
/// This many received bytes wake the program at once; fewer wait for the next tick. It is half a frame,
/// so that a whole frame never waits.
const WAKE_LEN: usize = FRAME_LEN / 2;
/// Bits per second = clock / divider. The UART supports no smaller divider; it gives 1.56 Mbit/s.
const BAUD_DIVIDER: u32 = 16;

const LOG: usize = 3;
/// The UARTs and their receive interrupts. The transmit interrupt has the next number.
const UARTS: [(Uart, u16); 4] = [
    (Uart(0x4000_4000), 0),
    (Uart(0x4000_5000), 2),
    (Uart(0x4000_6000), 4),
    (Uart(0x4000_7000), 18),
];
const TIMER: usize = 0x4000_0000;

/// A CMSDK UART at this address.
#[derive(Clone, Copy)]
struct Uart(usize);

impl Uart {
    const DATA: usize = 0x00;
    const STATE: usize = 0x04;
    const CTRL: usize = 0x08;
    const INTCLEAR: usize = 0x0C;
    const BAUDDIV: usize = 0x10;
    const TX_FULL: u32 = 1;
    const RX_FULL: u32 = 1 << 1;
    const RX_OVERRUN: u32 = 1 << 3;
    const TX_ENABLED: u32 = 1;
    const RX_ENABLED: u32 = 1 << 1;
    const TX_INTERRUPT: u32 = 1 << 2;
    const RX_INTERRUPT: u32 = 1 << 3;

    fn start(self) {
        write(self.0 + Self::BAUDDIV, BAUD_DIVIDER);
        self.enable_receive(true);
    }

    fn enable_receive(self, on: bool) {
        let always = Self::TX_ENABLED | Self::RX_ENABLED | Self::TX_INTERRUPT;
        write(self.0 + Self::CTRL, if on { always | Self::RX_INTERRUPT } else { always });
    }

    fn is(self, state: u32) -> bool {
        read(self.0 + Self::STATE) & state != 0
    }
}

fn read(register: usize) -> u32 {
    // SAFETY: only called with addresses of this file, which are aligned registers of the board;
    // reading one touches no memory of the program.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance(register)) }
}

fn write(register: usize, value: u32) {
    // SAFETY: as above; no written value makes a device access the program's memory.
    unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(register), value) }
}

/// The queues between the interrupts and the program. The log has an output queue only.
pub struct Queues {
    received: [Queue<u8, 1025>; 3],
    /// To the instrument. It holds one frame at most, because a HALT cannot overtake bytes in it.
    to_instrument: Queue<u8, 129>,
    to_others: [Queue<u8, 513>; 2],
    log: Queue<u8, 2049>,
}

impl Queues {
    pub const fn new() -> Self {
        Self {
            received: [const { Queue::new() }; 3],
            to_instrument: Queue::new(),
            to_others: [const { Queue::new() }; 2],
            log: Queue::new(),
        }
    }
}

/// The interrupt's side of a UART.
pub struct UartSide {
    uart: Uart,
    /// `None` if received bytes are discarded.
    received: Option<Producer<'static, u8>>,
    to_send: Consumer<'static, u8>,
    receives: bool,
    overruns: u32,
    held: u32,
}

static UART_SIDES: [Mutex<RefCell<Option<UartSide>>>; 4] =
    [const { Mutex::new(RefCell::new(None)) }; 4];
/// An interrupt has work for the program since the program last slept.
static WORK_PENDING: AtomicBool = AtomicBool::new(true);
static LOG_DROPPED: AtomicU32 = AtomicU32::new(0);

/// The counters of the board, by UART.
#[derive(Clone, Copy, PartialEq, Eq, Default, defmt::Format)]
pub struct Counters {
    /// How often a UART lost bytes by an overrun.
    overruns: [u32; 4],
    /// How often a byte waited in the UART for room in the queue.
    held: [u32; 4],
    /// Lines of the log that were dropped.
    log_dropped: u32,
}

pub fn counters() -> Counters {
    let mut counters = Counters { log_dropped: LOG_DROPPED.load(Relaxed), ..Counters::default() };
    for (number, (overruns, held)) in
        counters.overruns.iter_mut().zip(&mut counters.held).enumerate()
    {
        with_uart(number, |line| (*overruns, *held) = (line.overruns, line.held));
    }
    counters
}

impl UartSide {
    /// Moves bytes between the UART and the queues until nothing more fits.
    pub fn service(&mut self) {
        let uart = self.uart;
        write(uart.0 + Uart::INTCLEAR, 0b1111);
        while uart.is(Uart::RX_FULL) {
            if self.received.as_ref().is_some_and(|queue| !queue.ready()) {
                if core::mem::replace(&mut self.receives, false) {
                    uart.enable_receive(false);
                    self.held = self.held.saturating_add(1);
                }
                break;
            }
            let [byte, ..] = read(uart.0 + Uart::DATA).to_le_bytes();
            if let Some(queue) = &mut self.received {
                let _ = queue.enqueue(byte); // it is ready
            }
        }
        if uart.is(Uart::RX_OVERRUN) {
            write(uart.0 + Uart::STATE, Uart::RX_OVERRUN);
            self.overruns = self.overruns.saturating_add(1);
        }
        let was_sending = self.to_send.ready();
        while !uart.is(Uart::TX_FULL)
            && let Some(byte) = self.to_send.dequeue()
        {
            write(uart.0 + Uart::DATA, byte.into());
        }
        let enough = self.received.as_ref().is_some_and(|queue| queue.len() >= WAKE_LEN);
        if enough || was_sending && !self.to_send.ready() {
            WORK_PENDING.store(true, Relaxed);
        }
    }

    /// Receives again, because there is room again.
    pub fn resume_receive(&mut self) {
        if !core::mem::replace(&mut self.receives, true) {
            self.uart.enable_receive(true);
            self.service();
        }
    }
}

/// Runs `act` on the interrupt's side of a UART with interrupts off.
pub fn with_uart(number: usize, act: impl FnOnce(&mut UartSide)) {
    critical_section::with(|cs| {
        let mut line =
            UART_SIDES.get(number).and_then(|line| line.borrow(cs).try_borrow_mut().ok());
        if let Some(line) = line.as_mut().and_then(|line| line.as_mut()) {
            act(line);
        }
    });
}

/// The clock, from a timer that wraps around every 171 s. `now` must be called more often.
pub struct Board {
    last: u32,
    ticks: u64,
}

impl Board {
    /// Starts the UARTs, the interrupts and the timer. `None` if they were started before.
    pub fn start(queues: &'static mut Queues) -> Option<(Self, Ports<UartPort>)> {
        let mut core = cortex_m::Peripherals::take()?;
        let [from_instrument, from_host, from_push] = queues.received.each_mut();
        let [to_host, to_push] = queues.to_others.each_mut();
        let ports = Ports {
            instrument: open(0, from_instrument.split(), queues.to_instrument.split()),
            host: open(1, from_host.split(), to_host.split()),
            push: open(2, from_push.split(), to_push.split()),
        };
        let (to_log, logged) = queues.log.split();
        install(LOG, None, logged);
        with_log(|state| state.open(to_log));
        for (uart, interrupt) in UARTS {
            uart.start();
            for number in [interrupt, interrupt + 1] {
                // SAFETY: no critical section relies on these interrupts being off.
                unsafe { NVIC::unmask(Interrupt(number)) };
            }
        }
        write(TIMER + 0x08, u32::MAX); // reload
        write(TIMER + 0x04, u32::MAX); // value
        write(TIMER, 1); // enable
        core.SYST.set_clock_source(SystClkSource::Core);
        core.SYST.set_reload(CLOCK_MHZ * 1_000_000 / TICKS_PER_S - 1);
        core.SYST.clear_current();
        core.SYST.enable_interrupt();
        core.SYST.enable_counter();
        Some((Self { last: u32::MAX, ticks: 0 }, ports))
    }

    pub fn now(&mut self) -> Instant {
        let value = read(TIMER + 0x04);
        let passed = self.last.wrapping_sub(value);
        // An emulated timer may step back a little. Then no time has passed.
        if passed <= u32::MAX / 2 {
            self.ticks += u64::from(passed.min(MAX_STEP));
            self.last = value;
        }
        Instant::from_micros(self.ticks / u64::from(CLOCK_MHZ))
    }
}

type QueueInput = Producer<'static, u8>;
type QueueOutput = Consumer<'static, u8>;

fn open(
    number: usize,
    inward: (QueueInput, QueueOutput),
    outward: (QueueInput, QueueOutput),
) -> UartPort {
    let ((received, to_program), (to_send, to_line)) = (inward, outward);
    install(number, Some(received), to_line);
    UartPort::new(number, to_program, to_send)
}

fn install(number: usize, received: Option<Producer<'static, u8>>, to_send: Consumer<'static, u8>) {
    if let (Some((uart, _)), Some(line)) = (UARTS.get(number), UART_SIDES.get(number)) {
        let new = UartSide { uart: *uart, received, to_send, receives: true, overruns: 0, held: 0 };
        critical_section::with(|cs| line.borrow(cs).replace(Some(new)));
    }
}

/// Sleeps until an interrupt. Returns at once if an interrupt had work since the last sleep.
pub fn sleep() {
    critical_section::with(|_| {
        if !WORK_PENDING.swap(false, Relaxed) {
            cortex_m::asm::wfi(); // a masked interrupt wakes it, too
        }
    });
}

/// Restarts the board.
pub fn reset() -> ! {
    SCB::sys_reset()
}

#[derive(Clone, Copy)]
struct Interrupt(u16);

// SAFETY: these are the interrupt numbers of the board, and they do not change.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

#[exception]
fn SysTick() {
    WORK_PENDING.store(true, Relaxed);
}

/// Every interrupt of the board.
// SAFETY: no other exception is enabled, and this handler may be interrupted.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    let of = |(_, first): &(Uart, u16)| (0..2).contains(&(i32::from(number) - i32::from(*first)));
    if let Some(uart) = UARTS.iter().position(of) {
        with_uart(uart, UartSide::service);
    }
}

#[exception] // SAFETY: it only restarts the board.
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    reset()
}

static LOG_STATE: Mutex<RefCell<Log>> = Mutex::new(RefCell::new(Log::new()));

fn with_log(act: impl FnOnce(&mut Log)) {
    critical_section::with(|cs| {
        if let Ok(mut log) = LOG_STATE.borrow(cs).try_borrow_mut() {
            act(&mut log);
        }
    });
}

#[defmt::global_logger]
struct Logger;

// SAFETY: interrupts are off from `acquire` to `release`, so nothing else acquires the logger, and
// `release` restores the state that `acquire` saved.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: defmt calls `release` once for each call of this, and `release` releases it.
        let interrupts = unsafe { critical_section::acquire() };
        with_log(|log| {
            log.begin(interrupts);
        });
    }

    unsafe fn flush() {} // it would block

    unsafe fn write(bytes: &[u8]) {
        with_log(|log| log.put(bytes));
    }

    unsafe fn release() {
        let (mut interrupts, mut fitted) = (RestoreState::invalid(), true);
        with_log(|log| {
            (interrupts, fitted) = log.end();
        });
        if !fitted {
            LOG_DROPPED.fetch_add(1, Relaxed);
        }
        with_uart(LOG, UartSide::service);
        // SAFETY: `acquire` was called before and returned this state.
        unsafe { critical_section::release(interrupts) };
    }
}
