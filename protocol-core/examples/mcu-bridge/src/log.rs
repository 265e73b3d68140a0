//! Encodes one line of the log. A complete line goes into the queue of the UART; without room it is
//! dropped. It never waits. `board.rs` connects it to defmt and keeps interrupts off meanwhile.

use critical_section::RestoreState;
use defmt::Encoder;
use heapless::Vec;
use heapless::spsc::Producer;

/// The longest line, in bytes.
const MAX_LINE: usize = 512;

pub struct Log {
    encoder: Encoder,
    line: Vec<u8, MAX_LINE>,
    too_long: bool,
    /// The queue of the UART; `None` before the UART is started.
    queue: Option<Producer<'static, u8>>,
    /// The state of the interrupts before this line.
    interrupts: RestoreState,
}

impl Log {
    pub const fn new() -> Self {
        Self {
            encoder: Encoder::new(),
            line: Vec::new(),
            too_long: false,
            queue: None,
            interrupts: RestoreState::invalid(),
        }
    }

    pub fn open(&mut self, queue: Producer<'static, u8>) {
        self.queue = Some(queue);
    }

    pub fn begin(&mut self, interrupts: RestoreState) {
        let Self { encoder, line, too_long, .. } = self;
        line.clear();
        *too_long = false;
        encoder.start_frame(|bytes| *too_long |= line.extend_from_slice(bytes).is_err());
        self.interrupts = interrupts;
    }

    pub fn put(&mut self, bytes: &[u8]) {
        let Self { encoder, line, too_long, .. } = self;
        encoder.write(bytes, |bytes| *too_long |= line.extend_from_slice(bytes).is_err());
    }

    /// Ends the line. Returns the earlier state of the interrupts, and whether the line had room.
    pub fn end(&mut self) -> (RestoreState, bool) {
        let Self { encoder, line, too_long, queue, interrupts } = self;
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
