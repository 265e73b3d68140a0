//! The UARTs. Each has two queues. Its interrupt moves bytes between the queues and the UART. A byte that
//! finds no room in the queue stays in the UART, and the receive interrupt is off until there is room.
//! If more bytes arrive meanwhile, the UART reports an overrun, which is counted.

use core::cell::{Cell, RefCell};

use critical_section::Mutex;
use heapless::spsc::{Consumer, Producer, Queue};

use crate::interrupts;
use crate::log;
use crate::registers::{Device, Register};
use crate::uart_port::UartPort;

/// This many received bytes are work at once; fewer wait for the next tick of the program. It is half a
/// frame of 128 bytes, so that a whole frame never waits.
const WAKE_LEN: usize = 64;
/// Bits per second = clock / divider. The UART supports no smaller divider; it gives 1.56 Mbit/s.
const BAUD_DIVIDER: u32 = 16;

/// A CMSDK UART.
#[derive(Clone, Copy)]
struct Uart(Device);

impl Uart {
    const TX_FULL: u32 = 1;
    const RX_FULL: u32 = 1 << 1;
    const RX_OVERRUN: u32 = 1 << 3;
    const TX_ENABLED: u32 = 1;
    const RX_ENABLED: u32 = 1 << 1;
    const TX_INTERRUPT: u32 = 1 << 2;
    const RX_INTERRUPT: u32 = 1 << 3;

    const fn data(self) -> Register {
        self.0.at(0x00)
    }

    const fn state(self) -> Register {
        self.0.at(0x04)
    }

    fn start(self) {
        self.0.at(0x10).write(BAUD_DIVIDER);
        self.enable_receive(true);
    }

    fn enable_receive(self, on: bool) {
        let always = Self::TX_ENABLED | Self::RX_ENABLED | Self::TX_INTERRUPT;
        self.0.at(0x08).write(if on { always | Self::RX_INTERRUPT } else { always });
    }

    fn clear_interrupts(self) {
        self.0.at(0x0C).write(0b1111);
    }

    fn is(self, state: u32) -> bool {
        self.state().read() & state != 0
    }
}

/// The interrupt's side of a UART.
pub(crate) struct UartSide {
    uart: Uart,
    /// `None` if received bytes are discarded.
    received: Option<Producer<'static, u8>>,
    to_send: Consumer<'static, u8>,
    receives: bool,
    overruns: u32,
    held: u32,
}

static SIDES: [Mutex<RefCell<Option<UartSide>>>; 4] = [const { Mutex::new(RefCell::new(None)) }; 4];
static ON_WORK: Mutex<Cell<fn()>> = Mutex::new(Cell::new(|| {}));

/// Sets what happens when an interrupt has work for the program: half a frame came, or an output queue has
/// become empty. It runs in the interrupt.
pub fn on_work(act: fn()) {
    critical_section::with(|cs| ON_WORK.borrow(cs).set(act));
}

/// Opens UART `number` (0 to 3) with an input and an output queue. A UART that does not exist never has
/// bytes.
pub fn open<const IN: usize, const OUT: usize>(
    number: usize,
    received: &'static mut Queue<u8, IN>,
    to_send: &'static mut Queue<u8, OUT>,
) -> UartPort {
    let ((inward, to_program), (outward, to_line)) = (received.split(), to_send.split());
    start(number, Some(inward), to_line);
    UartPort::new(number, to_program, outward)
}

/// Opens UART `number` for the log. Bytes that it receives are discarded.
pub fn open_log<const OUT: usize>(number: usize, queue: &'static mut Queue<u8, OUT>) {
    let (outward, to_line) = queue.split();
    start(number, None, to_line);
    log::open(number, outward);
}

fn start(number: usize, received: Option<Producer<'static, u8>>, to_send: Consumer<'static, u8>) {
    let (Some(device), Some(side)) = (Device::UARTS.get(number), SIDES.get(number)) else { return };
    let uart = Uart(*device);
    let new = UartSide { uart, received, to_send, receives: true, overruns: 0, held: 0 };
    critical_section::with(|cs| side.borrow(cs).replace(Some(new)));
    uart.start();
    interrupts::unmask_uart(number);
}

impl UartSide {
    /// Moves bytes between the UART and the queues until nothing more fits.
    pub(crate) fn service(&mut self) {
        let uart = self.uart;
        uart.clear_interrupts();
        while uart.is(Uart::RX_FULL) {
            if self.received.as_ref().is_some_and(|queue| !queue.ready()) {
                if core::mem::replace(&mut self.receives, false) {
                    uart.enable_receive(false);
                    self.held = self.held.saturating_add(1);
                }
                break;
            }
            let [byte, ..] = uart.data().read().to_le_bytes();
            if let Some(queue) = &mut self.received {
                let _ = queue.enqueue(byte); // it is ready
            }
        }
        if uart.is(Uart::RX_OVERRUN) {
            uart.state().write(Uart::RX_OVERRUN);
            self.overruns = self.overruns.saturating_add(1);
        }
        let was_sending = self.to_send.ready();
        while !uart.is(Uart::TX_FULL)
            && let Some(byte) = self.to_send.dequeue()
        {
            uart.data().write(byte.into());
        }
        let enough = self.received.as_ref().is_some_and(|queue| queue.len() >= WAKE_LEN);
        if enough || was_sending && !self.to_send.ready() {
            critical_section::with(|cs| ON_WORK.borrow(cs).get())();
        }
    }

    /// Receives again, because there is room again.
    pub(crate) fn resume_receive(&mut self) {
        if !core::mem::replace(&mut self.receives, true) {
            self.uart.enable_receive(true);
            self.service();
        }
    }

    /// How often bytes were lost by an overrun, and how often a byte waited in the UART.
    pub(crate) fn losses(&self) -> (u32, u32) {
        (self.overruns, self.held)
    }
}

/// Runs `act` on the interrupt's side of a UART with interrupts off.
pub(crate) fn with_side(number: usize, act: impl FnOnce(&mut UartSide)) {
    critical_section::with(|cs| {
        let mut side = SIDES.get(number).and_then(|side| side.borrow(cs).try_borrow_mut().ok());
        if let Some(side) = side.as_mut().and_then(|side| side.as_mut()) {
            act(side);
        }
    });
}
