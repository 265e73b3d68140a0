//! The sockets of the simulated instrument: three ports with a limit of clients each, one task per client, and the
//! task that owns the instrument. Reading and writing a control socket is in `connection.rs`.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use flamingo_protocol_core::time::Instant;
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};
use socket2::SockRef;

use super::connection::{Batch, Connection, Input};
use super::images::{
    Image, ImageInput, QUEUE, Renderer, StreamName, Viewer, ViewerFaults, serve_images,
};
use super::instrument::{Action, ConnectionId, Instrument};
use super::scenario::Scenario;
use super::truth::{FaultKind, Truth};
use flamingo_runtime_std::socket::client_input::{ClientEnd, until_closed};
use flamingo_runtime_std::{Clock, LogRate};

/// A task of the simulator. All tasks run on its thread.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How many commands wait for the instrument before their readers wait.
const INPUTS: usize = 256;

/// What all tasks share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) scenario: Arc<Scenario>,
    pub(super) truth: Truth,
    /// Takes new tasks.
    pub(super) tasks: Sender<Task>,
    /// For lines about peers that are no clients.
    pub(super) log: Arc<LogRate>,
}

impl Shared {
    async fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // An error means that the simulator is ending.
        let _ = self.tasks.send(Box::pin(task)).await;
    }

    /// Records and logs that a peer is no client, if that was the end of its connection.
    fn note_end(&self, address: SocketAddr, end: Option<ClientEnd>) {
        let Some(ClientEnd::Refused(error)) = end else { return };
        self.truth.record_fault(address, FaultKind::NotAClient, 0, 0);
        if let Some(left_out) = self.log.line(self.truth.clock().now()) {
            tracing::warn!(%address, left_out, "closed: {error}");
        }
    }
}

/// Starts everything: the instrument, the image task and a listener for each port.
pub(super) async fn run(shared: Shared, listeners: [Async<TcpListener>; 3]) {
    let (inputs, inbox) = async_channel::bounded(INPUTS);
    let (image_inputs, image_orders) = async_channel::bounded(QUEUE);
    let [control, live, stack] = listeners;
    let scenario = &shared.scenario;
    let renderer = Renderer::new(scenario.seed, scenario.images.beads);
    let (lives, stacks) = (scenario.server.live_clients, scenario.server.stack_clients);
    shared.spawn(serve_images(renderer, image_orders, shared.truth.clone())).await;
    for (listener, stream, limit) in
        [(live, StreamName::Live, lives), (stack, StreamName::Stack, stacks)]
    {
        let viewers = accept_viewers(shared.clone(), listener, stream, limit, image_inputs.clone());
        shared.spawn(viewers).await;
    }
    shared.spawn(accept_control(shared.clone(), control, inputs)).await;
    let instrument = InstrumentTask { shared, inbox, image_inputs, outputs: BTreeMap::new() };
    instrument.run().await;
}

/// Accepts clients up to a limit. Above the limit a client is accepted and closed at once, as the instrument does.
///
/// The acceptor of the adapter is not used here: the ground truth records each refused client.
struct LimitedListener {
    listener: Async<TcpListener>,
    limit: usize,
    /// One clone per connected client.
    slots: Arc<()>,
}

impl LimitedListener {
    fn new(listener: Async<TcpListener>, limit: usize) -> Self {
        Self { listener, limit, slots: Arc::new(()) }
    }

    async fn next(&self, shared: &Shared) -> (Async<TcpStream>, SocketAddr, Arc<()>) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else {
                // Most likely no file descriptor is free; wait until a connection ends.
                Timer::after(Duration::from_millis(20)).await;
                continue;
            };
            if Arc::strong_count(&self.slots) > self.limit {
                shared.truth.record_fault(address, FaultKind::Refused, 0, 0);
                continue;
            }
            let socket = SockRef::from(stream.get_ref());
            let buffer = shared.scenario.server.send_buffer_bytes;
            // Errors are ignored: without these options the connection still works.
            let _ = socket.set_tcp_nodelay(true);
            if buffer > 0 {
                let _ = socket.set_send_buffer_size(buffer);
            }
            return (stream, address, Arc::clone(&self.slots));
        }
    }
}

async fn accept_control(shared: Shared, listener: Async<TcpListener>, instrument: Sender<Input>) {
    let listener = LimitedListener::new(listener, shared.scenario.server.control_clients);
    let mut id: ConnectionId = 0;
    loop {
        let (stream, address, slot) = listener.next(&shared).await;
        id += 1;
        let connection = Connection {
            id,
            address,
            stream,
            instrument: instrument.clone(),
            scenario: Arc::clone(&shared.scenario),
            truth: shared.truth.clone(),
        };
        let notes = shared.clone();
        let serve = async move {
            let end = connection.serve().await;
            notes.note_end(address, end);
            drop(slot);
        };
        shared.spawn(serve).await;
    }
}

async fn accept_viewers(
    shared: Shared,
    listener: Async<TcpListener>,
    stream: StreamName,
    limit: usize,
    image_inputs: Sender<ImageInput>,
) {
    let listener = LimitedListener::new(listener, limit);
    for viewer in 0_u64.. {
        let (socket, address, slot) = listener.next(&shared).await;
        let faults = ViewerFaults::new(&shared.scenario, viewer);
        let (images, queue) = async_channel::bounded(QUEUE);
        let _ = image_inputs.send(ImageInput::Viewer(Viewer { stream, images })).await;
        let notes = shared.clone();
        let serve = async move {
            let send = async {
                send_images(&socket, queue, faults).await;
                None
            };
            let end = future::or(async { Some(until_closed(&socket).await) }, send).await;
            notes.note_end(address, end);
            drop(slot);
        };
        shared.spawn(serve).await;
    }
}

async fn send_images(socket: &Async<TcpStream>, queue: Receiver<Image>, mut faults: ViewerFaults) {
    let mut socket = socket;
    while let Ok(image) = queue.recv().await {
        let write = faults.apply(&image);
        for part in &write.parts {
            if socket.write_all(part).await.is_err() {
                return;
            }
        }
        if write.last {
            return;
        }
    }
}

/// The task that owns the instrument.
struct InstrumentTask {
    shared: Shared,
    inbox: Receiver<Input>,
    image_inputs: Sender<ImageInput>,
    outputs: BTreeMap<ConnectionId, ClientOutput>,
}

struct ClientOutput {
    address: SocketAddr,
    batches: Sender<Batch>,
    commands: u64,
}

impl InstrumentTask {
    async fn run(mut self) {
        let clock = Clock::start();
        let mut instrument = Instrument::new(clock.now(), &self.shared.scenario);
        loop {
            let actions = instrument.poll(clock.now());
            self.carry_out(&mut instrument, actions);
            let first = match instrument.next_due() {
                Some(due) => future::or(self.next_input(), sleep_until(&clock, due)).await,
                None => self.next_input().await,
            };
            let mut next = first;
            while let Some(input) = next {
                self.take(&mut instrument, clock.now(), input);
                let actions = instrument.poll(clock.now());
                self.carry_out(&mut instrument, actions);
                next = self.inbox.try_recv().ok();
            }
        }
    }

    async fn next_input(&self) -> Option<Input> {
        match self.inbox.recv().await {
            Ok(input) => Some(input),
            // No client can connect any more: the simulator is ending.
            Err(_) => future::pending().await,
        }
    }

    fn take(&mut self, instrument: &mut Instrument, now: Instant, input: Input) {
        match input {
            Input::Connected { id, address, output } => {
                self.outputs.insert(id, ClientOutput { address, batches: output, commands: 0 });
                instrument.connect(now, id);
            }
            Input::Command { id, frame, payload } => {
                if let Some(output) = self.outputs.get_mut(&id) {
                    output.commands += 1;
                    self.shared.truth.record_command(output.address, output.commands, frame);
                }
                instrument.handle(now, id, frame, &payload);
            }
            Input::Disconnected { id } => {
                self.outputs.remove(&id);
                instrument.disconnect(id);
            }
        }
    }

    fn carry_out(&mut self, instrument: &mut Instrument, actions: Vec<Action>) {
        let mut batches: BTreeMap<ConnectionId, Batch> = BTreeMap::new();
        let mut dropped = Vec::new();
        for action in actions {
            match action {
                Action::Send { to, outgoing } => batches.entry(to).or_default().push(outgoing),
                Action::Image(order) => {
                    // Images are dropped when rendering is too slow, as on the real instrument.
                    if self.image_inputs.try_send(ImageInput::Order(order)).is_err() {
                        self.shared.truth.record_image_dropped();
                    }
                }
                Action::Fault { connection, kind, request } => {
                    if let Some(output) = self.outputs.get(&connection) {
                        self.shared.truth.record_fault(output.address, kind, request, 0);
                    }
                }
                Action::Drop { connection } => dropped.push(connection),
            }
        }
        for (to, batch) in batches {
            let Some(output) = self.outputs.get(&to) else { continue };
            if output.batches.try_send(batch).is_err_and(|error| error.is_full()) {
                self.shared.truth.record_fault(output.address, FaultKind::NotDraining, 0, 0);
                dropped.push(to);
            }
        }
        for id in dropped {
            // Without its output the client's task writes what it has, and ends.
            self.outputs.remove(&id);
            instrument.disconnect(id);
        }
    }
}

async fn sleep_until(clock: &Clock, due: Instant) -> Option<Input> {
    let wait = due.since(clock.now());
    Timer::after(wait.into()).await;
    None
}
