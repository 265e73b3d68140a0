//! The sockets of the simulated instrument: three ports, so many clients each, one task per client.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use flamingo_protocol_core::Instant;
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};
use socket2::SockRef;

use super::connection::{Batch, Connection, Input};
use super::images::{Image, Painter, Passage, QUEUE, Show, StreamName, Viewer, gallery};
use super::scenario::Scenario;
use super::truth::{FaultKind, Truth};
use super::world::{Action, ConnectionId, World};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::socket::wait_until_closed;

/// A task of the simulator; all of them live and end on its thread.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Commands that wait for the world; then their readers wait.
const INPUTS: usize = 256;

/// What all tasks share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) scenario: Arc<Scenario>,
    pub(super) truth: Truth,
    /// Where new tasks go.
    pub(super) tasks: Sender<Task>,
}

impl Shared {
    async fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // An error means that the simulator is ending.
        let _ = self.tasks.send(Box::pin(task)).await;
    }
}

/// Starts everything: the world, the gallery and a doorman for each port.
pub(super) async fn run(shared: Shared, listeners: [Async<TcpListener>; 3]) {
    let (inputs, inbox) = async_channel::bounded(INPUTS);
    let (shows, orders) = async_channel::bounded(QUEUE);
    let [control, live, stack] = listeners;
    let scenario = &shared.scenario;
    let painter = Painter::new(scenario.seed, scenario.images.beads);
    let (lives, stacks) = (scenario.server.live_clients, scenario.server.stack_clients);
    shared.spawn(gallery(painter, orders, shared.truth.clone())).await;
    shared
        .spawn(accept_viewers(shared.clone(), live, StreamName::Live, lives, shows.clone()))
        .await;
    let stack_shows = shows.clone();
    shared
        .spawn(accept_viewers(shared.clone(), stack, StreamName::Stack, stacks, stack_shows))
        .await;
    shared.spawn(accept_control(shared.clone(), control, inputs)).await;
    let world = WorldTask { shared, inbox, shows, outlets: BTreeMap::new() };
    world.run().await;
}

/// Accepts clients up to a limit; the next one is closed at once, as the instrument does it.
struct Doorman {
    listener: Async<TcpListener>,
    limit: usize,
    /// One clone for each client that is inside.
    places: Arc<()>,
}

impl Doorman {
    fn new(listener: Async<TcpListener>, limit: usize) -> Self {
        Self { listener, limit, places: Arc::new(()) }
    }

    async fn next(&self, shared: &Shared) -> (Async<TcpStream>, SocketAddr, Arc<()>) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else {
                // Out of file descriptors, most likely: others must end first.
                Timer::after(Duration::from_millis(20)).await;
                continue;
            };
            if Arc::strong_count(&self.places) > self.limit {
                shared.truth.record_fault(address, FaultKind::Refused, 0, 0);
                continue;
            }
            let socket = SockRef::from(stream.get_ref());
            let buffer = shared.scenario.server.send_buffer_bytes;
            // Without these options it works as well, only not as fast or as it was asked.
            let _ = socket.set_tcp_nodelay(true);
            if buffer > 0 {
                let _ = socket.set_send_buffer_size(buffer);
            }
            return (stream, address, Arc::clone(&self.places));
        }
    }
}

async fn accept_control(shared: Shared, listener: Async<TcpListener>, world: Sender<Input>) {
    let doorman = Doorman::new(listener, shared.scenario.server.control_clients);
    let mut id: ConnectionId = 0;
    loop {
        let (stream, address, place) = doorman.next(&shared).await;
        id += 1;
        let connection = Connection {
            id,
            address,
            stream,
            world: world.clone(),
            scenario: Arc::clone(&shared.scenario),
            truth: shared.truth.clone(),
        };
        let serve = async move {
            connection.serve().await;
            drop(place);
        };
        shared.spawn(serve).await;
    }
}

async fn accept_viewers(
    shared: Shared,
    listener: Async<TcpListener>,
    stream: StreamName,
    limit: usize,
    shows: Sender<Show>,
) {
    let doorman = Doorman::new(listener, limit);
    for viewer in 0_u64.. {
        let (socket, _, place) = doorman.next(&shared).await;
        let passage = Passage::new(&shared.scenario, viewer);
        let (images, queue) = async_channel::bounded(QUEUE);
        let _ = shows.send(Show::Viewer(Viewer { stream, images })).await;
        let serve = async move {
            future::or(wait_until_closed(&socket), send_images(&socket, queue, passage)).await;
            drop(place);
        };
        shared.spawn(serve).await;
    }
}

async fn send_images(socket: &Async<TcpStream>, queue: Receiver<Image>, mut passage: Passage) {
    let mut socket = socket;
    while let Ok(image) = queue.recv().await {
        let passed = passage.pass(&image);
        for part in &passed.parts {
            if socket.write_all(part).await.is_err() {
                return;
            }
        }
        if passed.last {
            return;
        }
    }
}

/// The task that owns the world.
struct WorldTask {
    shared: Shared,
    inbox: Receiver<Input>,
    shows: Sender<Show>,
    outlets: BTreeMap<ConnectionId, Outlet>,
}

struct Outlet {
    address: SocketAddr,
    batches: Sender<Batch>,
    commands: u64,
}

impl WorldTask {
    async fn run(mut self) {
        let clock = Clock::start();
        let mut world = World::new(clock.now(), &self.shared.scenario);
        loop {
            let actions = world.poll(clock.now());
            self.carry_out(&mut world, actions);
            let first = match world.next_due() {
                Some(due) => future::or(self.next_input(), sleep_until(&clock, due)).await,
                None => self.next_input().await,
            };
            let mut next = first;
            while let Some(input) = next {
                self.take(&mut world, clock.now(), input);
                let actions = world.poll(clock.now());
                self.carry_out(&mut world, actions);
                next = self.inbox.try_recv().ok();
            }
        }
    }

    async fn next_input(&self) -> Option<Input> {
        match self.inbox.recv().await {
            Ok(input) => Some(input),
            // Nobody can come in any more: the simulator is ending.
            Err(_) => future::pending().await,
        }
    }

    fn take(&mut self, world: &mut World, now: Instant, input: Input) {
        match input {
            Input::Connected { id, address, outlet } => {
                self.outlets.insert(id, Outlet { address, batches: outlet, commands: 0 });
                world.connect(now, id);
            }
            Input::Command { id, frame, payload } => {
                if let Some(outlet) = self.outlets.get_mut(&id) {
                    outlet.commands += 1;
                    self.shared.truth.record_command(outlet.address, outlet.commands, frame);
                }
                world.handle(now, id, frame, &payload);
            }
            Input::Disconnected { id } => {
                self.outlets.remove(&id);
                world.disconnect(id);
            }
        }
    }

    fn carry_out(&mut self, world: &mut World, actions: Vec<Action>) {
        let mut batches: BTreeMap<ConnectionId, Batch> = BTreeMap::new();
        let mut dropped = Vec::new();
        for action in actions {
            match action {
                Action::Send { to, outgoing } => batches.entry(to).or_default().push(outgoing),
                Action::Image(order) => {
                    // A gallery that is behind misses images, as the instrument's viewers do.
                    if self.shows.try_send(Show::Order(order)).is_err() {
                        self.shared.truth.record_image_dropped();
                    }
                }
                Action::Fault { connection, kind, request } => {
                    if let Some(outlet) = self.outlets.get(&connection) {
                        self.shared.truth.record_fault(outlet.address, kind, request, 0);
                    }
                }
                Action::Drop { connection } => dropped.push(connection),
            }
        }
        for (to, batch) in batches {
            let Some(outlet) = self.outlets.get(&to) else { continue };
            if outlet.batches.try_send(batch).is_err_and(|error| error.is_full()) {
                self.shared.truth.record_fault(outlet.address, FaultKind::NotDraining, 0, 0);
                dropped.push(to);
            }
        }
        for id in dropped {
            // Without an outlet the client's task ends, once it has written what it has.
            self.outlets.remove(&id);
            world.disconnect(id);
        }
    }
}

async fn sleep_until(clock: &Clock, due: Instant) -> Option<Input> {
    let wait = due.since(clock.now());
    Timer::after(wait.into()).await;
    None
}
