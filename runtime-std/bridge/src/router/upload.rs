//! The payload that a client's command declares: whether it is accepted, how much of it the bridge
//! holds, and how slowly it may come. The payloads that wait for the instrument are in the queues of
//! `client.rs`. The limits are settings (`settings/limits.rs`).

use flamingo_protocol_core::{
    Frame,
    time::{Duration, Instant},
    wire::{MAX_PAYLOAD, Payload},
};

use super::client::Client;
use super::permissions::is_stop;
use super::{ClientId, Router};
use crate::settings::{LimitSettings, Role};

/// From then on, an upload must not be slower than its minimum.
const GRACE: Duration = Duration::from_millis(5_000);

const TOO_LONG: &str = "upload refused: larger than the bridge may hold";
const NO_ROOM: &str = "upload refused: other uploads take the room of the bridge";

/// What becomes of the payload that a command declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadUse {
    /// It is collected, and forwarded with its command.
    Forward,
    /// The command is a stop, which does not wait for it. It is read and dropped, apart from the stops
    /// in it (`hidden_stops.rs`).
    Drop,
    /// The command is a stop, and no payload is that long: none is expected.
    Ignore,
    /// The instrument may not expect it, and would then read it as commands. Nobody knows where the
    /// next command begins: the connection to the client ends, for this reason.
    Distrust(&'static str),
}

impl PayloadUse {
    /// For a command that declares a payload.
    pub(super) fn of(command: &Frame) -> Self {
        let is_possible = command.payload_len <= MAX_PAYLOAD;
        let payload = command.code.row().map(|row| row.payload);
        match payload {
            _ if is_stop(command) && is_possible => Self::Drop,
            _ if is_stop(command) => Self::Ignore,
            _ if !is_possible => Self::Distrust("a payload above 32 MiB: the connection ends"),
            Some(Payload::Up | Payload::Both) => Self::Forward,
            None => Self::Distrust("an unknown code with a payload: the connection ends"),
            Some(Payload::None | Payload::Down) => {
                Self::Distrust("this command takes no payload: the connection ends")
            }
        }
    }
}

/// Whether the bytes of an upload are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Held,
    /// They are dropped. The client has the answer to its command, or gets it.
    Dropped,
    /// They are dropped, and the command is refused for this reason when the last of them has come.
    Refused(&'static str),
}

/// A payload that is arriving.
#[derive(Debug)]
pub(super) struct Upload {
    frame: Frame,
    fate: Fate,
    begun: Instant,
    last_progress: Instant,
    received: u64,
}

impl Upload {
    fn new(now: Instant, frame: Frame, fate: Fate) -> Self {
        Self { frame, fate, begun: now, last_progress: now, received: 0 }
    }

    /// An upload whose bytes are held as long as there is room. `longest`: the longest payload of its
    /// client.
    pub(super) fn held(now: Instant, frame: Frame, longest: usize) -> Self {
        let fits = frame.payload_len as usize <= longest;
        Self::new(now, frame, if fits { Fate::Held } else { Fate::Refused(TOO_LONG) })
    }

    /// The payload of a stop.
    pub(super) fn dropped(now: Instant, frame: Frame) -> Self {
        Self::new(now, frame, Fate::Dropped)
    }

    /// Counts bytes that have come; `room` of them may be held. Returns whether they are held.
    pub(super) fn came(&mut self, now: Instant, count: usize, room: usize) -> bool {
        self.last_progress = now;
        self.received += count as u64;
        if self.is_held() && count > room {
            self.refuse(NO_ROOM);
        }
        self.is_held()
    }

    /// Drops what has come and what comes.
    pub(super) fn refuse(&mut self, reason: &'static str) {
        self.fate = Fate::Refused(reason);
    }

    pub(super) fn is_held(&self) -> bool {
        self.fate == Fate::Held
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The command that is refused when the last byte has come, and the reason.
    pub(super) fn refused(&self) -> Option<(Frame, &'static str)> {
        match self.fate {
            Fate::Refused(reason) => Some((self.frame, reason)),
            Fate::Held | Fate::Dropped => None,
        }
    }

    /// When it ends if no more bytes come, and the reason.
    pub(super) fn due(&self, timeout: Duration, limits: &LimitSettings) -> (Instant, &'static str) {
        let stalled = (self.last_progress + timeout, "its upload stalled");
        let micros = self.received.saturating_mul(1_000_000) / limits.upload_bytes_per_s_min.max(1);
        let slow = self.begun + GRACE + Duration::from_micros(micros);
        let slow = (slow, "its upload is slower than limits.upload_bytes_per_s_min");
        if slow.0 < stalled.0 { slow } else { stalled }
    }
}

impl Router {
    /// The longest payload that this client may send now.
    pub(super) fn longest_upload(&self, id: ClientId) -> usize {
        let limits = &self.options.limits;
        let own = self.clients.get(&id);
        let waiting = own.map_or(0, Client::waiting_upload_bytes);
        let longest = (limits.upload_bytes as usize).saturating_sub(waiting);
        match own.map(|client| client.role) {
            Some(Role::Control) => longest,
            _ => longest.min(limits.read_only_upload_bytes as usize),
        }
    }

    /// How many more bytes of uploads may be held. Bytes count when they have come, not when they are
    /// declared.
    pub(super) fn room_for_uploads(&self) -> usize {
        let total = self.options.limits.upload_bytes_total;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        total.saturating_sub(self.held_upload_bytes())
    }

    /// The bytes of uploads that are held, of all clients.
    #[must_use]
    pub fn held_upload_bytes(&self) -> usize {
        let forwarded = self.forwarded.values().map(|forwarded| forwarded.command.payload.len());
        let waiting = self.clients.values().map(Client::held_upload_bytes);
        forwarded.chain(waiting).sum()
    }

    /// Ends the connection to a client whose bytes after this command cannot be trusted.
    pub(super) fn distrust(&mut self, now: Instant, id: ClientId, frame: &Frame, reason: &str) {
        self.refuse(now, id, frame, reason);
        self.disconnect(id, &format!("{}: {reason}", frame.code));
    }

    /// Disconnects the clients whose uploads have stalled or are too slow, since they occupy the room
    /// of others.
    pub(super) fn end_slow_uploads(&mut self, now: Instant) {
        let (timeout, limits) = (self.options.request_timeout, &self.options.limits);
        let open = self.clients.iter().filter(|(_, client)| !client.closing);
        let slow = open.filter_map(|(id, client)| {
            let upload = client.upload.as_ref()?;
            let (due, reason) = client.upload_due(timeout, limits)?;
            let is_answered = upload.fate == Fate::Dropped;
            (due <= now).then_some((*id, (!is_answered).then_some(upload.frame), reason))
        });
        for (id, refused, reason) in slow.collect::<Vec<_>>() {
            if let Some(frame) = refused {
                self.refuse(now, id, &frame, reason);
            }
            self.disconnect(id, reason);
        }
    }
}
