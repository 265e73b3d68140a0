//! The bridge on embassy, on an RP2040: the instrument on UART 0 (pins 0 and 1), a host on USB. The board is two
//! serial ports for the host: the first one for commands and their answers, the second one for unsolicited frames.
//! This file starts the tasks; `usb.rs` has those of USB. The rules are in `bridge-logic`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod usb;

use bridge_logic::tasks::{Link, Work, run};
use bridge_logic::{Application, Bridge, Report};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_rp::bind_interrupts;
use embassy_rp::peripherals::{UART0, USB};
use embassy_rp::uart::{
    BufferedInterruptHandler, BufferedUart, BufferedUartRx, BufferedUartTx, Config,
};
use static_cell::ConstStaticCell;
use usb::{HOST, PUSH};

const BAUD_RATE: u32 = 921_600;

/// Wakes the task of the bridge.
static WORK: Work = Work::new();
/// Between the bridge and the instrument. Its output holds one frame at most, because a HALT cannot overtake
/// bytes in it.
static INSTRUMENT: Link<1024, 128> = Link::new();
/// All zeros at the start, so it takes no flash. It is never on the stack.
static APPLICATION: ConstStaticCell<Application> = ConstStaticCell::new(Application::new());

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
    USBCTRL_IRQ => embassy_rp::usb::InterruptHandler<USB>;
});

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static TO_SEND: ConstStaticCell<[u8; 32]> = ConstStaticCell::new([0; 32]);
    static RECEIVED: ConstStaticCell<[u8; 1024]> = ConstStaticCell::new([0; 1024]);
    let board = embassy_rp::init(embassy_rp::config::Config::default());
    let mut config = Config::default();
    config.baudrate = BAUD_RATE;
    let (to_send, received) = (TO_SEND.take(), RECEIVED.take());
    let (uart, tx, rx) = (board.UART0, board.PIN_0, board.PIN_1);
    let uart = BufferedUart::new(uart, tx, rx, Interrupts, to_send, received, config);
    let (to_instrument, from_instrument) = uart.split();
    // Each task is spawned once, so it has room.
    if let (Ok(bridge), Ok(instrument)) = (bridge(), instrument(from_instrument, to_instrument)) {
        spawner.spawn(bridge);
        spawner.spawn(instrument);
    }
    usb::start(spawner, board.USB);
}

/// Routes all frames, and logs the counters when they have changed.
#[embassy_executor::task]
async fn bridge() {
    let bridge = Bridge::new(APPLICATION.take());
    let mut report = Report::new(bridge.counters(), ());
    defmt::info!("bridge started");
    run(bridge, &WORK, INSTRUMENT.port(), [&HOST, &PUSH], |now, bridge| {
        if let (Some(counters), _) = report.update(now, &bridge.counters(), &()) {
            defmt::info!("{}", counters);
        }
    })
    .await;
}

/// Carries the bytes of the instrument.
#[embassy_executor::task]
async fn instrument(mut receiver: BufferedUartRx, mut sender: BufferedUartTx) {
    loop {
        INSTRUMENT.carry(&WORK, &mut receiver, &mut sender).await;
        defmt::warn!("the UART lost bytes or received noise");
    }
}

/// Restarts the board, because a stopped bridge would need a person to restart it.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
