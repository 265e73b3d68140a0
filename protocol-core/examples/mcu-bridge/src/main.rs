//! The interrupt-driven bridge: connects the bridge to the UARTs of its board and runs it in a loop that sleeps
//! between interrupts. The rules are in `bridge-logic`, the hardware is in `mps2-board`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bridge_logic::{Application, Bridge, Ports, Report};
use cortex_m_rt::exception;
use flamingo_protocol_core::time::Instant;
use heapless::spsc::Queue;
use mps2_board::timer::{Clock, start_ticks};
use mps2_board::{UartPort, interrupts, uart};

/// How often the program wakes up to check deadlines if nothing else happens.
const TICKS_PER_S: u32 = 100;
/// The UART of the log.
const LOG: usize = 3;

/// An interrupt has work for the program since the program last slept.
static WORK_PENDING: AtomicBool = AtomicBool::new(true);

/// The queues between the interrupts and the program. The log has an output queue only.
struct Queues {
    received: [Queue<u8, 1025>; 3],
    /// To the instrument. It holds one frame at most, because a HALT cannot overtake bytes in it.
    to_instrument: Queue<u8, 129>,
    to_others: [Queue<u8, 513>; 2],
    log: Queue<u8, 2049>,
}

impl Queues {
    const fn new() -> Self {
        Self {
            received: [const { Queue::new() }; 3],
            to_instrument: Queue::new(),
            to_others: [const { Queue::new() }; 2],
            log: Queue::new(),
        }
    }

    fn open(&'static mut self) -> Ports<UartPort, UartPort> {
        let [from_instrument, from_host, from_push] = self.received.each_mut();
        let [to_host, to_push] = self.to_others.each_mut();
        uart::open_log(LOG, &mut self.log);
        Ports {
            instrument: uart::open(0, from_instrument, &mut self.to_instrument),
            host: uart::open(1, from_host, to_host),
            push: uart::open(2, from_push, to_push),
        }
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut APPLICATION: Application = Application::new();
    static mut QUEUES: Queues = Queues::new();

    let Some(mut core) = cortex_m::Peripherals::take() else { interrupts::reset() };
    uart::on_work(|| WORK_PENDING.store(true, Relaxed));
    let mut ports = QUEUES.open();
    let mut clock = Clock::start();
    start_ticks(&mut core.SYST, TICKS_PER_S);
    let mut bridge = Bridge::new(APPLICATION);
    let mut report = Report::new(bridge.counters(), mps2_board::counters());
    defmt::info!("bridge started");
    loop {
        let now = Instant::from_micros(clock.micros());
        let busy = bridge.poll(now, &mut ports);
        let (counters, board) = report.update(now, &bridge.counters(), &mps2_board::counters());
        if let Some(counters) = counters {
            defmt::info!("{}", counters);
        }
        if let Some(board) = board {
            defmt::warn!("{}", board);
        }
        if !busy {
            sleep();
        }
    }
}

/// Sleeps until an interrupt. Returns at once if an interrupt had work since the last sleep.
fn sleep() {
    critical_section::with(|_| {
        if !WORK_PENDING.swap(false, Relaxed) {
            cortex_m::asm::wfi(); // a masked interrupt wakes it, too
        }
    });
}

#[exception]
fn SysTick() {
    WORK_PENDING.store(true, Relaxed);
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    interrupts::reset()
}
