//! The control port: one thread owns the instrument and the sockets of its control clients. It asks the operating
//! system itself which sockets are ready. In each round it reads each socket once, gives the commands to the
//! instrument, and writes all frames of a client together.
//!
//! `client.rs` reads one client, `output.rs` writes to it, and `wait.rs` waits for the next thing to do. The image
//! ports are in `server.rs`.

mod client;
mod output;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_channel::Sender;
use flamingo_protocol_core::time::{Duration, Instant};
use flamingo_runtime_std::socket::client_input::ClientEnd;
use flamingo_runtime_std::{Clock, InputError, Message};
use mio::Waker;
use mio::net::{TcpListener, TcpStream};
use socket2::SockRef;

use super::images::ImageInput;
use super::instrument::{Action, ConnectionId, Instrument};
use super::server::{Shared, set_options};
use super::truth::FaultKind;
use client::Client;
use wait::{Poller, Target};

/// The most bytes of a client that one round reads.
const CHUNK: usize = 64 * 1024;
/// The most clients that one round accepts, so that clients who connect without a pause hold up nobody else.
const ACCEPTS: usize = 64;
/// The pause after accepting has failed: most likely no file descriptor is free, until a connection ends.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(super) struct End {
    is_told: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.is_told.store(true, Ordering::Release);
        // An error means that the thread has ended.
        let _ = self.waker.wake();
    }
}

/// The state of the thread.
pub(super) struct ControlPort {
    shared: Shared,
    clock: Clock,
    poller: Poller,
    is_told_to_end: Arc<AtomicBool>,
    /// Held, because a waker that is dropped wakes nobody.
    _waker: Arc<Waker>,
    listener: TcpListener,
    /// When to accept next. `None`: nobody waits.
    accepts_from: Option<Instant>,
    instrument: Instrument,
    image_inputs: Sender<ImageInput>,
    clients: BTreeMap<ConnectionId, Client>,
    /// The number of the newest client.
    last_id: ConnectionId,
    buffer: Box<[u8]>,
    /// What the instrument wants, while it is carried out.
    actions: Vec<Action>,
}

impl ControlPort {
    /// The control port, and what ends it.
    pub(super) fn new(
        shared: Shared,
        listener: std::net::TcpListener,
        image_inputs: Sender<ImageInput>,
    ) -> Result<(Self, End)> {
        let (poller, waker) = Poller::new()?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poller.register_listener(&mut listener)?;
        let is_told = Arc::new(AtomicBool::new(false));
        let clock = Clock::start();
        let port = Self {
            instrument: Instrument::new(clock.now(), &shared.scenario),
            shared,
            clock,
            poller,
            is_told_to_end: Arc::clone(&is_told),
            _waker: Arc::clone(&waker),
            listener,
            accepts_from: None,
            image_inputs,
            clients: BTreeMap::new(),
            last_id: 0,
            buffer: vec![0; CHUNK].into_boxed_slice(),
            actions: Vec::new(),
        };
        Ok((port, End { is_told, waker }))
    }

    /// Serves until it is told to end.
    pub(super) fn run(mut self) {
        while !self.is_told_to_end.load(Ordering::Acquire) {
            self.work();
            if let Err(error) = self.wait(self.next_due()) {
                tracing::error!(%error, "the simulator ends: it cannot wait for its sockets");
                return;
            }
        }
    }

    /// Does what can be done now.
    fn work(&mut self) {
        self.accept(self.clock.now());
        self.for_each_client(Self::read);
        self.let_instrument_act(self.clock.now());
        self.for_each_client(Self::write);
    }

    /// `serve` may end the client.
    fn for_each_client(&mut self, mut serve: impl FnMut(&mut Self, ConnectionId)) {
        let mut from = 0;
        while let Some((&id, _)) = self.clients.range(from..).next() {
            from = id + 1;
            serve(self, id);
        }
    }

    /// Accepts clients up to a limit. Above the limit a client is accepted and closed at once, as the instrument
    /// does. The rest waits for the next round.
    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTS {
            if self.accepts_from.is_none_or(|from| from > now) {
                return;
            }
            match self.listener.accept() {
                Ok(accepted) => self.admit(now, accepted),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.accepts_from = None,
                Err(_) => self.accepts_from = Some(now + PAUSE_AFTER_ERROR),
            }
        }
    }

    fn admit(&mut self, now: Instant, (mut stream, address): (TcpStream, SocketAddr)) {
        let Shared { scenario, truth, .. } = &self.shared;
        if self.clients.len() >= scenario.server.control_clients {
            truth.record_fault(address, FaultKind::Refused, 0, 0);
            return;
        }
        set_options(&SockRef::from(&stream), scenario);
        self.last_id += 1;
        let id = self.last_id;
        if let Err(error) = self.poller.register_client(&mut stream, id) {
            tracing::warn!(%address, %error, "a client is lost");
            return;
        }
        tracing::info!(%address, "client connected");
        let client = Client::new(now, scenario, id, (stream, address), truth);
        self.clients.insert(id, client);
        self.instrument.connect(now, id);
    }

    /// Reads a client once, if there may be something to read.
    fn read(&mut self, id: ConnectionId) {
        let now = self.clock.now();
        let Some(client) = self.clients.get_mut(&id) else { return };
        let result = if let Some(unread) = client.after_stall(now) {
            self.take_input(now, id, &unread)
        } else if client.may_read() {
            let mut buffer = std::mem::take(&mut self.buffer);
            let length = client.read(&mut buffer);
            let taken = length.map(|length| self.take_input(now, id, &buffer[..length]));
            self.buffer = buffer;
            match taken {
                Ok(result) => result,
                Err(end) => return self.end(id, Some(end)),
            }
        } else {
            Ok(())
        };
        let late = |()| self.clients.get(&id).map_or(Ok(()), |client| client.check_time(now));
        if let Err(error) = result.and_then(late) {
            self.end(id, Some(error.into()));
        }
    }

    /// Gives each command in these bytes to the instrument.
    fn take_input(
        &mut self,
        now: Instant,
        id: ConnectionId,
        mut rest: &[u8],
    ) -> std::result::Result<(), InputError> {
        while !rest.is_empty() {
            let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
            let Some(Message { frame, payload }) = client.next_command(now, &mut rest)? else {
                continue;
            };
            let stalls = client.keep(rest);
            if !client.is_dropped {
                tracing::info!(address = %client.address, "received {frame}");
                self.shared.truth.record_command(client.address, client.commands, frame);
            }
            self.instrument.handle(now, id, frame, &payload);
            self.let_instrument_act(now);
            if stalls {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lets the instrument do what is due, and carries out what it wants.
    fn let_instrument_act(&mut self, now: Instant) {
        let mut actions = std::mem::take(&mut self.actions);
        self.instrument.poll(now, &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Send { to, outgoing } => {
                    let Some(client) = self.open_client(to) else { continue };
                    if !client.output.push(outgoing) {
                        let address = client.address;
                        self.shared.truth.record_fault(address, FaultKind::NotDraining, 0, 0);
                        self.drop_client(to);
                    }
                }
                Action::Image(order) => {
                    // Images are dropped when rendering is too slow, as on the real instrument.
                    if self.image_inputs.try_send(ImageInput::Order(order)).is_err() {
                        self.shared.truth.record_image_dropped();
                    }
                }
                Action::Fault { connection, kind, request } => {
                    if let Some(client) = self.open_client(connection) {
                        let address = client.address;
                        self.shared.truth.record_fault(address, kind, request, 0);
                    }
                }
                Action::Drop { connection } => self.drop_client(connection),
            }
        }
        self.actions = actions;
    }

    /// A client whose connection the instrument has not ended.
    fn open_client(&mut self, id: ConnectionId) -> Option<&mut Client> {
        self.clients.get_mut(&id).filter(|client| !client.is_dropped)
    }

    /// The client gets what waits for it, and nothing more.
    fn drop_client(&mut self, id: ConnectionId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.is_dropped = true;
        }
        self.instrument.disconnect(id);
    }

    /// Writes what waits for a client, and ends the client if that was all.
    fn write(&mut self, id: ConnectionId) {
        let now = self.clock.now();
        let Some(client) = self.clients.get_mut(&id) else { return };
        let goes_on = client.output.write(now, &mut client.stream);
        if !goes_on || (client.is_dropped && client.output.is_empty()) {
            self.end(id, None);
        }
    }

    /// `end`: why nothing more is read from the client, unless the simulator has ended the connection.
    fn end(&mut self, id: ConnectionId, end: Option<ClientEnd>) {
        let Some(client) = self.clients.remove(&id) else { return };
        tracing::info!(address = %client.address, "client left");
        self.instrument.disconnect(id);
        self.shared.note_end(client.address, end);
    }

    /// When there is something to do, whatever happens meanwhile.
    fn next_due(&self) -> Option<Instant> {
        let clients = self.clients.values();
        if clients.clone().any(Client::may_read) {
            return Some(Instant::default());
        }
        let own = self.instrument.next_due().into_iter().chain(self.accepts_from);
        own.chain(clients.filter_map(Client::due)).min()
    }

    /// Waits for an event, until `due` at the latest.
    fn wait(&mut self, due: Option<Instant>) -> Result<()> {
        let now = self.clock.now();
        self.poller.wait(now, due)?;
        for event in &self.poller.events {
            match Target::of(event.token()) {
                Target::Wait => {}
                Target::Listener => {
                    self.accepts_from.get_or_insert(now);
                }
                Target::Client(id) => {
                    if let Some(client) = self.clients.get_mut(&id) {
                        client.note(event);
                    }
                }
            }
        }
        Ok(())
    }
}
