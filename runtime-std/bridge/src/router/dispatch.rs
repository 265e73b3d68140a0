//! What a client may ask, and when it goes up to the instrument.

use flamingo_protocol_core::{
    CommandCode, CommandError, Duration, Flags, Frame, Instant, Kind, Ticket, Timing, is_answered,
    is_cancelled_by,
};

use super::client::Command;
use super::{Client, ClientId, Flight, MOST_FLIGHTS, Report, Router};
use crate::settings::Role;

/// How long the end of a motion is waited for, where the answer comes at its end.
const UNTIL_ITS_END: Duration = Duration::from_millis(180_000);

/// Why one command more of a client is not taken.
const TOO_MANY: &str = "too many commands wait: read the answers first";

/// Why a live view does not begin.
const WORKFLOW_RUNS: &str = "a workflow runs: no live view";

/// Whether a command is answered, as far as anybody knows.
pub(super) fn expects_answer(frame: &Frame) -> bool {
    match frame.code.row() {
        Some(_) => is_answered(frame),
        None => frame.flags.contains(Flags::TRIGGER_CALL_BACK),
    }
}

fn is_answered_at_end(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.timing == Timing::AtEnd)
}

/// Whether only the holder of the lease may do this, where there is one: motion and lasers.
fn is_leased(frame: &Frame) -> bool {
    let acts = frame.code.row().is_some_and(|row| row.effect.moves() || row.effect.lights());
    acts || [CommandCode::LASER_LEVEL_SET, CommandCode::STAGE_VELOCITY_SET].contains(&frame.code)
}

pub(super) fn stops(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.effect.stops())
}

impl Router {
    /// A whole command of a client: it waits for its turn, passes at once, or is refused.
    pub(super) fn admit(&mut self, now: Instant, id: ClientId, mut command: Command) {
        // Flags of the server: echoed, they would make the answer look like a push.
        let reserved = Flags::STAGE_POSITIONS_IN_BUFFER.with(Flags::ANSWER_TAG);
        command.frame.flags = command.frame.flags.without(reserved);
        let frame = command.frame;
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.counters.commands += 1;
        let bytes = 128 + command.payload.len();
        let in_time = client.may_send(now, bytes);
        if stops(&frame) {
            self.pass_stop(now, Some(id), &frame, command.since);
            return;
        }
        let verdict = if in_time {
            self.may(now, id, &frame)
        } else {
            Err(format!("too fast: {} commands/s", self.options.limits.commands_per_s))
        };
        match verdict {
            Ok(()) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.waiting.push_back(command);
                }
                self.hand_on(now);
            }
            Err(reason) => self.refuse(now, id, &frame, &reason),
        }
    }

    /// Whether the instrument is to see this command of this client.
    fn may(&mut self, now: Instant, id: ClientId, frame: &Frame) -> Result<(), String> {
        let Some(client) = self.clients.get(&id) else { return Ok(()) };
        let row = frame.code.row();
        // A query by its table, but only with 0 does it ask.
        let chooses = frame.code == CommandCode::STORAGE_PATH_SET && frame.selector() != 0;
        let query = !chooses && row.is_some_and(|row| row.kind == Kind::Query);
        if self.core.is_none() {
            return Err("the instrument is not connected".into());
        }
        if self.stopping {
            return Err("the bridge ends".into());
        }
        if client.role != Role::Control && !query {
            return Err(format!("this address is {}", client.role));
        }
        if client.waiting.len() >= self.options.limits.queue_frames {
            return Err(TOO_MANY.into());
        }
        frame.check_command(self.options.core.payload_limit).map_err(|error| error.to_string())?;
        if self.is_kept_off_by_a_workflow(now, frame) {
            return Err(WORKFLOW_RUNS.into());
        }
        if is_leased(frame) {
            self.lease.take(now, id).map_err(|holder| {
                let holder = self.clients.get(&holder);
                let by = holder.map_or("another client", |client| client.address.as_str());
                format!("motion and light are held by {by}")
            })?;
        }
        Ok(())
    }

    /// Whether it would begin a live view while a workflow runs, or behind one on its way up.
    fn is_kept_off_by_a_workflow(&self, now: Instant, frame: &Frame) -> bool {
        let start = CommandCode::CAMERA_WORK_FLOW_START;
        let goes_up = || {
            self.flights.values().any(|flight| !flight.out && flight.command.frame.code == start)
        };
        frame.code == CommandCode::CAMERA_LIVE_VIEW_START && (self.workflow.is_on(now) || goes_up())
    }

    /// A HALT or laser-off: at once, before everything, from anybody. What it cancels must not run
    /// behind it, whoever asked for it. Without an `id` the bridge itself stops. `since`: when it was
    /// asked for.
    pub(super) fn pass_stop(
        &mut self,
        now: Instant,
        id: Option<ClientId>,
        stop: &Frame,
        since: Instant,
    ) {
        self.cancel_waiting(stop);
        let refused = |router: &mut Self, reason: &str| match id {
            Some(id) => router.refuse(now, id, stop, reason),
            None => router.reports.push_back(Report::Note(format!("a stop failed: {reason}"))),
        };
        if self.core.is_none() {
            return refused(self, "the instrument is not connected");
        }
        let asked = expects_answer(stop);
        let deadline = now + self.options.request_timeout;
        // Many equal ones must not take the room of another's.
        if id.is_some_and(|id| self.joins_stop(now, id, stop)) {
            return;
        }
        let Some(core) = self.core.as_mut() else { return };
        let requested =
            if asked { core.request(now, stop, deadline) } else { core.send(now, stop) };
        let (ticket, asked) = match requested {
            Ok(ticket) => (Ok(ticket), asked),
            // As long as there is room to send it, it is sent, though nobody can tell its answer.
            Err(CommandError::Full { .. }) if asked => (core.send(now, stop), false),
            Err(error) => (Err(error), asked),
        };
        match ticket {
            Ok(ticket) => {
                let owners = id.map(|id| (id, stop.client_id)).into_iter().collect();
                let command = Command { frame: *stop, payload: [].into(), since };
                self.fly(ticket, owners, command, asked.then_some(deadline));
            }
            Err(error) => refused(self, &error.to_string()),
        }
        self.take_events(now, None);
    }

    /// What waits and must not run behind a stop ends here.
    fn cancel_waiting(&mut self, stop: &Frame) {
        let mut cancelled = Vec::new();
        for (id, client) in &mut self.clients {
            client.waiting.retain(|command| {
                let goes = is_cancelled_by(&command.frame, stop);
                if goes {
                    cancelled.push((*id, command.frame));
                }
                !goes
            });
        }
        for (id, frame) in cancelled {
            self.supersede(id, &frame);
        }
    }

    pub(super) fn supersede(&mut self, id: ClientId, frame: &Frame) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.counters.superseded += 1;
        }
        self.fail(id, frame, "cancelled by a stop before it was sent");
    }

    /// Hands on what may go up: one command of each client at a time, in turn, so that a client's
    /// commands keep their order and no client waits for another's long queue, and only to those
    /// that have a place left to them.
    pub(super) fn hand_on(&mut self, now: Instant) {
        if !self.open {
            return;
        }
        loop {
            let ready = |id: ClientId, client: &Client| {
                let waits = client.queued.is_none() && !client.waiting.is_empty();
                waits && self.has_a_place(now, id)
            };
            let mut all =
                self.clients.iter().filter(|(id, client)| ready(**id, client)).map(|(id, _)| *id);
            let turn = self.turn;
            let first = all.next();
            let Some(id) =
                first.filter(|id| *id > turn).or_else(|| all.find(|id| *id > turn)).or(first)
            else {
                return;
            };
            if !self.hand_up(now, id) {
                return;
            }
            self.turn = id;
        }
    }

    /// Whether one command more of this client may be without an answer: it may have as many as
    /// there are places left in the window. Otherwise one whose commands the instrument leaves
    /// unanswered would take all of them, and the others could not ask.
    fn has_a_place(&self, now: Instant, id: ClientId) -> bool {
        let taken = self
            .flights
            .values()
            .filter(|flight| flight.counts_until.is_some_and(|until| now < until));
        let (mut all, mut own) = (0, 0);
        for flight in taken {
            all += 1;
            own += usize::from(flight.owners.first().is_some_and(|(owner, _)| *owner == id));
        }
        own == 0 || own < self.options.core.window.saturating_sub(all)
    }

    /// What has waited too long to be sent is not sent: nobody expects it any more. A client that
    /// stops in the middle of an upload keeps the others' room.
    pub(super) fn end_stalled(&mut self, now: Instant) {
        let timeout = self.options.request_timeout;
        let is_over = |since: Instant| since + timeout <= now;
        let mut late = Vec::new();
        let mut notes = Vec::new();
        for (id, client) in self.clients.iter_mut().filter(|(_, client)| !client.cut) {
            while let Some(command) = client.waiting.front().filter(|first| is_over(first.since)) {
                late.push((*id, command.frame));
                client.waiting.pop_front();
            }
            if client.upload_went_on().is_some_and(is_over) {
                client.cut = true;
                let address = &client.address;
                notes.push(format!("client {id} at {address} is cut off: its upload stalled"));
            }
        }
        self.reports.extend(notes.into_iter().map(Report::Note));
        for (id, frame) in late {
            self.refuse(now, id, &frame, "not sent: it waited too long for its turn");
        }
    }

    /// Gives the client's next command to the core. Gives whether there was room.
    fn hand_up(&mut self, now: Instant, id: ClientId) -> bool {
        let Some(command) = self.clients.get_mut(&id).and_then(|client| client.waiting.pop_front())
        else {
            return true;
        };
        let frame = command.frame;
        // It may have begun since this was admitted.
        if self.is_kept_off_by_a_workflow(now, &frame) {
            self.refuse(now, id, &frame, WORKFLOW_RUNS);
            return true;
        }
        let query = frame.code.row().is_some_and(|row| row.kind == Kind::Query);
        if self.options.coalesce
            && query
            && frame.payload_len == 0
            && let Some(ticket) = self.joins(now, id, &frame)
        {
            if let Some(client) = self.clients.get_mut(&id) {
                client.queued = Some(ticket);
            }
            return true;
        }
        let Some(core) = self.core.as_mut() else { return false };
        let asked = expects_answer(&frame);
        let patience =
            if is_answered_at_end(&frame) { UNTIL_ITS_END } else { self.options.request_timeout };
        let given =
            if asked { core.request(now, &frame, now + patience) } else { core.send(now, &frame) };
        match given {
            Ok(ticket) => {
                let owners = vec![(id, frame.client_id)];
                self.fly(ticket, owners, command, asked.then_some(now + patience));
                if let Some(client) = self.clients.get_mut(&id) {
                    client.queued = Some(ticket);
                }
                true
            }
            Err(CommandError::Full { .. }) => {
                // When something ends there is room again.
                if let Some(client) = self.clients.get_mut(&id) {
                    client.waiting.push_front(command);
                }
                false
            }
            Err(error) => {
                self.refuse(now, id, &frame, &error.to_string());
                true
            }
        }
    }

    pub(super) fn fly(
        &mut self,
        ticket: Ticket,
        owners: Vec<(ClientId, i32)>,
        command: Command,
        deadline: Option<Instant>,
    ) {
        let asked = deadline.is_some();
        let at_end = is_answered_at_end(&command.frame);
        let counts_until =
            deadline.filter(|_| !at_end).map(|deadline| deadline + self.options.core.grace);
        if asked {
            for (id, _) in &owners {
                if let Some(client) = self.clients.get_mut(id) {
                    client.in_flight += 1;
                }
            }
        }
        let (out, ended, left) = (false, false, false);
        let flight = Flight { owners, command, asked, out, ended, left, counts_until };
        self.flights.insert(ticket, flight);
        if self.flights.len() > MOST_FLIGHTS {
            let oldest = self.flights.iter().find(|(_, flight)| flight.ended && flight.out);
            if let Some(ticket) = oldest.map(|(ticket, _)| *ticket) {
                self.flights.remove(&ticket);
            }
        }
    }

    /// Whether an equal stop is about to go out: it stops for both, unless something was queued in
    /// between that must not run behind the second one.
    fn joins_stop(&mut self, now: Instant, id: ClientId, stop: &Frame) -> bool {
        let mut open = self.flights.values().filter(|flight| !flight.out && !flight.ended);
        let stops_more = open.any(|flight| is_cancelled_by(&flight.command.frame, stop));
        !stops_more && self.joins(now, id, stop).is_some()
    }

    /// If an equal command is already on its way up and not out yet, it is for both, and so is its
    /// answer. Gives its ticket.
    fn joins(&mut self, now: Instant, id: ClientId, frame: &Frame) -> Option<Ticket> {
        let plain = |frame: &Frame| Frame { client_id: 0, ..*frame };
        let (ticket, flight) = self.flights.iter_mut().find(|(_, flight)| {
            let open = !flight.out && !flight.ended;
            open && plain(&flight.command.frame) == plain(frame)
        })?;
        let (ticket, asked) = (*ticket, flight.asked);
        let own = flight.owners.iter().filter(|(owner, _)| *owner == id).count();
        if asked && own >= MOST_FLIGHTS {
            self.refuse(now, id, frame, TOO_MANY);
            return Some(ticket);
        }
        if asked || own == 0 {
            flight.owners.push((id, frame.client_id));
        }
        flight.left = false;
        if asked && let Some(client) = self.clients.get_mut(&id) {
            client.in_flight += 1;
        }
        Some(ticket)
    }
}
