//! One client of the bridge: what it sends, taken apart into whole commands, and what it is to be
//! sent, as whole messages. It knows nothing of the other clients or of the instrument.

use std::collections::VecDeque;
use std::sync::Arc;

use flamingo_protocol_core::{Frame, Incoming, Instant, Responder, Ticket};

use super::Limits;
use super::token_bucket::Bucket;
use crate::settings::{Delivery, Role};
use crate::status::counters::ClientCounters;

/// Lines of the log about what is refused to one client.
const NOTES_PER_S: u64 = 5;

/// A command with its payload, whole.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) frame: Frame,
    pub(super) payload: Arc<[u8]>,
    /// When it came.
    pub(super) since: Instant,
}

/// What a client's bytes turned out to be.
#[derive(Debug)]
pub(super) enum Heard {
    Command(Command),
    /// An upload that is longer than it may be: its bytes are thrown away as they come.
    TooLong(Frame),
}

/// An upload that comes in.
#[derive(Debug)]
struct Upload {
    frame: Frame,
    payload: Vec<u8>,
    /// Its bytes are not kept.
    refused: bool,
    /// When its last bytes came.
    last: Instant,
}

/// A client that is connected.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) role: Role,
    pub(super) delivery: Delivery,
    pub(super) address: String,
    pub(super) since: Instant,
    /// Commands that have come and were not handed on, in order.
    pub(super) waiting: VecDeque<Command>,
    /// The one that was handed on and is not out yet.
    pub(super) queued: Option<Ticket>,
    /// Commands that were handed on and have no outcome yet.
    pub(super) in_flight: usize,
    pub(super) counters: ClientCounters,
    /// It sends nothing more; what it asked is still answered.
    pub(super) finished: bool,
    /// It is to be closed; nothing more is taken from it.
    pub(super) cut: bool,
    input: Responder<1>,
    upload: Option<Upload>,
    noise_in_a_row: u64,
    out: Vec<u8>,
    written: usize,
    commands: Bucket,
    bytes: Bucket,
    notes: Bucket,
}

impl Client {
    pub(super) fn new(
        now: Instant,
        address: String,
        role: Role,
        delivery: Delivery,
        limits: &Limits,
    ) -> Self {
        Self {
            role,
            delivery,
            address,
            since: now,
            waiting: VecDeque::new(),
            queued: None,
            in_flight: 0,
            counters: ClientCounters::default(),
            finished: false,
            cut: false,
            input: Responder::default(),
            upload: None,
            noise_in_a_row: 0,
            out: Vec::new(),
            written: 0,
            commands: Bucket::new(now, u64::from(limits.commands_per_s)),
            bytes: Bucket::new(now, limits.bytes_per_s),
            notes: Bucket::new(now, NOTES_PER_S),
        }
    }

    /// Takes bytes up to the end of the next command. `room`: how many bytes of uploads may be
    /// held for this client. Gives how many were taken.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        bytes: &[u8],
        room: usize,
    ) -> (usize, Option<Heard>) {
        let noise = self.input.noise_bytes();
        let (consumed, incoming) = self.input.handle_input(bytes);
        self.counters.bytes_in += consumed as u64;
        let new_noise = self.input.noise_bytes() - noise;
        self.counters.noise_bytes += new_noise;
        self.noise_in_a_row += new_noise;
        let heard = match incoming {
            None => None,
            Some(Incoming::Command { frame, .. }) => {
                self.noise_in_a_row = 0;
                self.begin(now, frame, room)
            }
            Some(Incoming::Payload { bytes, remaining }) => self.go_on(now, bytes, remaining),
        };
        (consumed, heard)
    }

    fn begin(&mut self, now: Instant, frame: Frame, room: usize) -> Option<Heard> {
        if frame.payload_len == 0 {
            return Some(Heard::Command(Command { frame, payload: Arc::from([]), since: now }));
        }
        let refused = frame.payload_len as usize > room;
        self.upload = Some(Upload { frame, payload: Vec::new(), refused, last: now });
        None
    }

    fn go_on(&mut self, now: Instant, bytes: &[u8], remaining: u32) -> Option<Heard> {
        let upload = self.upload.as_mut()?;
        upload.last = now;
        if !upload.refused {
            upload.payload.extend_from_slice(bytes);
        }
        if remaining > 0 {
            return None;
        }
        let Upload { frame, payload, refused, .. } = self.upload.take()?;
        Some(if refused {
            Heard::TooLong(frame)
        } else {
            Heard::Command(Command { frame, payload: payload.into(), since: now })
        })
    }

    /// Bytes of uploads that are held for it, or will be.
    pub(super) fn held(&self) -> usize {
        let coming = self.upload.as_ref().filter(|upload| !upload.refused);
        let coming = coming.map_or(0, |upload| upload.frame.payload_len as usize);
        coming + self.waiting.iter().map(|command| command.payload.len()).sum::<usize>()
    }

    /// When its upload last went on, if one is coming in.
    pub(super) fn upload_went_on(&self) -> Option<Instant> {
        self.upload.as_ref().map(|upload| upload.last)
    }

    /// Whether the log may have one more line about what is refused to it.
    pub(super) fn may_be_noted(&mut self, now: Instant) -> bool {
        self.notes.take(now, 1)
    }

    /// Bytes in a row that were no frame.
    pub(super) fn noise_in_a_row(&self) -> u64 {
        self.noise_in_a_row
    }

    /// Whether it may send a command of so many bytes now, by its rates.
    pub(super) fn may_send(&mut self, now: Instant, bytes: usize) -> bool {
        // Both count, whatever becomes of it.
        let command = self.commands.take(now, 1);
        let bytes = self.bytes.take(now, bytes as u64);
        command && bytes
    }

    /// Puts a whole message behind what waits to be written, unless `most` bytes wait already.
    /// One message has room at any length: a client that reads is to get it. Gives whether.
    pub(super) fn tell(&mut self, message: &[u8], most: usize) -> bool {
        let waits = self.out.len() - self.written;
        if waits >= most {
            return false;
        }
        if self.written > 0 {
            self.out.drain(..self.written);
            self.written = 0;
        }
        self.out.extend_from_slice(message);
        true
    }

    /// What is to be written next.
    pub(super) fn to_write(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or(&[])
    }

    pub(super) fn wrote(&mut self, count: usize) {
        self.counters.bytes_out += count as u64;
        self.written = (self.written + count).min(self.out.len());
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }

    /// It may still ask something.
    pub(super) fn is_present(&self) -> bool {
        !self.finished && !self.cut
    }

    /// Nothing is left to do for it.
    pub(super) fn is_done(&self) -> bool {
        let asked = self.waiting.len() + self.in_flight + usize::from(self.queued.is_some());
        self.finished && asked == 0 && self.to_write().is_empty()
    }
}
