//! What goes out at one port: whole messages, in order, each payload streamed through a small ring.
//!
//! A port whose peer takes nothing for a while is *deaf*: nobody waits for it, and what is meant
//! for it is dropped whole and counted. A payload that breaks off is made up with filler, since its
//! length was promised and the frame behind it must be found.

use embedded_io::{Write, WriteReady};
use flamingo_protocol_core::{
    Frame, Responder, Transmit,
    time::{Duration, Instant},
};
use heapless::Deque;

use crate::counters::count;

/// Bytes of payloads that may wait at a port.
pub const PAYLOAD: usize = 1024;
/// A port that takes nothing for so long is deaf. An instrument gives a client up that takes nothing for 1 s.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes that stand in no text.
const FILLER: [u8; 64] = [0xFF; 64];

#[derive(Debug)]
pub(crate) struct Outlet<const FRAMES: usize> {
    line: Responder<FRAMES>,
    payload: Deque<u8, PAYLOAD>,
    /// The payload of the last message is still coming in.
    open: bool,
    /// Bytes of it that will not come: filler goes out in their place.
    missing: u32,
    /// When bytes last went out, or nothing waited.
    moved: Instant,
    /// Messages that were dropped whole.
    pub(crate) dropped: u32,
    /// Bytes of filler.
    pub(crate) filler: u32,
}

impl<const FRAMES: usize> Outlet<FRAMES> {
    pub(crate) const fn new() -> Self {
        Self {
            line: Responder::new(0), // nothing comes in here
            payload: Deque::new(),
            open: false,
            missing: 0,
            moved: Instant::from_micros(0),
            dropped: 0,
            filler: 0,
        }
    }

    /// Whether there is room for one frame and so many bytes of payload, or nobody is to wait for it.
    pub(crate) fn takes(&self, now: Instant, bytes: usize) -> bool {
        let room = PAYLOAD.saturating_sub(self.payload.len());
        let free = self.line.queued() < FRAMES && room >= bytes && self.missing == 0;
        free || self.is_deaf(now)
    }

    fn is_deaf(&self, now: Instant) -> bool {
        now.since(self.moved) >= PATIENCE
    }

    /// A frame of the instrument; its payload, if it declares one, comes next.
    pub(crate) fn pass(&mut self, frame: &Frame) {
        let fits = frame.payload_len == 0 || self.missing == 0;
        if !fits {
            count(&mut self.dropped, 1);
        }
        self.open = fits && self.say(frame) && frame.payload_len > 0;
    }

    /// A frame of the bridge's own, without a payload. It may come in the middle of a payload, and
    /// goes out behind it. Gives whether it will.
    pub(crate) fn say(&mut self, frame: &Frame) -> bool {
        let said = self.line.push(frame).is_ok();
        if !said {
            count(&mut self.dropped, 1);
        }
        said
    }

    /// Some of the payload of the last frame.
    pub(crate) fn stream(&mut self, bytes: &[u8], remaining: u32) {
        if !self.open {
            return; // its frame was dropped
        }
        let room = PAYLOAD.saturating_sub(self.payload.len());
        // What is missing goes out behind what has come: nothing may come behind that.
        let kept = if self.missing > 0 { 0 } else { room.min(bytes.len()) };
        for byte in bytes.iter().take(kept) {
            let _ = self.payload.push_back(*byte); // there is room
        }
        self.open = remaining > 0;
        count(&mut self.missing, bytes.len().saturating_sub(kept));
    }

    /// So much is missing of the payload of the last frame, and will not come.
    pub(crate) fn lose(&mut self, bytes: u32) {
        if core::mem::take(&mut self.open) {
            self.missing = self.missing.saturating_add(bytes);
        }
    }

    /// Writes as much as the port takes. Gives whether it was anything.
    pub(crate) fn transmit<P: Write + WriteReady>(&mut self, now: Instant, port: &mut P) -> bool {
        let mut moved = false;
        while port.write_ready().unwrap_or(false) {
            let Some(written) = self.write(port) else {
                self.moved = now; // nothing waits
                break;
            };
            moved |= written > 0;
            if written == 0 {
                break;
            }
        }
        if moved {
            self.moved = now;
        }
        moved
    }

    /// Writes once. `None`: nothing waits; 0: what waits cannot go now.
    fn write<P: Write>(&mut self, port: &mut P) -> Option<usize> {
        let written = match self.line.poll_transmit()? {
            Transmit::Bytes(bytes) => port.write(bytes).unwrap_or(0),
            Transmit::Payload { .. } => match self.payload.as_slices() {
                ([], _) if self.missing == 0 => return None, // it has not come yet
                ([], _) => {
                    let wanted = usize::try_from(self.missing).unwrap_or(usize::MAX);
                    let filler = FILLER.get(..wanted).unwrap_or(&FILLER);
                    let written = port.write(filler).unwrap_or(0);
                    count(&mut self.filler, written);
                    let written_u32 = u32::try_from(written).unwrap_or(u32::MAX);
                    self.missing = self.missing.saturating_sub(written_u32);
                    written
                }
                (first, _) => {
                    let written = port.write(first).unwrap_or(0);
                    for _ in 0..written {
                        self.payload.pop_front();
                    }
                    written
                }
            },
        };
        self.line.transmitted(written);
        Some(written)
    }
}
