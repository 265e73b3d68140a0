//! The image ports: what accepts viewers, up to a limit, and one task per viewer. They have a thread of their own, so
//! that rendering an image delays no answer. The control port is in `control/`, rendering in `images.rs`.

use std::future::Future;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};
use socket2::SockRef;

use super::images::{
    Image, ImageInput, QUEUE, Renderer, StreamName, Viewer, ViewerFaults, serve_images,
};
use super::scenario::Scenario;
use super::truth::{FaultKind, Truth};
use flamingo_runtime_std::LogRate;
use flamingo_runtime_std::socket::client_input::{ClientEnd, until_closed};

/// A task of the image ports. All of them run on one thread.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all ports share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) scenario: Arc<Scenario>,
    pub(super) truth: Truth,
    /// For lines about peers that are no clients.
    pub(super) log: Arc<LogRate>,
}

impl Shared {
    /// Records and logs that a peer is no client, if that was the end of its connection.
    pub(super) fn note_end(&self, address: SocketAddr, end: Option<ClientEnd>) {
        let Some(ClientEnd::Refused(error)) = end else { return };
        self.truth.record_fault(address, FaultKind::NotAClient, 0, 0);
        if let Some(left_out) = self.log.line(self.truth.clock().now()) {
            tracing::warn!(%address, left_out, "closed: {error}");
        }
    }
}

/// Serves the live and the stack port: the image task, and a listener for each of the two.
pub(super) async fn serve_image_ports(
    shared: Shared,
    tasks: Sender<Task>,
    [live, stack]: [Async<TcpListener>; 2],
    (image_inputs, image_orders): (Sender<ImageInput>, Receiver<ImageInput>),
) {
    let scenario = &shared.scenario;
    let renderer = Renderer::new(scenario.seed, scenario.images.beads);
    let ports = [
        (live, StreamName::Live, scenario.server.live_clients),
        (stack, StreamName::Stack, scenario.server.stack_clients),
    ];
    for (listener, stream, limit) in ports {
        let (shared, inputs) = (shared.clone(), image_inputs.clone());
        spawn(&tasks, accept_viewers(shared, tasks.clone(), listener, stream, limit, inputs)).await;
    }
    serve_images(renderer, image_orders, shared.truth.clone()).await;
}

async fn spawn(tasks: &Sender<Task>, task: impl Future<Output = ()> + Send + 'static) {
    // An error means that the simulator is ending.
    let _ = tasks.send(Box::pin(task)).await;
}

/// Sets the options of an accepted socket. Errors are ignored: without these options the connection still works.
pub(super) fn set_options(socket: &SockRef<'_>, scenario: &Scenario) {
    let _ = socket.set_tcp_nodelay(true);
    let buffer = scenario.server.send_buffer_bytes;
    if buffer > 0 {
        let _ = socket.set_send_buffer_size(buffer);
    }
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
            set_options(&stream.get_ref().into(), &shared.scenario);
            return (stream, address, Arc::clone(&self.slots));
        }
    }
}

async fn accept_viewers(
    shared: Shared,
    tasks: Sender<Task>,
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
        spawn(&tasks, serve).await;
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
