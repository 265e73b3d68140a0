//! Who gets what: bytes of clients and of the instrument in, bytes for each of them out. Sans-IO:
//! no socket, no clock; the sockets are `control.rs`.
//!
//! Here is the router's state and its front acceptor. What a client may ask and when it goes up is
//! `commands.rs`; what comes down and to whom is `answers.rs`; how the connection to the instrument
//! begins and ends is `link.rs`; one client is `client.rs`.

mod client;
mod deliver;
mod dispatch;
mod instrument;
mod lease;
#[cfg(test)]
mod tests;
mod token_bucket;
mod workflow;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flamingo_protocol_core::{Config, Duration, Frame, Instant, Received, Ticket};

use crate::settings::{Delivery, Limits, Role};
use crate::status::counters::{ClientCounters, ClientStatus, UpstreamStatus};
use client::{Client, Command, Heard};
use flamingo_runtime_std::CoreConnection;
use lease::Lease;
use workflow::Workflow;

/// Names a client, from its connecting to its end. Never used twice.
pub type ClientId = u64;

/// What the router is told about its surroundings.
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Debug, Clone)]
pub struct Options {
    /// What is known of the instrument.
    pub core: Config,
    /// How long an answer of the instrument is waited for.
    pub request_timeout: Duration,
    /// What one client may use.
    pub limits: Limits,
    /// How long the one who moves or lights keeps that right when idle; `None`: no lease.
    pub lease: Option<Duration>,
    /// Stop everything when the client that holds the lease is lost.
    pub dead_man: bool,
    /// Show each client's actions to the others.
    pub echo_actions: bool,
    /// Mark answers with the answer tag.
    pub tag: bool,
    /// One query may answer several clients that ask the same before it has gone up.
    pub coalesce: bool,
}

/// What the sockets are to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A whole message for every subscriber of the callback port.
    Publish(Arc<[u8]>),
    /// The connection to the instrument must be given up, and made again.
    GiveUp(&'static str),
    /// Something that an operator wants to know.
    Note(String),
}

/// A command on its way up, or one whose answer may still come.
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Debug)]
struct Flight {
    /// Who is told the answer, with the clientID of each; nobody if the bridge itself asked.
    owners: Vec<(ClientId, i32)>,
    command: Command,
    /// An answer is expected.
    asked: bool,
    /// It is written, payload included.
    out: bool,
    /// It has had its outcome; its answer would be late.
    ended: bool,
    /// Whoever asked is gone: its answer is counted and told to nobody.
    left: bool,
    /// As long as it is on the wire without an answer, it takes a place of the window until then.
    /// `None`: it takes none.
    counts_until: Option<Instant>,
}

/// Ended flights that are remembered, so that late answers can be counted where they belong.
const MOST_FLIGHTS: usize = 1024;

/// A frame whose payload is still coming down.
#[derive(Debug)]
struct Partial {
    received: Received,
    payload: Vec<u8>,
}

/// The one who knows all clients and the instrument.
#[derive(Debug)]
pub struct Router {
    options: Options,
    /// None while there is no connection to the instrument.
    core: Option<Box<CoreConnection>>,
    /// The instrument has answered: commands may go up.
    open: bool,
    /// Nothing new goes up, but for stops.
    stopping: bool,
    /// The bridge's own first question.
    handshake: Option<Ticket>,
    clients: BTreeMap<ClientId, Client>,
    flights: BTreeMap<Ticket, Flight>,
    /// Who handed a command on last: the next one is the next's turn.
    turn: ClientId,
    next_client: ClientId,
    partial: Option<Partial>,
    reports: VecDeque<Report>,
    lease: Lease,
    workflow: Workflow,
    /// Stops that did not get out before the connection was lost, and when that was.
    stops: Vec<(Instant, Frame)>,
    /// The sums of the clients that are gone.
    gone: ClientCounters,
    /// The sums of the connections to the instrument that are gone.
    upstream_before: UpstreamStatus,
}

impl Router {
    /// A router without clients, and without a connection to the instrument.
    #[must_use]
    pub fn new(mut options: Options) -> Self {
        // A command may go up at the end of its time: its answer must be known as late as long as
        // it can come, or it would be presumed the next one's.
        options.core.grace = options.core.grace.max(options.request_timeout);
        let lease = Lease::new(options.lease);
        Self {
            options,
            core: None,
            open: false,
            stopping: false,
            handshake: None,
            clients: BTreeMap::new(),
            flights: BTreeMap::new(),
            turn: 0,
            next_client: 1,
            partial: None,
            reports: VecDeque::new(),
            lease,
            workflow: Workflow::default(),
            stops: Vec::new(),
            gone: ClientCounters::default(),
            upstream_before: UpstreamStatus::default(),
        }
    }

    /// A client has connected. `None`: there are as many as there may be, close it.
    pub fn client_opened(
        &mut self,
        now: Instant,
        address: String,
        role: Role,
        delivery: Delivery,
    ) -> Option<ClientId> {
        let most = self.options.limits.clients;
        if self.clients.values().filter(|client| client.is_present()).count() >= most {
            return None;
        }
        // Those that only wait for an answer take nobody's place, and are not kept without end.
        let mut waiting = self.clients.values_mut().filter(|client| client.finished && !client.cut);
        if let Some(oldest) = waiting.next()
            && waiting.count() + 1 >= most
        {
            oldest.cut = true;
        }
        let id = self.next_client;
        self.next_client += 1;
        let client = Client::new(now, address, role, delivery, &self.options.limits);
        self.clients.insert(id, client);
        Some(id)
    }

    /// Bytes of a client. All of them are taken.
    pub fn client_input(&mut self, now: Instant, id: ClientId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.room_for_uploads(id);
            let Some(client) = self.clients.get_mut(&id).filter(|client| !client.cut) else {
                return;
            };
            let (consumed, heard) = client.hear(now, bytes, room);
            bytes = bytes.get(consumed..).unwrap_or(&[]);
            if client.noise_in_a_row() > self.options.limits.noise_bytes {
                client.cut = true;
                let address = &client.address;
                let note =
                    format!("client {id} at {address} is cut off: what it sends are no frames");
                self.reports.push_back(Report::Note(note));
                return;
            }
            match heard {
                Some(Heard::Command(command)) => self.admit(now, id, command),
                Some(Heard::TooLong(frame)) => {
                    // Refused or not, it counts.
                    let _ = client.may_send(now, 128 + frame.payload_len as usize);
                    self.refuse(now, id, &frame, "upload refused: larger than the bridge may hold");
                }
                None => {}
            }
        }
    }

    /// A client sends nothing more; it is still told the answers to what it asked.
    pub fn client_finished(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.finished = true;
        }
    }

    /// From now on only what was asked already is finished, and stops pass.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// A client may do something else from now on.
    pub fn set_role(&mut self, id: ClientId, role: Role, delivery: Delivery) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.role = role;
            client.delivery = delivery;
        }
    }

    /// What is to be written to a client next.
    pub fn client_output(&self, id: ClientId) -> &[u8] {
        self.clients.get(&id).map_or(&[], Client::to_write)
    }

    /// So much of it was written.
    pub fn client_wrote(&mut self, id: ClientId, count: usize) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.wrote(count);
        }
    }

    /// Whether a client is to be closed now.
    pub fn is_over(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_none_or(|client| client.cut || client.is_done())
    }

    /// What is to be done, in order.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let core = self.core.as_ref().and_then(|core| core.poll_timeout()).map(|(at, _)| at);
        let waiting = self.clients.values().filter(|client| !client.cut).filter_map(|client| {
            let first = client.waiting.front().map(|command| command.since);
            let since = first.into_iter().chain(client.upload_went_on()).min()?;
            Some(since + self.options.request_timeout)
        });
        core.into_iter().chain(waiting).min()
    }

    /// Ends what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(core) = &mut self.core {
            core.handle_timeout(now);
        }
        self.end_stalled(now);
        self.take_events(now, None);
        self.hand_on(now);
    }

    /// All clients.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.keys().copied()
    }

    /// Each client in figures, and those that are gone together.
    pub fn client_status(&self, now: Instant) -> (Vec<ClientStatus>, ClientCounters) {
        let each = self.clients.iter().map(|(id, client)| ClientStatus {
            id: *id,
            address: client.address.clone(),
            role: client.role.to_string(),
            delivery: client.delivery.to_string(),
            connected_s: std::time::Duration::from(now.since(client.since)).as_secs_f64(),
            waiting: client.waiting.len(),
            in_flight: client.in_flight,
            counters: client.counters,
        });
        (each.collect(), self.gone)
    }

    /// Commands that are on their way, or whose late answer is still expected.
    pub fn remembered(&self) -> usize {
        self.flights.len()
    }

    /// How many bytes of uploads may still be held for a client.
    fn room_for_uploads(&self, id: ClientId) -> usize {
        let limits = &self.options.limits;
        let up: usize = self.flights.values().map(|flight| flight.command.payload.len()).sum();
        let all: usize = self.clients.values().map(Client::held).sum::<usize>() + up;
        let own = self.clients.get(&id).map_or(0, Client::held);
        let total = usize::try_from(limits.upload_bytes_total).unwrap_or(usize::MAX);
        (limits.upload_bytes as usize).saturating_sub(own).min(total.saturating_sub(all))
    }
}
