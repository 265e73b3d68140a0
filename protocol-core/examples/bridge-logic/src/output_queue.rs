//! The output of one port: frames in order, each payload streamed through a small ring buffer.
//!
//! A port that accepts no bytes for a while is *stalled*. The bridge does not wait for it: it drops
//! whole messages for this port and counts them. If a payload is incomplete, filler completes it. Its
//! frame has declared a length, and the peer must find the next frame.

use embedded_io::{Write, WriteReady};
use flamingo_protocol_core::{
    Frame, Responder, Transmit,
    time::{Duration, Instant},
};
use heapless::Deque;

use crate::counters::count;

/// How many payload bytes may wait at a port.
pub const PAYLOAD_BUFFER: usize = 1024;
/// A port that accepts no bytes for this time is stalled. It is shorter than 1 s, because the instrument
/// closes a connection that accepts no bytes for 1 s.
const STALL_TIMEOUT: Duration = Duration::from_millis(500);
/// A byte that no UTF-8 text contains.
const FILLER: [u8; 64] = [0xFF; 64];

#[derive(Debug)]
pub(crate) struct OutputQueue<const FRAMES: usize> {
    frames: Responder<FRAMES>,
    payload: Deque<u8, PAYLOAD_BUFFER>,
    /// The payload of the last frame is still arriving.
    open: bool,
    /// Bytes of this payload that will not arrive. Filler goes out in their place.
    missing: u32,
    /// When bytes were last written, or nothing waited.
    last_write: Instant,
    /// Nobody is connected to the port, and the port reports that. Messages for it are not kept.
    detached: bool,
    /// Messages that came while nobody was connected.
    pub(crate) without_peer: u32,
    /// Whole messages that were dropped.
    pub(crate) dropped: u32,
    /// Bytes of filler.
    pub(crate) filler: u32,
}

impl<const FRAMES: usize> OutputQueue<FRAMES> {
    pub(crate) const fn new() -> Self {
        Self {
            frames: Responder::new(0), // used for output only
            payload: Deque::new(),
            open: false,
            missing: 0,
            last_write: Instant::from_micros(0),
            detached: false,
            without_peer: 0,
            dropped: 0,
            filler: 0,
        }
    }

    /// The peer has gone. What waits for it is discarded, so that the next peer begins with a whole frame.
    pub(crate) fn detach(&mut self) {
        count(&mut self.without_peer, self.frames.queued());
        self.frames = Responder::new(0);
        self.payload.clear();
        (self.open, self.missing, self.detached) = (false, 0, true);
    }

    /// A peer is connected.
    pub(crate) fn attach(&mut self, now: Instant) {
        (self.last_write, self.detached) = (now, false);
    }

    /// Whether there is room for one frame and `bytes` bytes of payload. Also true if the port is stalled,
    /// because the bridge does not wait for it then. At a port without a peer, nothing waits.
    pub(crate) fn has_room(&self, now: Instant, bytes: usize) -> bool {
        let room = PAYLOAD_BUFFER.saturating_sub(self.payload.len());
        let free = self.frames.queued() < FRAMES && room >= bytes && self.missing == 0;
        free || self.is_stalled(now)
    }

    fn is_stalled(&self, now: Instant) -> bool {
        now.since(self.last_write) >= STALL_TIMEOUT
    }

    /// Queues a frame of the instrument. Its payload, if it declares one, follows.
    pub(crate) fn begin(&mut self, frame: &Frame) {
        let fits = frame.payload_len == 0 || self.missing == 0;
        if !fits {
            count(&mut self.dropped, 1);
        }
        self.open = fits && self.push_answer(frame) && frame.payload_len > 0;
    }

    /// Queues a frame without a payload. If a payload is still arriving, the frame goes out after it.
    /// Returns whether there was room.
    pub(crate) fn push_answer(&mut self, frame: &Frame) -> bool {
        if self.detached {
            count(&mut self.without_peer, 1);
            return false;
        }
        let queued = self.frames.push(frame).is_ok();
        if !queued {
            count(&mut self.dropped, 1);
        }
        queued
    }

    /// Queues payload bytes of the last frame.
    pub(crate) fn push_payload(&mut self, bytes: &[u8], remaining: u32) {
        if !self.open {
            return; // its frame was dropped
        }
        let room = PAYLOAD_BUFFER.saturating_sub(self.payload.len());
        // The filler goes out after the bytes that wait. No byte may be queued after the filler.
        let kept = if self.missing > 0 { 0 } else { room.min(bytes.len()) };
        for byte in bytes.iter().take(kept) {
            let _ = self.payload.push_back(*byte); // there is room
        }
        self.open = remaining > 0;
        count(&mut self.missing, bytes.len().saturating_sub(kept));
    }

    /// Completes the payload of the last frame: the last `bytes` bytes will not arrive.
    pub(crate) fn fill(&mut self, bytes: u32) {
        if core::mem::take(&mut self.open) {
            self.missing = self.missing.saturating_add(bytes);
        }
    }

    /// Writes as many bytes as the port accepts. Returns whether it accepted any.
    pub(crate) fn transmit<P: Write + WriteReady>(&mut self, now: Instant, port: &mut P) -> bool {
        let mut wrote = false;
        while port.write_ready().unwrap_or(false) {
            let Some(written) = self.write(port) else {
                self.last_write = now; // nothing waits
                break;
            };
            wrote |= written > 0;
            if written == 0 {
                break;
            }
        }
        if wrote {
            self.last_write = now;
        }
        wrote
    }

    /// Writes once. `None` if nothing waits; 0 if the port accepts nothing now.
    fn write<P: Write>(&mut self, port: &mut P) -> Option<usize> {
        let written = match self.frames.poll_transmit()? {
            Transmit::Bytes(bytes) => port.write(bytes).unwrap_or(0),
            Transmit::Payload { .. } => match self.payload.as_slices() {
                ([], _) if self.missing == 0 => return None, // it has not arrived yet
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
        self.frames.transmitted(written);
        Some(written)
    }
}
