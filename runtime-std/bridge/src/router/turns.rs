//! Which waiting command of a client has its turn. Of equal commands, at most one is on the wire: the
//! others wait in the queues of their clients, since what waits in the core may hold what comes after
//! it. Some commands are answered at the end of a motion, which may take minutes; the queries of their
//! client overtake them. Which client has its turn is in `dispatch.rs`.

use flamingo_protocol_core::{
    Frame, Ticket,
    time::{Duration, Instant},
};

use super::client::{Client, Command};
use super::permissions::{STAGE, expects_answer, is_answered_at_end, is_query, is_read_only};
use super::schedule::{KeyParts, key_parts};
use super::{ForwardedCommand, Router};

/// The time limit of a command that the instrument answers at the end of the motion.
pub(super) const MOTION_TIMEOUT: Duration = Duration::from_millis(180_000);

/// The keys of the commands that were given to the core, and whose answers are still to come; in order, each
/// with the ticket of its command.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PendingKeys(Vec<(KeyParts, Ticket)>);

impl PendingKeys {
    pub(super) fn insert(&mut self, key: KeyParts, ticket: Ticket) {
        if let Err(at) = self.0.binary_search(&(key, ticket)) {
            self.0.insert(at, (key, ticket));
        }
    }

    pub(super) fn remove(&mut self, key: KeyParts, ticket: Ticket) {
        if let Ok(at) = self.0.binary_search(&(key, ticket)) {
            self.0.remove(at);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether a command with this key is pending.
    pub(super) fn contain(&self, key: KeyParts) -> bool {
        self.0.binary_search_by(|(pending, _)| pending.cmp(&key)).is_ok()
    }

    /// Whether this command waits for one of them: the core would hold it until that is answered.
    fn hold(&self, frame: &Frame) -> bool {
        !self.0.is_empty() && expects_answer(frame) && self.contain(key_parts(frame))
    }

    /// Whether this command waits for the end of a motion.
    fn hold_to_the_end(&self, frame: &Frame) -> bool {
        is_answered_at_end(frame) && self.hold(frame)
    }

    /// When this waiting command is refused, since it has waited too long. `timeout`: the time limit
    /// of a command that does not wait for the end of a motion.
    pub(super) fn refused_at(&self, command: &Command, timeout: Duration) -> Instant {
        let waits = self.hold_to_the_end(&command.frame);
        command.arrived + if waits { timeout.max(MOTION_TIMEOUT) } else { timeout }
    }
}

impl Router {
    /// All keys, found by a full search.
    pub(super) fn search_pending_keys(&self) -> PendingKeys {
        let coalesces = self.options.coalesce;
        let pending = self.forwarded.iter().filter(|(_, sent)| sent.holds_equal(coalesces));
        let mut keys = PendingKeys::default();
        for (ticket, sent) in pending {
            keys.insert(key_parts(&sent.command.frame), *ticket);
        }
        keys
    }

    /// The first deadline of a client, found by a full search.
    pub(super) fn search_client_due(&self) -> Option<Instant> {
        let (timeout, limits) = (self.options.request_timeout, &self.options.limits);
        let pending = self.search_pending_keys();
        let open = self.clients.values().filter(|client| !client.closing);
        let open = open.filter_map(|client| {
            let upload = client.upload_due(timeout, limits).map(|(due, _)| due);
            upload.into_iter().chain(client.next_refusal(&pending, timeout)).min()
        });
        let inputs = self.clients.values().filter_map(Client::input_timeout);
        let delayed = self.clients.values().filter_map(|client| client.stops.due());
        open.chain(inputs).chain(delayed).min()
    }
}

impl ForwardedCommand {
    /// Whether commands with the same key wait for its answer.
    pub(super) fn holds_equal(&self, coalesces: bool) -> bool {
        let is_open = self.expects_answer && !self.ended;
        // An equal query may join it.
        let is_shared = coalesces && !self.written;
        is_open && !(is_shared && is_read_only(&self.command.frame))
    }
}

impl Client {
    /// When the first of the waiting commands is refused.
    pub(super) fn next_refusal(&self, pending: &PendingKeys, timeout: Duration) -> Option<Instant> {
        // They are in the order of their arrival.
        let first = self.waiting.front();
        let mut others = self.waiting.iter();
        let first_of_others = others.find(|command| !pending.hold_to_the_end(&command.frame));
        let each = first.into_iter().chain(first_of_others);
        each.map(|command| pending.refused_at(command, timeout)).min()
    }

    /// The position in the queue of the command that may be forwarded next. It is the first one,
    /// unless that waits for the end of a motion, or for a stop that the client has sent before: then
    /// it is the first query that makes no difference to the commands that it overtakes. A position is
    /// true at any time, but a setting may have been changed by an earlier command of its subsystem.
    pub(super) fn next_command(&self, pending: &PendingKeys) -> Option<usize> {
        // A bit for each subsystem; the last bit stands for all others.
        let bit = |frame: &Frame| 1_u16 << frame.code.subsystem().min(15);
        let mut overtaken = 0;
        for (position, Command { frame, .. }) in self.waiting.iter().enumerate() {
            let has_turn = position == 0 || (is_query(frame) && overtaken & bit(frame) == 0);
            let is_overtaken = pending.hold_to_the_end(frame) || self.stops.precede(frame);
            if has_turn && !is_overtaken {
                return Some(position).filter(|_| !pending.hold(frame));
            }
            if frame.code.subsystem() != STAGE {
                overtaken |= bit(frame);
            }
        }
        None
    }
}
