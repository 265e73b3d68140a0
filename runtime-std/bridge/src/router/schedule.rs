//! What the router must know of all clients and of all commands in flight at each frame, without looking
//! through them: which client has its turn, which client has something to receive, and when the next
//! deadline is due. It is derived from the clients and the commands, whose tables (`tracked.rs`) report each
//! change. The rules are in `turns.rs`, `dispatch.rs` and `client_quota.rs`; the full searches there are
//! compared with it in debug builds.

use std::collections::BTreeMap;

use flamingo_protocol_core::connection::Key;
use flamingo_protocol_core::time::{Duration, Instant};
use flamingo_protocol_core::{Frame, Ticket};

use super::client::Client;
use super::permissions::{expects_answer, is_stop};
use super::tracked::Change;
use super::turns::PendingKeys;
use super::{ClientId, ForwardedCommand, Router};
use crate::id_set::IdSet;
use crate::settings::{Delivery, LimitSettings};

/// The code and the selector of a [`Key`].
pub(super) type KeyParts = (u32, i32);

pub(super) fn key_parts(frame: &Frame) -> KeyParts {
    let Key { code, selector } = Key::of(frame);
    (code.0, selector)
}

/// For what a client waits that has a command to forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    /// Which of its commands may go depends on more than one key: it is found out each time.
    Unsure,
    /// No command in flight holds its first command.
    Free,
    /// A command in flight with this key holds its first command.
    Behind(KeyParts),
}

/// What is known of a client.
#[derive(Debug, Default)]
struct KnownClient {
    line: Option<Line>,
    /// A payload waits with its commands.
    uploads: bool,
    /// How many slots of the window it occupies.
    slots: usize,
}

/// What is known of a forwarded command.
#[derive(Debug, Clone, Copy, PartialEq)]
struct KnownCommand {
    /// It holds commands with this key.
    key: Option<KeyParts>,
    /// It occupies a slot of the window of this client, until then.
    slot: Option<(Option<ClientId>, Instant)>,
    /// It is a stop that is not written whole.
    stops: bool,
}

/// What is derived from all clients and from all commands in flight.
#[derive(Debug)]
pub(super) struct Schedule {
    known: BTreeMap<ClientId, KnownClient>,
    /// The clients with a command to forward, in the order of what they wait for.
    waiting: Vec<(Line, ClientId)>,
    /// How many clients have an upload that waits.
    uploads: usize,
    /// The clients to write to, or to close.
    pub(super) output: IdSet,
    /// The clients that receive some events on their control port.
    pub(super) inline: IdSet,
    /// The clients of which a waiting command is answered at the end of a motion: its time limit depends on
    /// the commands in flight.
    late: IdSet,
    /// No deadline of a client is earlier, those of `late` excepted. It may be too early: then
    /// the deadlines are searched when it has come, once in a time limit.
    due: Instant,
    /// In the order of the tickets.
    commands: Vec<(Ticket, KnownCommand)>,
    pending: PendingKeys,
    /// How many stops are not written whole.
    stops: usize,
    occupied: usize,
    /// No slot is free earlier by the time alone.
    slot_due: Instant,
    /// It is compared with the full searches.
    is_compared: bool,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            waiting: Vec::new(),
            uploads: 0,
            output: IdSet::default(),
            inline: IdSet::default(),
            late: IdSet::default(),
            due: Instant::FAR_FUTURE,
            commands: Vec::new(),
            pending: PendingKeys::default(),
            stops: 0,
            occupied: 0,
            slot_due: Instant::FAR_FUTURE,
            is_compared: cfg!(debug_assertions),
        }
    }
}

impl Schedule {
    fn forget_clients(&mut self) {
        self.known.clear();
        self.waiting.clear();
        self.uploads = 0;
        for set in [&mut self.output, &mut self.inline, &mut self.late] {
            set.clear();
        }
    }

    fn note_client(
        &mut self,
        id: ClientId,
        client: Option<&Client>,
        timeout: Duration,
        limits: &LimitSettings,
    ) {
        let line = client.and_then(line_of);
        let uploads = client.is_some_and(|client| client.waiting.payload_bytes() > 0);
        let is_late = client.is_some_and(|client| client.waiting.have_answer_at_end());
        let slots = || {
            let slots = self.commands.iter().filter_map(|(_, known)| known.slot);
            slots.filter(|(client, _)| *client == Some(id)).count()
        };
        let unknown = || KnownClient { slots: slots(), ..KnownClient::default() };
        let known = self.known.entry(id).or_insert_with(unknown);
        let before = std::mem::replace(&mut known.line, line);
        self.uploads += usize::from(uploads);
        self.uploads -= usize::from(std::mem::replace(&mut known.uploads, uploads));
        if before != line {
            if let Some(before) = before
                && let Ok(at) = self.waiting.binary_search(&(before, id))
            {
                self.waiting.remove(at);
            }
            if let Some(line) = line
                && let Err(at) = self.waiting.binary_search(&(line, id))
            {
                self.waiting.insert(at, (line, id));
            }
        }
        self.late.set(id, is_late);
        self.output.set(id, client.is_some_and(Client::has_output_or_ends));
        let is_inline = |client: &Client| client.delivery.delivery != Delivery::Callback;
        self.inline.set(id, client.is_some_and(is_inline));
        match client {
            Some(client) => self.due = self.due.min(client.due(timeout, limits)),
            None => drop(self.known.remove(&id)),
        }
    }

    fn forget_commands(&mut self) {
        for known in self.known.values_mut() {
            known.slots = 0;
        }
        self.commands.clear();
        self.pending.clear();
        (self.stops, self.occupied, self.slot_due) = (0, 0, Instant::FAR_FUTURE);
    }

    fn note_command(&mut self, ticket: Ticket, known: Option<KnownCommand>) {
        let known =
            known.filter(|known| known.key.is_some() || known.slot.is_some() || known.stops);
        let found = self.commands.binary_search_by(|(other, _)| other.cmp(&ticket));
        let before = found.ok().and_then(|at| self.commands.get(at)).map(|(_, known)| *known);
        if before == known {
            return;
        }
        match (found, known) {
            (Ok(at), None) => drop(self.commands.remove(at)),
            (Err(at), Some(known)) => self.commands.insert(at, (ticket, known)),
            (Ok(at), Some(known)) => {
                if let Some((_, old)) = self.commands.get_mut(at) {
                    *old = known;
                }
            }
            (Err(_), None) => {}
        }
        self.stops += usize::from(known.is_some_and(|known| known.stops));
        self.stops -= usize::from(before.is_some_and(|before| before.stops));
        if let Some(key) = before.and_then(|before| before.key) {
            self.pending.remove(key, ticket);
        }
        if let Some(key) = known.and_then(|known| known.key) {
            self.pending.insert(key, ticket);
        }
        let (before, slot) =
            (before.and_then(|before| before.slot), known.and_then(|known| known.slot));
        self.count_slot(before, -1);
        self.occupied -= usize::from(before.is_some());
        self.count_slot(slot, 1);
        self.occupied += usize::from(slot.is_some());
        if let Some((_, until)) = slot {
            self.slot_due = self.slot_due.min(until);
        }
    }

    fn count_slot(&mut self, slot: Option<(Option<ClientId>, Instant)>, change: isize) {
        let client = slot.and_then(|(client, _)| client);
        if let Some(known) = client.and_then(|id| self.known.get_mut(&id)) {
            known.slots = known.slots.saturating_add_signed(change);
        }
    }

    /// Frees the slots whose time is over.
    fn free_slots(&mut self, now: Instant) {
        if now < self.slot_due {
            return;
        }
        let is_over = |known: &KnownCommand| known.slot.is_some_and(|(_, until)| until <= now);
        let over = self.commands.iter().filter(|(_, known)| is_over(known));
        let over: Vec<_> = over.map(|(ticket, known)| (*ticket, *known)).collect();
        for (ticket, known) in over {
            self.note_command(ticket, Some(KnownCommand { slot: None, ..known }));
        }
        let slots = self.commands.iter().filter_map(|(_, known)| known.slot);
        self.slot_due = slots.map(|(_, until)| until).min().unwrap_or(Instant::FAR_FUTURE);
    }

    /// Whether one more command of this client may be without an answer (see `client_quota.rs`).
    fn has_free_slot(&self, id: ClientId, window: usize) -> bool {
        let own = self.known.get(&id).map_or(0, |known| known.slots);
        own == 0 || own < window.saturating_sub(self.occupied)
    }

    /// The first client after `last` with a command to forward, in the order of the turns. `is_ready` says
    /// it of a client of which it depends on more than one key.
    fn next_turn(
        &self,
        last: ClientId,
        window: usize,
        is_ready: impl Fn(ClientId) -> bool,
    ) -> Option<ClientId> {
        let mut next: Option<(bool, ClientId)> = None;
        let mut rest = &self.waiting[..];
        while let Some((line, _)) = rest.first().copied() {
            let (same, others) = rest.split_at(rest.partition_point(|(other, _)| *other == line));
            rest = others;
            if matches!(line, Line::Behind(key) if self.pending.contain(key)) {
                continue;
            }
            let (earlier, later) = same.split_at(same.partition_point(|(_, id)| *id <= last));
            let mut turns = later.iter().chain(earlier).map(|(_, id)| *id);
            let first = turns.find(|id| {
                self.has_free_slot(*id, window) && (line != Line::Unsure || is_ready(*id))
            });
            let first = first.map(|id| (id <= last, id));
            next = next.into_iter().chain(first).min();
        }
        next.map(|(_, id)| id)
    }
}

/// For what the client waits. `None`: it has nothing to forward now.
fn line_of(client: &Client) -> Option<Line> {
    let first = client.waiting.front().filter(|_| client.being_written.is_none())?;
    let is_unsure = client.waiting.have_answer_at_end() || !client.stops.is_empty();
    Some(match expects_answer(&first.frame) {
        _ if is_unsure => Line::Unsure,
        false => Line::Free,
        true => Line::Behind(key_parts(&first.frame)),
    })
}

impl ForwardedCommand {
    fn is_unwritten_stop(&self) -> bool {
        !self.written && !self.ended && is_stop(&self.command.frame)
    }
}

impl Client {
    /// The first of its deadlines, apart from that of its waiting commands if one of them is answered at the
    /// end of a motion.
    fn due(&self, timeout: Duration, limits: &LimitSettings) -> Instant {
        let front = self.waiting.front().filter(|_| !self.waiting.have_answer_at_end());
        let refusal = front.map(|first| first.arrived + timeout);
        let upload = self.upload_due(timeout, limits).map(|(due, _)| due);
        let open = refusal.into_iter().chain(upload).filter(|_| !self.closing);
        let due = open.chain(self.input_timeout()).chain(self.stops.due()).min();
        due.unwrap_or(Instant::FAR_FUTURE)
    }
}

impl Router {
    /// Does not compare the schedule with the full searches, which allocate.
    #[cfg(test)]
    pub(crate) fn compare_nothing(&mut self) {
        self.schedule.is_compared = false;
    }

    /// Brings the schedule up to date.
    pub(super) fn update_schedule(&mut self) {
        let Self { clients, forwarded, schedule, options, .. } = self;
        clients.take_changes(|change| match change {
            Change::All => schedule.forget_clients(),
            Change::One(id, client) => {
                schedule.note_client(id, client, options.request_timeout, &options.limits);
            }
        });
        forwarded.take_changes(|change| match change {
            Change::All => schedule.forget_commands(),
            Change::One(ticket, command) => {
                schedule.note_command(ticket, command.map(|it| known(it, options.coalesce)));
            }
        });
    }

    /// The client whose command is forwarded next, and the position of that command in its queue.
    pub(super) fn next_to_serve(&mut self, now: Instant) -> Option<(ClientId, usize)> {
        self.update_schedule();
        if self.schedule.waiting.is_empty() {
            return None;
        }
        self.schedule.free_slots(now);
        if self.schedule.uploads > 0 {
            // An upload takes longer than the search.
            return self.search_next_to_serve(now);
        }
        let (schedule, pending) = (&self.schedule, &self.schedule.pending);
        let position = |id| self.clients.get(&id).and_then(|client| client.next_command(pending));
        let is_ready = |id| position(id).is_some();
        let next = schedule.next_turn(self.last_served, self.options.core.window, is_ready);
        let next = next.and_then(|id| Some((id, position(id)?)));
        if self.schedule.is_compared {
            assert_eq!(next, self.search_next_to_serve(now));
        }
        next
    }

    /// When [`Self::handle_timeout`] is due. It may be earlier than the first deadline: then a call of
    /// [`Self::handle_timeout`] makes it exact.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.update_schedule();
        let core = self.core.as_ref().and_then(|core| core.poll_timeout()).map(|(at, _)| at);
        let timeout = self.options.request_timeout;
        let pending = &self.schedule.pending;
        let late = self.schedule.late.as_slice().iter().filter_map(|id| self.clients.get(id));
        let late = late.filter(|client| !client.closing);
        let late = late.filter_map(|client| client.next_refusal(pending, timeout));
        let clients = Some(self.schedule.due).filter(|due| *due < Instant::FAR_FUTURE);
        let clients = late.chain(clients).min();
        if self.schedule.is_compared {
            let latest = |due: Option<Instant>| due.unwrap_or(Instant::FAR_FUTURE);
            assert!(latest(clients) <= latest(self.search_client_due()), "no deadline is earlier");
        }
        let stops = self.unsent_stops.iter().map(|stop| stop.due(timeout));
        core.into_iter().chain(clients).chain(stops).chain(self.input_due()).min()
    }

    /// The next call of [`Self::poll_timeout`] searches the first deadline of each client.
    pub(super) fn search_deadlines(&mut self) {
        self.update_schedule();
        self.schedule.due = Instant::FAR_FUTURE;
        self.clients.mark_all();
    }

    /// Whether a stop waits to be written: it must wait for no client.
    pub fn has_stop_to_write(&mut self) -> bool {
        self.update_schedule();
        let any = self.schedule.stops > 0;
        if self.schedule.is_compared {
            assert_eq!(any, self.forwarded.values().any(ForwardedCommand::is_unwritten_stop));
        }
        any
    }

    /// The clients for which [`Self::client_output`] is not empty or [`Self::should_close`] is true, in
    /// order.
    pub fn clients_to_serve(&mut self) -> &[ClientId] {
        self.update_schedule();
        if self.schedule.is_compared {
            let each = self.clients.iter().filter(|(_, client)| client.has_output_or_ends());
            assert!(each.map(|(id, _)| id).eq(self.schedule.output.as_slice()));
        }
        self.schedule.output.as_slice()
    }
}

fn known(command: &ForwardedCommand, coalesces: bool) -> KnownCommand {
    let first = command.recipients.first().map(|to| to.id);
    KnownCommand {
        key: command.holds_equal(coalesces).then(|| key_parts(&command.command.frame)),
        slot: command.occupies_slot_until.map(|until| (first, until)),
        stops: command.is_unwritten_stop(),
    }
}
