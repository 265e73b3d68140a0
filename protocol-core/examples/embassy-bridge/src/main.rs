//! The bridge on embassy: a host and a subscriber on Ethernet, the instrument on a UART. This file starts the
//! tasks; `network.rs` has those that serve the two TCP ports. The rules are in `bridge-logic`, the hardware is
//! in `mps2-board`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod network;

use bridge_logic::tasks::{Work, run};
use bridge_logic::{Application, Bridge, Report};
use embassy_executor::Spawner;
use heapless::spsc::Queue;
use mps2_board::executor::Executor;
use mps2_board::timer::start_ticks;
use mps2_board::{UartPort, interrupts, uart};
use network::{HOST, PUSH};
use static_cell::{ConstStaticCell, StaticCell};

/// The UART of the instrument, and that of the log.
const INSTRUMENT: usize = 0;
const LOG: usize = 1;

/// Wakes the task of the bridge.
static WORK: Work = Work::new();

/// The queues between the interrupts and the tasks.
struct Queues {
    from_instrument: Queue<u8, 1025>,
    /// It holds one frame at most, because a HALT cannot overtake bytes in it.
    to_instrument: Queue<u8, 129>,
    log: Queue<u8, 2049>,
}

static QUEUES: ConstStaticCell<Queues> = ConstStaticCell::new(Queues {
    from_instrument: Queue::new(),
    to_instrument: Queue::new(),
    log: Queue::new(),
});
/// All zeros at the start, so it takes no flash. It is never on the stack.
static APPLICATION: ConstStaticCell<Application> = ConstStaticCell::new(Application::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    EXECUTOR.init_with(Executor::new).run(start)
}

/// Starts the board and the tasks.
fn start(spawner: Spawner) {
    let Some(mut core) = cortex_m::Peripherals::take() else { interrupts::reset() };
    let Queues { from_instrument, to_instrument, log } = QUEUES.take();
    uart::on_work(|| WORK.wake());
    uart::open_log(LOG, log);
    let instrument = uart::open(INSTRUMENT, from_instrument, to_instrument);
    start_ticks(&mut core.SYST, 1000);
    let Ok(bridge) = bridge(instrument) else { interrupts::reset() };
    spawner.spawn(bridge);
    if !network::start(spawner) {
        defmt::error!("no network: expected a LAN9118 or LAN9220 at 0x40200000");
    }
}

/// Routes all frames, and logs the counters when they have changed.
#[embassy_executor::task]
async fn bridge(instrument: UartPort) {
    let bridge = Bridge::new(APPLICATION.take());
    let mut report = Report::new(bridge.counters(), mps2_board::counters());
    defmt::info!("bridge started");
    run(bridge, &WORK, instrument, [&HOST, &PUSH], |now, bridge| {
        let (counters, board) = report.update(now, &bridge.counters(), &mps2_board::counters());
        if let Some(counters) = counters {
            defmt::info!("{}", counters);
        }
        if let Some(board) = board {
            defmt::warn!("{}", board);
        }
    })
    .await;
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    interrupts::reset()
}
