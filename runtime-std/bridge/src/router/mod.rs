//! The router: decides which client receives which answer. It is sans-IO: bytes of the clients and
//! of the instrument go in, and bytes for each of them come out. It has no socket and no clock;
//! `control/` moves the bytes.
//!
//! The module is public for the fuzzer only and is not part of the stable interface of the crate.
//!
//! - `permissions.rs`: what a client may send.
//! - `client_quota.rs`: how much a client may send and keep waiting; `token_bucket.rs` is a rate.
//! - `slots.rs`: how many clients may connect.
//! - `dispatch.rs`: when a command goes to the instrument. `turns.rs`: which command of a client has
//!   its turn. `stops.rs`: stops go first.
//! - `schedule.rs`: what is known of all clients without a search; `tracked.rs` reports the changes.
//! - `stop_rate.rs`: how often a client may stop. `unsent_stops.rs`: stops that wait for a connection.
//!   `halt_all.rs`: a HALT of all axes becomes four.
//! - `deliver.rs`: who receives what the instrument sends; `recipient.rs` is one of them. `replies.rs`
//!   and `refusals.rs`: what the bridge itself sends.
//! - `instrument.rs`: the connection to the instrument begins and ends. `batch.rs`: queries that go out in
//!   one write.
//! - `stalled_input.rs`: a payload or a frame of the instrument that begins and does not go on.
//! - `wrong_tokens.rs`: answers that have the token of another request.
//! - `role_change.rs`: a client got another role.
//! - `upload.rs`: payloads that clients send. `hidden_stops.rs`: stops in the payload of a stop.
//! - `client.rs`: one client. `waiting.rs`: its commands that wait. `client_names.rs`: its name in the
//!   status. `client_input.rs`: its bytes become commands. `client_closed.rs`: what happens to its commands
//!   when it leaves.
//! - `not_expected.rs`: answers to commands that, by the table, are not answered.
//! - `lease.rs` and `workflow.rs`: two facts that permissions depend on.

mod batch;
mod client;
mod client_closed;
mod client_input;
mod client_names;
mod client_quota;
mod deliver;
mod dispatch;
mod halt_all;
mod hidden_stops;
mod instrument;
mod lease;
mod not_expected;
mod permissions;
mod recipient;
mod refusals;
mod replies;
mod role_change;
mod schedule;
mod slots;
mod stalled_input;
mod stop_rate;
mod stops;
#[cfg(test)]
mod tests;
mod token_bucket;
mod tracked;
mod turns;
mod unsent_stops;
mod upload;
mod waiting;
mod workflow;
mod wrong_tokens;

use std::collections::VecDeque;

use bytes::Bytes;
use flamingo_protocol_core::{
    Class, Config, Frame, Ticket,
    time::{Duration, Instant},
};

use crate::settings::{EventDelivery, LimitSettings, Role, WhenLost};
use crate::status::{ClientCounters, ClientStatus, UpstreamStatus};
use batch::Batch;
use client::{Client, Command};
use client_names::ClientNames;
use flamingo_runtime_std::{CoreConnection, LogRate, MessageCollector};
use halt_all::OpenHalts;
use lease::MotionLease;
use not_expected::NotExpected;
use recipient::{Recipient, Recipients};
use schedule::Schedule;
use slots::Slot;
use stalled_input::InputProgress;
use tracked::Tracked;
use unsent_stops::UnsentStop;
use workflow::WorkflowState;

/// The number of a client. It is never used again.
pub type ClientId = u64;

/// The options of a [`Router`].
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Debug, Clone)]
pub struct RouterOptions {
    /// The configuration of the connection to the instrument.
    pub core: Config,
    /// The tickets begin after this one. It should be random, so that with tokens the bridge does not
    /// take the answer to another client of the instrument for its own.
    pub last_ticket: Ticket,
    /// Time limit for an answer of the instrument, from the first byte of the command that is
    /// written. A command may wait for its turn as long, and as long again to be written.
    pub request_timeout: Duration,
    /// How much each client may use.
    pub limits: LimitSettings,
    /// The idle time after which the motion lease is free again. `None`: there is no lease.
    pub lease: Option<Duration>,
    /// Stop everything when the client that held the lease last is lost.
    pub dead_man: bool,
    /// Report each client's actions to the other clients.
    pub echo_actions: bool,
    /// Mark answers with the answer tag.
    pub tag: bool,
    /// Equal queries that wait at the same time share one request.
    pub coalesce: bool,
    /// What a client receives for a query while the instrument is not connected.
    pub when_lost: WhenLost,
}

/// What the sockets must do for the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouterAction {
    /// Send this whole message to every subscriber of the callback port.
    Publish(Bytes),
    /// Close the connection to the instrument, for this reason, and connect again.
    Reconnect(&'static str),
    /// A stop waits for a connection to the instrument: do not wait before the next attempt.
    ConnectNow,
    /// Log this line for the operator.
    Log(String),
    /// Log this line about a client at a bounded rate, since clients can cause it as often as they want.
    LogClient(String),
}

/// A command that was given to the core and whose answer may still come.
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Debug)]
struct ForwardedCommand {
    /// The clients that receive the answer. Empty for a command of the bridge itself.
    recipients: Recipients,
    command: Command,
    expects_answer: bool,
    /// Its last byte, payload included, was written.
    written: bool,
    /// Its outcome is known; a later answer would be late.
    ended: bool,
    /// Its client has left: the answer is counted and sent to nobody.
    abandoned: bool,
    /// Until then it occupies a slot of the window, unless its answer comes; without end while it is
    /// not written. `None`: it occupies none.
    occupies_slot_until: Option<Instant>,
}

/// How many forwarded commands are remembered, so that a late answer is counted for its client.
const MAX_FORWARDED: usize = 1024;

/// The router: it knows all clients and the instrument.
#[derive(Debug)]
pub struct Router {
    options: RouterOptions,
    /// `None` while the instrument is not connected.
    core: Option<Box<CoreConnection>>,
    /// The last ticket of the last connection: no ticket of it may name a command of the next one.
    last_ticket: Ticket,
    /// The instrument has reported its state: commands may be forwarded.
    open: bool,
    /// The bridge is stopping: only stops are accepted.
    stopping: bool,
    /// The bridge's own query for the state, at the start of a connection.
    state_query: Option<Ticket>,
    clients: Tracked<ClientId, Client>,
    names: ClientNames,
    forwarded: Tracked<Ticket, ForwardedCommand>,
    /// Queries that are on their way to the socket of the instrument.
    batch: Batch,
    /// What is derived from the clients and the forwarded commands.
    schedule: Schedule,
    /// The client whose command was forwarded last; the next client has its turn.
    last_served: ClientId,
    next_client: ClientId,
    /// Collects the frames of the instrument and their payloads, with their classes.
    incoming: MessageCollector<Class>,
    /// How far a payload or a frame has come that is incomplete.
    input: Option<InputProgress>,
    /// When the log last said that an answer had the token of another request.
    wrong_token_logged: Option<Instant>,
    actions: VecDeque<RouterAction>,
    lease: MotionLease,
    workflow: WorkflowState,
    /// Stops that wait for a connection to the instrument.
    unsent_stops: Vec<UnsentStop>,
    /// Laser-offs that this connection has sent, and after which it has switched no such laser on.
    unconfirmed_stops: Vec<UnsentStop>,
    /// The bridge gives up this connection for a stop that it blocks.
    given_up: bool,
    /// How many commands other than queries and stops were accepted, or have begun with a payload.
    accepted_actions: u64,
    /// Each different stop, with that number when it last cancelled what waited. A flood of stops must
    /// not search the queues each time.
    last_cancels: Vec<(Frame, u64)>,
    /// HALTs of all axes that are not answered.
    open_halts: OpenHalts,
    /// Commands that were sent and, by the table, are not answered.
    not_expected: NotExpected,
    /// The sum over the clients that left.
    gone: ClientCounters,
    /// The sum over the earlier connections to the instrument.
    earlier_connections: UpstreamStatus,
    /// Limits the lines about peers that do not send frames.
    stranger_log: LogRate,
}

impl Router {
    /// A router without clients and without a connection to the instrument.
    #[must_use]
    pub fn new(options: RouterOptions) -> Self {
        let lease = MotionLease::new(options.lease);
        Self {
            last_ticket: options.last_ticket,
            options,
            core: None,
            open: false,
            stopping: false,
            state_query: None,
            clients: Tracked::default(),
            names: ClientNames::default(),
            forwarded: Tracked::default(),
            batch: Batch::default(),
            schedule: Schedule::default(),
            last_served: 0,
            next_client: 1,
            incoming: MessageCollector::default(),
            input: None,
            wrong_token_logged: None,
            actions: VecDeque::new(),
            lease,
            workflow: WorkflowState::default(),
            unsent_stops: Vec::new(),
            unconfirmed_stops: Vec::new(),
            given_up: false,
            accepted_actions: 0,
            last_cancels: Vec::new(),
            open_halts: OpenHalts::default(),
            not_expected: NotExpected::default(),
            gone: ClientCounters::default(),
            earlier_connections: UpstreamStatus::default(),
            stranger_log: LogRate::default(),
        }
    }

    /// A client has connected. `address` is its `IP:PORT`. If all slots are taken, it gets one that is
    /// reserved for stops, and another client may have to leave.
    pub fn client_opened(
        &mut self,
        now: Instant,
        address: String,
        role: Role,
        delivery: impl Into<EventDelivery>,
    ) -> ClientId {
        let slot = self.take_slot(&address);
        let id = self.next_client;
        self.next_client += 1;
        self.names.enter(id, &address);
        let (limits, timeout) = (&self.options.limits, self.options.request_timeout);
        let client = Client::new(now, address, slot, role, delivery.into(), limits, timeout);
        self.clients.insert(id, client);
        id
    }

    /// From now on the router finishes the accepted commands and accepts only stops.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The bytes to write to a client next.
    #[must_use]
    pub fn client_output(&self, id: ClientId) -> &[u8] {
        self.clients.get(&id).map_or(&[], Client::to_write)
    }

    /// `count` bytes of [`Self::client_output`] were written.
    pub fn client_wrote(&mut self, id: ClientId, count: usize) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.wrote(count);
        }
    }

    /// Whether the connection to a client must be closed now.
    #[must_use]
    pub fn should_close(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_none_or(Client::ends)
    }

    /// The next action for the sockets, in order.
    pub fn poll_action(&mut self) -> Option<RouterAction> {
        self.actions.pop_front()
    }

    /// Ends what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(core) = &mut self.core {
            core.handle_timeout(now);
        }
        self.end_stalled(now);
        self.end_stalled_input(now);
        self.end_slow_uploads(now);
        self.send_delayed_stops(now);
        self.end_unsent_stops(now);
        self.take_events(now, None);
        self.forward_waiting(now);
        self.search_deadlines();
    }

    /// All clients.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.keys().copied()
    }

    /// The status of each client, and the sum over those that left.
    #[must_use]
    pub fn client_status(&self, now: Instant) -> (Vec<ClientStatus>, ClientCounters) {
        let each = self.clients.iter().map(|(id, client)| ClientStatus {
            id: *id,
            name: self.names.of(*id),
            address: client.address.clone(),
            role: client.role.to_string(),
            stops_only: client.slot == Slot::StopsOnly,
            delivery: client.delivery.to_string(),
            connected_s: std::time::Duration::from(now.since(client.connected)).as_secs_f64(),
            waiting: client.waiting.len(),
            in_flight: client.in_flight,
            counters: client.counters,
        });
        (each.collect(), self.gone)
    }

    /// The number of commands that are in flight or whose late answer may still come.
    #[must_use]
    pub fn remembered_commands(&self) -> usize {
        self.forwarded.len()
    }
}
