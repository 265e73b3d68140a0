//! The log: encodes one line after the other with defmt. A complete line goes into the queue of the UART;
//! without room it is dropped and counted. It never waits. Interrupts are off while a line is written.
#![allow(unsafe_code)]

use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use critical_section::{Mutex, RestoreState};
use defmt::Encoder;
use heapless::Vec;
use heapless::spsc::Producer;

use crate::uart::{UartSide, with_side};

/// The longest line, in bytes.
const MAX_LINE: usize = 512;

struct Log {
    encoder: Encoder,
    line: Vec<u8, MAX_LINE>,
    too_long: bool,
    /// The queue of the UART; `None` before the UART is started.
    queue: Option<Producer<'static, u8>>,
    /// The number of that UART.
    uart: usize,
    /// The state of the interrupts before this line.
    interrupts: RestoreState,
}

impl Log {
    const fn new() -> Self {
        Self {
            encoder: Encoder::new(),
            line: Vec::new(),
            too_long: false,
            queue: None,
            uart: 0,
            interrupts: RestoreState::invalid(),
        }
    }

    fn begin(&mut self, interrupts: RestoreState) {
        let Self { encoder, line, too_long, .. } = self;
        line.clear();
        *too_long = false;
        encoder.start_frame(|bytes| *too_long |= line.extend_from_slice(bytes).is_err());
        self.interrupts = interrupts;
    }

    fn put(&mut self, bytes: &[u8]) {
        let Self { encoder, line, too_long, .. } = self;
        encoder.write(bytes, |bytes| *too_long |= line.extend_from_slice(bytes).is_err());
    }

    /// Ends the line. Returns the earlier state of the interrupts, and whether the line had room.
    fn end(&mut self) -> (RestoreState, bool) {
        let Self { encoder, line, too_long, queue, interrupts, .. } = self;
        encoder.end_frame(|bytes| *too_long |= line.extend_from_slice(bytes).is_err());
        let has_room = |queue: &Producer<u8>| queue.capacity() - queue.len() >= line.len();
        let queue = queue.as_mut().filter(|queue| !*too_long && has_room(queue));
        let fits = queue.is_some();
        if let Some(queue) = queue {
            for byte in &*line {
                let _ = queue.enqueue(*byte); // there is room
            }
        }
        (*interrupts, fits)
    }
}

static LOG: Mutex<RefCell<Log>> = Mutex::new(RefCell::new(Log::new()));
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// How many lines were dropped.
pub(crate) fn dropped() -> u32 {
    DROPPED.load(Relaxed)
}

/// From here on, lines go into the queue of this UART.
pub(crate) fn open(uart: usize, queue: Producer<'static, u8>) {
    with_log(|log| (log.uart, log.queue) = (uart, Some(queue)));
}

fn with_log(act: impl FnOnce(&mut Log)) {
    critical_section::with(|cs| {
        if let Ok(mut log) = LOG.borrow(cs).try_borrow_mut() {
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
        with_log(|log| log.begin(interrupts));
    }

    unsafe fn flush() {} // it would block

    unsafe fn write(bytes: &[u8]) {
        with_log(|log| log.put(bytes));
    }

    unsafe fn release() {
        let (mut interrupts, mut fitted, mut uart) = (RestoreState::invalid(), true, 0);
        with_log(|log| {
            (interrupts, fitted) = log.end();
            uart = log.uart;
        });
        if !fitted {
            DROPPED.fetch_add(1, Relaxed);
        }
        with_side(uart, UartSide::service);
        // SAFETY: `acquire` was called before and returned this state.
        unsafe { critical_section::release(interrupts) };
    }
}
