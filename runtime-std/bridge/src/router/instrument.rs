//! How the connection to the instrument begins and ends, what goes up over it, and how a client
//! leaves.

use std::sync::Arc;

use flamingo_protocol_core::{
    Cancelled, CommandCode, Counters, Duration, Frame, Instant, Ticket, Transmit,
};

use super::{ClientId, Router};
use crate::settings::Delivery;
use crate::status::counters::UpstreamStatus;
use flamingo_runtime_std::CoreConnection;

/// A stop that could not be sent is meant for so long: later, it would stop something else.
const STOP_IS_MEANT: Duration = Duration::from_millis(10_000);

impl Router {
    /// There is a connection to the instrument. It is asked for its state before anything else
    /// goes up; stops that did not get out before go first.
    pub fn upstream_opened(&mut self, now: Instant) {
        self.core = Some(Box::new(CoreConnection::new(self.options.core)));
        self.open = false;
        for (since, stop) in std::mem::take(&mut self.stops) {
            if now.since(since) < STOP_IS_MEANT {
                self.pass_stop(now, None, &stop, since);
            }
        }
        let query = Frame::command(CommandCode::SYSTEM_STATE_GET);
        let deadline = now + self.options.request_timeout;
        let asked = self.core.as_mut().map(|core| core.request(now, &query, deadline));
        self.handshake = asked.and_then(Result::ok);
    }

    /// The instrument has said its state.
    pub(super) fn opened(&mut self, now: Instant, state: &Frame) {
        self.handshake = None;
        self.open = true;
        self.workflow.heard(state);
        let code = CommandCode(state.int32_data[0] as u32);
        let mut told = Frame::new(code);
        told.status = 1;
        self.publish(&told, &[], Delivery::Both, &[]);
        self.note("the instrument is connected");
        self.hand_on(now);
    }

    /// The connection to the instrument is gone. Whoever waits is told; nothing is sent again,
    /// but for stops that had not begun to go out.
    pub fn upstream_lost(&mut self, now: Instant) {
        let Some(core) = self.core.as_mut() else { return };
        core.handle_eof();
        let counters = core.counters();
        add(&mut self.upstream_before, &counters);
        self.upstream_before.reconnects += 1;
        let unsent = self.flights.values().filter(|flight| !flight.out && !flight.ended);
        let stops = unsent.map(|flight| (flight.command.since, flight.command.frame));
        self.stops = stops.filter(|(_, frame)| super::dispatch::stops(frame)).collect();
        self.open = false;
        self.take_events(now, None);
        self.core = None;
        self.partial = None;
        self.flights.clear();
        self.workflow = super::Workflow::default();
        self.fail_all_waiting("instrument connection lost");
        let mut told = Frame::new(CommandCode::SYSTEM_STATE_DISCONNECTED);
        told.status = 1;
        self.publish(&told, &[], Delivery::Both, &[]);
    }

    fn fail_all_waiting(&mut self, reason: &str) {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            client.queued = None;
            client.in_flight = 0;
            for command in std::mem::take(&mut client.waiting) {
                self.fail(id, &command.frame, reason);
            }
        }
    }

    /// What is to be written to the instrument next.
    pub fn upstream_output(&mut self, now: Instant) -> &[u8] {
        let Some(core) = self.core.as_mut() else { return &[] };
        match core.poll_transmit(now) {
            None => &[],
            Some(Transmit::Bytes(bytes)) => bytes,
            Some(Transmit::Payload { ticket, offset, .. }) => {
                let payload = self.flights.get(&ticket).map(|flight| &flight.command.payload);
                payload.and_then(|payload| payload.get(offset as usize..)).unwrap_or(&[])
            }
        }
    }

    /// So much of it was written.
    pub fn upstream_wrote(&mut self, now: Instant, count: usize) {
        let out = self.core.as_mut().and_then(|core| core.transmitted(now, count));
        if let Some(ticket) = out {
            self.is_out(now, ticket);
            self.hand_on(now);
        }
    }

    /// A command is out, its payload included: the next one of its client may follow.
    fn is_out(&mut self, now: Instant, ticket: Ticket) {
        let Some(flight) = self.flights.get_mut(&ticket) else { return };
        flight.out = true;
        // Nobody needs it any more, and it would take the room of others.
        flight.command.payload = Arc::default();
        // It had its answer, or whoever asked is gone.
        let over = flight.ended && flight.owners.is_empty();
        let (owners, frame, asked) = (flight.owners.clone(), flight.command.frame, flight.asked);
        for (id, _) in &owners {
            if let Some(client) = self.clients.get_mut(id) {
                client.queued.take_if(|queued| *queued == ticket);
            }
        }
        if frame.code == CommandCode::CAMERA_WORK_FLOW_START {
            self.workflow.sent(now);
        }
        if over || !asked {
            self.flights.remove(&ticket);
        }
        if !asked && self.options.echo_actions {
            let shown = Frame { payload_len: 0, ..frame };
            self.show_others(&owners, &shown, &[]);
        }
    }

    /// A client is gone. What it asked and was not sent will not be; stops are.
    pub fn client_closed(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else { return };
        let dropped = client.waiting.len() as u64;
        self.gone += client.counters;
        self.gone.dropped += dropped;
        self.leave_flights(now, id);
        if self.lease.give_up(id) && self.options.dead_man {
            self.stop_everything(now, &client.address);
        }
        self.take_events(now, None);
        self.hand_on(now);
    }

    fn leave_flights(&mut self, now: Instant, id: ClientId) {
        let owned = self.flights.iter_mut().filter(|(_, flight)| {
            flight.owners.iter().any(|(owner, _)| *owner == id) && !flight.ended
        });
        let mut unsent = Vec::new();
        for (ticket, flight) in owned {
            flight.owners.retain(|(owner, _)| *owner != id);
            if !flight.owners.is_empty() {
                continue;
            }
            // What is out is waited for all the same, or its answer might be taken for another's.
            flight.left = flight.asked;
            let stops = super::dispatch::stops(&flight.command.frame);
            if !flight.out && !stops {
                unsent.push(*ticket);
            }
        }
        let Some(core) = self.core.as_mut() else { return };
        for ticket in unsent {
            if core.cancel(now, ticket) == Cancelled::NotSent {
                self.flights.remove(&ticket);
                self.gone.dropped += 1;
            } else if let Some(flight) = self.flights.get_mut(&ticket).filter(|flight| flight.asked)
            {
                flight.ended = true;
            }
        }
    }

    /// The dead man's switch.
    fn stop_everything(&mut self, now: Instant, who: &str) {
        self.note(&format!("{who} held the lease and is lost: everything is stopped"));
        let halts = (1..=4).map(|axis| Frame::command(CommandCode::STAGE_HALT).with_selector(axis));
        let off = Frame::command(CommandCode::LASER_DISABLE_ALL);
        for stop in halts.chain([off]) {
            self.pass_stop(now, None, &stop, now);
        }
    }

    /// Whether the instrument has answered and commands may go up.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether anything that was asked has no outcome yet.
    pub fn is_busy(&self) -> bool {
        let open = self.flights.values().any(|flight| !flight.ended && !flight.left);
        open || self
            .clients
            .values()
            .any(|client| !client.waiting.is_empty() || !client.to_write().is_empty())
    }

    /// The connection to the instrument in figures, those before it included.
    pub fn upstream_status(&self) -> UpstreamStatus {
        let mut status = self.upstream_before.clone();
        status.connected = self.open;
        if let Some(core) = &self.core {
            add(&mut status, &core.counters());
        }
        status
    }
}

fn add(status: &mut UpstreamStatus, counters: &Counters) {
    status.frames_out += counters.frames_sent;
    status.frames_in += counters.frames_received();
    status.solicited += counters.solicited;
    status.presumed += counters.presumed;
    status.late += counters.late;
    status.ambiguous += counters.ambiguous;
    status.unsolicited += counters.unsolicited;
    status.noise_bytes += counters.noise_bytes;
    status.timed_out += counters.timed_out;
    status.fences_sent += counters.fences_sent;
}
