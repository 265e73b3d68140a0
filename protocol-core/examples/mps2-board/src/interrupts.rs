//! The interrupts of the board: which device has which, and what happens at a fault.
#![allow(unsafe_code)]

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_rt::exception;

use crate::uart;

/// The receive interrupts of the UARTs. The transmit interrupt has the next number.
const UARTS: [i16; 4] = [0, 2, 4, 18];
#[cfg(feature = "ethernet")]
const ETHERNET: u16 = 13;

#[derive(Clone, Copy)]
struct Interrupt(u16);

// SAFETY: it is made of the numbers above, which are those of the board and do not change.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

fn unmask(number: u16) {
    // SAFETY: no critical section relies on this interrupt being off: they switch all interrupts off.
    unsafe { NVIC::unmask(Interrupt(number)) };
}

pub(crate) fn unmask_uart(number: usize) {
    if let Some(first) = UARTS.get(number) {
        unmask(first.cast_unsigned());
        unmask(first.cast_unsigned() + 1);
    }
}

#[cfg(feature = "ethernet")]
pub(crate) fn unmask_ethernet() {
    unmask(ETHERNET);
}

/// Restarts the board, because a stopped bridge would need a person to restart it.
pub fn reset() -> ! {
    SCB::sys_reset()
}

/// Every interrupt of the board.
// SAFETY: what it uses is behind a lock, so it may run at any time.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    #[cfg(feature = "ethernet")]
    if number == ETHERNET.cast_signed() {
        crate::ethernet::on_interrupt();
    }
    if let Some(uart) = UARTS.iter().position(|first| (0..2).contains(&(number - first))) {
        uart::with_side(uart, uart::UartSide::service);
    }
}

// SAFETY: it only restarts the board.
#[exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    reset()
}
