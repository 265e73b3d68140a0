//! The control side: one thread owns the router, the socket to the instrument and the sockets of all
//! clients. It moves bytes between the sockets and the router, which makes every decision. The thread
//! asks the operating system itself which sockets are ready: a reactor that it shared with other
//! threads would make most commands wait for another thread.
//!
//! `rounds.rs` gives each socket its turn, `instrument.rs` connects to the instrument, `wait.rs` waits
//! for the next thing to do, `listener.rs` accepts clients, `socket.rs` reads and writes one socket, and
//! `inbox.rs` is how the other parts of the bridge reach this one.

mod inbox;
mod instrument;
pub(crate) mod listener;
mod rounds;
mod socket;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use flamingo_protocol_core::time::Instant;
use mio::Waker;

use crate::access::Role;
use crate::access::admission::Admission;
use crate::id_set::IdSet;
use crate::router::{ClientId, Router, RouterAction};
use crate::settings::EventDelivery;
use flamingo_runtime_std::{Clock, LogRate};
pub(crate) use inbox::{ControlHandle, ControlRequest, ControlStatus};
use instrument::Connecting;
pub(crate) use instrument::InstrumentLink;
use listener::ControlListener;
use rounds::INSTRUMENT_READ;
use socket::ControlSocket;
use wait::{Poller, Target};

/// Log lines per second about clients that come and go, and as many about what else they do.
const LOG_LINES_PER_S: u32 = 20;
/// The time limit for commands in flight when the bridge is told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of the task.
pub(crate) struct ControlTask {
    router: Router,
    clock: Clock,
    listeners: Vec<ControlListener>,
    admission: Admission,
    link: InstrumentLink,
    instrument: Option<ControlSocket>,
    connecting: Option<Connecting>,
    clients: BTreeMap<ClientId, ControlSocket>,
    /// The clients of which there may be something to read.
    readable: IdSet,
    /// The clients of this round, and how many bytes of each may be read; empty between two rounds.
    to_read: Vec<(ClientId, usize)>,
    /// The clients that have ended since the last round: the router may have forgotten them.
    ending: Vec<ClientId>,
    /// The clients to write to; empty between two rounds.
    to_write: Vec<ClientId>,
    /// The next round reads this client first, or the next one that is readable.
    first_client: ClientId,
    poller: Poller,
    /// Wakes this thread while it waits.
    waker: Arc<Waker>,
    requests: Receiver<ControlRequest>,
    publish: Box<dyn Fn(Bytes) + Send>,
    buffer: Box<[u8]>,
    /// When the bridge ends at the latest, once it was told to stop.
    stop_deadline: Option<Instant>,
    /// Dropped when the instrument is connected.
    notify_connected: Vec<Sender<()>>,
    /// What is logged about clients that come and go.
    connections_log: LogRate,
    /// What else is logged about clients.
    clients_log: LogRate,
}

impl ControlTask {
    /// The control side, and what the other parts of the bridge reach it by.
    ///
    /// # Errors
    /// The operating system cannot report changes of the sockets.
    pub(crate) fn new(
        router: Router,
        mut listeners: Vec<ControlListener>,
        admission: Admission,
        link: InstrumentLink,
        publish: Box<dyn Fn(Bytes) + Send>,
    ) -> std::io::Result<(Self, ControlHandle)> {
        let (poller, waker) = Poller::new()?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(&poller, index)?;
        }
        let (handle, requests) = ControlHandle::new(Arc::clone(&waker));
        let task = Self {
            router,
            clock: Clock::start(),
            listeners,
            admission,
            link,
            instrument: None,
            connecting: None,
            clients: BTreeMap::new(),
            readable: IdSet::default(),
            to_read: Vec::new(),
            ending: Vec::new(),
            to_write: Vec::new(),
            first_client: 0,
            poller,
            waker,
            requests,
            publish,
            buffer: vec![0; INSTRUMENT_READ].into_boxed_slice(),
            stop_deadline: None,
            notify_connected: Vec::new(),
            connections_log: LogRate::new(LOG_LINES_PER_S),
            clients_log: LogRate::new(LOG_LINES_PER_S),
        };
        Ok((task, handle))
    }

    /// Serves until it is told to stop, or until the [`Bridge`](crate::Bridge) is dropped.
    pub(crate) fn run(mut self) {
        self.connect(false);
        loop {
            self.turn();
            if self.is_over() {
                return;
            }
            if let Err(error) = self.wait() {
                tracing::error!(%error, "the bridge ends: it cannot wait for its sockets");
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop_deadline
            .is_some_and(|deadline| !self.router.is_busy() || deadline <= self.clock.now())
    }

    pub(super) fn close(&mut self, ids: &[ClientId]) {
        if ids.is_empty() {
            return;
        }
        let now = self.clock.now();
        for id in ids {
            let Some(socket) = self.clients.remove(id) else { continue };
            self.readable.set(*id, false);
            self.router.client_closed(now, *id);
            if let Some(left_out) = self.connections_log.line(now) {
                let address = socket.address;
                tracing::info!(client = id, %address, left_out, "a client disconnected");
            }
        }
    }

    pub(super) fn perform_actions(&mut self) {
        while let Some(action) = self.router.poll_action() {
            match action {
                RouterAction::Publish(message) => (self.publish)(message),
                RouterAction::Reconnect(reason) if self.instrument.is_some() => {
                    self.give_up_instrument(reason);
                }
                RouterAction::Reconnect(_) => {}
                RouterAction::ConnectNow => self.connect_now(),
                RouterAction::Log(text) => tracing::info!("{text}"),
                RouterAction::LogClient(text) => {
                    if let Some(left_out) = self.clients_log.line(self.clock.now()) {
                        tracing::info!(left_out, "{text}");
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        if self.listeners.iter().all(|listener| listener.accepts_from().is_none()) {
            return;
        }
        let now = self.clock.now();
        let accepted = self.listeners.iter_mut().flat_map(|listener| {
            listener
                .accept(now)
                .into_iter()
                .map(|(stream, address)| ControlSocket::new(stream, address, listener.name.clone()))
        });
        for socket in accepted.collect::<Vec<_>>() {
            self.admit(socket);
        }
    }

    fn admit(&mut self, mut socket: ControlSocket) {
        let now = self.clock.now();
        let (address, port) = (socket.address, socket.port.as_deref().unwrap_or("control"));
        let (role, delivery) = match self.admission_of(&socket) {
            Some((role, delivery)) if role != Role::Observer => (role, delivery),
            refused => {
                let reason = match refused {
                    None => "its address is not allowed to connect",
                    Some(_) => "an observer may use the callback port and the live images only",
                };
                if let Some(left_out) = self.clients_log.line(now) {
                    tracing::warn!(%address, port, reason, left_out, "a client is refused");
                }
                return;
            }
        };
        let id = self.router.client_opened(now, address.to_string(), role, delivery.clone());
        if let Some(left_out) = self.connections_log.line(now) {
            tracing::info!(
                client = id, %address, port, %role, %delivery, left_out, "a client connected"
            );
        }
        match socket.register(&self.poller, Target::Client(id)) {
            Ok(()) => {
                self.readable.set(id, socket.is_readable());
                self.clients.insert(id, socket);
            }
            Err(error) => {
                tracing::warn!(client = id, %error, "the connection to a client is lost");
                self.router.client_closed(now, id);
            }
        }
    }

    /// The present role and delivery of a client. `None` if it may not be connected.
    fn admission_of(&self, socket: &ControlSocket) -> Option<(Role, EventDelivery)> {
        self.admission.admit(socket.port.as_deref(), socket.address.ip().to_canonical())
    }

    fn handle_request(&mut self, request: ControlRequest) {
        match request {
            ControlRequest::Stop => {
                self.listeners.clear();
                self.router.stop();
                self.stop_deadline = Some(self.clock.now() + STOP_TIMEOUT.into());
            }
            ControlRequest::ApplyAccess => self.apply_access(),
            ControlRequest::NotifyConnected(reply) => self.notify_connected.push(reply),
            ControlRequest::Status(reply) => {
                let (clients, gone) = self.router.client_status(self.clock.now());
                let mut upstream = self.router.upstream_status();
                upstream.address.clone_from(&self.link.address);
                // An error means that nobody waits for the reply any more.
                let _ = reply.try_send(ControlStatus { upstream, clients, gone });
            }
        }
    }

    /// Gives each client its new role and delivery, and closes those that may not stay.
    fn apply_access(&mut self) {
        let now = self.clock.now();
        let mut refused = Vec::new();
        for (id, socket) in &self.clients {
            match self.admission_of(socket) {
                Some((role, delivery)) if role != Role::Observer => {
                    self.router.set_role(now, *id, role, delivery);
                }
                _ => refused.push(*id),
            }
        }
        self.close(&refused);
    }
}
