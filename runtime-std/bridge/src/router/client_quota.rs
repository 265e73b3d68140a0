//! The quotas of a client: rates, unanswered commands, and time. The settings are in
//! `settings/limits.rs`. How many clients may connect is in `slots.rs`; uploads are in `upload.rs`, and
//! the rate of stops in `stop_rate.rs`.

use std::collections::BTreeMap;

use flamingo_protocol_core::{time::Instant, wire::FRAME_LEN};

use super::client::Command;
use super::slots::Slot;
use super::token_bucket::TokenBucket;
use super::{ClientId, Router};
use crate::settings::LimitSettings;
use flamingo_runtime_std::{InputError, LogRate};

/// Why the bridge does not accept one more command of a client.
pub(super) const TOO_MANY_WAITING: &str = "too many commands wait: read the answers first";

/// As how many commands a command counts that finds the queue of its client full. Without this, 60
/// clients at the default rate cause 120 000 refusals per second.
const OVERFLOW_COUNTS: u64 = 10;

/// The rates of one client.
#[derive(Debug)]
pub(super) struct ClientQuota {
    commands: TokenBucket,
    bytes: TokenBucket,
    /// The bytes for which it is worth reading: a frame, if the rate holds one.
    least_read: u64,
    log: LogRate,
}

impl ClientQuota {
    pub(super) fn new(now: Instant, limits: &LimitSettings, slot: Slot) -> Self {
        let commands = limits.commands_per_s.min(slot.commands_per_s());
        Self {
            commands: TokenBucket::new(now, u64::from(commands)),
            bytes: TokenBucket::new(now, limits.bytes_per_s),
            least_read: limits.bytes_per_s.min(FRAME_LEN as u64),
            log: LogRate::default(),
        }
    }

    /// Counts a command. A refused one counts, too.
    pub(super) fn count_command(&mut self, now: Instant) {
        self.commands.spend(now, 1);
    }

    /// Counts a command more for which the queue had no room, so that a client that does not wait for
    /// its answers is read less often.
    pub(super) fn count_overflow(&mut self, now: Instant) {
        self.commands.spend(now, OVERFLOW_COUNTS - 1);
    }

    /// Counts received bytes.
    pub(super) fn count_bytes(&mut self, now: Instant, bytes: usize) {
        self.bytes.spend(now, bytes as u64);
    }

    /// How many bytes may be read, so that neither rate is exceeded. The error is the time from which
    /// a frame may be read.
    fn read_allowance(&self, now: Instant) -> Result<usize, Instant> {
        if !self.commands.holds(now, 1) || !self.bytes.holds(now, self.least_read) {
            return Err(self.reads_from());
        }
        let frames = self.commands.available(now).saturating_mul(FRAME_LEN as u64);
        let most = frames.min(self.bytes.available(now));
        Ok(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// From when on a frame may be read. Until then the client cannot be late: the bridge does not read
    /// what it has sent.
    pub(super) fn reads_from(&self) -> Instant {
        self.commands.holds_at(1).max(self.bytes.holds_at(self.least_read))
    }

    /// Whether the log may have one more line about refused commands of this client: then how many were
    /// left out since the last one.
    pub(super) fn log_line(&self, now: Instant) -> Option<u64> {
        self.log.line(now)
    }
}

/// How many slots of the window are occupied, in all and by each client.
#[derive(Debug, Default)]
pub(super) struct WindowUse {
    size: usize,
    all: usize,
    by_client: BTreeMap<ClientId, usize>,
}

impl WindowUse {
    /// Whether one more command of this client may be without an answer: a client may have as many as
    /// there are free slots in the window. Otherwise a client whose commands are never answered would
    /// occupy all slots, and the others could not ask.
    pub(super) fn has_free_slot(&self, id: ClientId) -> bool {
        let own = self.by_client.get(&id).copied().unwrap_or(0);
        own == 0 || own < self.size.saturating_sub(self.all)
    }
}

impl Router {
    /// How many bytes of this client may be read now. A client above one of its rates is not read
    /// until it is below: the error is that time. What it sends meanwhile waits in its own connection.
    ///
    /// # Errors
    /// The time from which the client may be read.
    pub fn read_allowance(&self, now: Instant, id: ClientId) -> Result<usize, Instant> {
        self.clients.get(&id).map_or(Ok(0), |client| client.quota.read_allowance(now))
    }

    /// Who occupies the window.
    pub(super) fn window_use(&self, now: Instant) -> WindowUse {
        let mut window_use = WindowUse { size: self.options.core.window, ..WindowUse::default() };
        let occupying = self
            .forwarded
            .values()
            .filter(|forwarded| forwarded.occupies_slot_until.is_some_and(|until| now < until));
        for forwarded in occupying {
            window_use.all += 1;
            if let Some(first) = forwarded.recipients.first() {
                *window_use.by_client.entry(first.id).or_default() += 1;
            }
        }
        window_use
    }

    /// Refuses commands that have waited too long, since nobody expects them any more, and
    /// disconnects clients that send no frame or half a frame, since they occupy a place.
    pub(super) fn end_stalled(&mut self, now: Instant) {
        let timeout = self.options.request_timeout;
        let (mut expired, mut strangers) = (Vec::new(), Vec::new());
        let pending = self.search_pending_keys();
        for (id, client) in self.clients.iter_mut().filter(|(_, client)| !client.closing) {
            let late = |command: &Command| pending.refused_at(command, timeout) <= now;
            let taken = client.waiting.take_if(late);
            expired.extend(taken.into_iter().map(|command| (*id, command.frame)));
            if let Err(error) = client.check_input_time(now) {
                strangers.push((*id, error));
            }
        }
        for (id, error) in strangers {
            self.disconnect_stranger(now, id, &error);
        }
        for (id, frame) in expired {
            self.refuse(now, id, &frame, "not sent: it waited too long for its turn");
        }
    }

    /// Disconnects a client that breaks a rule, and logs the reason.
    pub(super) fn disconnect(&mut self, id: ClientId, reason: &str) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.closing = true;
        let line = format!("client {id} at {} is disconnected: {reason}", client.address);
        self.log_client(line);
    }

    /// Disconnects a peer that does not send frames. A web page can be such a peer many times in a
    /// second, so the log has only some of them.
    pub(super) fn disconnect_stranger(&mut self, now: Instant, id: ClientId, error: &InputError) {
        match self.stranger_log.line(now) {
            Some(0) => self.disconnect(id, &error.to_string()),
            Some(left_out) => {
                let before = format!("{left_out} lines about such clients were left out");
                self.disconnect(id, &format!("{error} ({before})"));
            }
            None => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.closing = true;
                }
            }
        }
    }
}
