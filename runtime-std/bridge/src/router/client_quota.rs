//! The quotas of a client: the number of clients, rates, unanswered commands, and time. The settings are
//! in `settings/limits.rs`; uploads are in `upload.rs`, and the rate of stops in `stop_rate.rs`.

use flamingo_protocol_core::time::Instant;

use super::token_bucket::TokenBucket;
use super::{ClientId, Router, RouterAction};
use crate::settings::LimitSettings;

/// Log lines per second about refused commands of one client.
const LOG_LINES_PER_S: u64 = 5;

/// Why the bridge does not accept one more command of a client.
pub(super) const TOO_MANY_WAITING: &str = "too many commands wait: read the answers first";

/// The rates of one client.
#[derive(Debug)]
pub(super) struct ClientQuota {
    commands: TokenBucket,
    bytes: TokenBucket,
    log_lines: TokenBucket,
}

impl ClientQuota {
    pub(super) fn new(now: Instant, limits: &LimitSettings) -> Self {
        Self {
            commands: TokenBucket::new(now, u64::from(limits.commands_per_s)),
            bytes: TokenBucket::new(now, limits.bytes_per_s),
            log_lines: TokenBucket::new(now, LOG_LINES_PER_S),
        }
    }

    /// Counts a command of `bytes` bytes. Returns whether it is within the rates.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) -> bool {
        // Both count, also if the command is refused.
        let command = self.commands.take(now, 1);
        let bytes = self.bytes.take(now, bytes as u64);
        command && bytes
    }

    /// Whether the log may have one more line about refused commands of this client.
    pub(super) fn take_log_line(&mut self, now: Instant) -> bool {
        self.log_lines.take(now, 1)
    }
}

impl Router {
    /// Whether one more client may connect. Clients that only wait for answers do not count, but the
    /// bridge disconnects the oldest of them when there are too many.
    pub(super) fn has_room_for_client(&mut self) -> bool {
        let limit = self.options.limits.clients;
        if self.clients.values().filter(|client| client.is_active()).count() >= limit {
            return false;
        }
        let mut half_closed =
            self.clients.values_mut().filter(|client| client.half_closed && !client.closing);
        if let Some(oldest) = half_closed.next()
            && half_closed.count() + 1 >= limit
        {
            oldest.closing = true;
        }
        true
    }

    /// Whether one more command of this client may be without an answer: a client may have as many as
    /// there are free slots in the window. Otherwise a client whose commands are never answered would
    /// occupy all slots, and the others could not ask.
    pub(super) fn has_free_slot(&self, now: Instant, id: ClientId) -> bool {
        let occupying = self
            .forwarded
            .values()
            .filter(|forwarded| forwarded.occupies_slot_until.is_some_and(|until| now < until));
        let (mut all, mut own) = (0, 0);
        for forwarded in occupying {
            all += 1;
            let first = forwarded.recipients.first();
            own += usize::from(first.is_some_and(|recipient| recipient.id == id));
        }
        own == 0 || own < self.options.core.window.saturating_sub(all)
    }

    /// Refuses commands that have waited too long, since nobody expects them any more.
    pub(super) fn end_stalled(&mut self, now: Instant) {
        let timeout = self.options.request_timeout;
        let mut expired = Vec::new();
        let pending = self.pending_keys();
        for (id, client) in self.clients.iter_mut().filter(|(_, client)| !client.closing) {
            client.waiting.retain(|command| {
                let waited = pending.refused_at(command, timeout) <= now;
                if waited {
                    expired.push((*id, command.frame));
                }
                !waited
            });
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
        self.actions.push_back(RouterAction::Log(line));
    }
}
