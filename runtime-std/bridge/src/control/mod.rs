//! The sockets of the control side: the one to the instrument and those of the clients. One task
//! owns all of them and the router; bytes move here, and nothing is decided.

pub(crate) mod listener;
mod socket;

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use flamingo_protocol_core::Instant;
use smol::stream::Stream;
use smol::{Async, Task, Timer, future};

use self::socket::Peer;
use crate::access::admission::Policy;
use crate::backoff::Backoff;
use crate::router::{ClientId, Report, Router};
use crate::settings::{Delivery, Role};
use flamingo_recording::Recorder;
use flamingo_runtime_std::Clock;
use listener::ControlPort;

/// Bytes read from one socket before the others have their turn.
const READ_CHUNK: usize = 64 * 1024;
/// How long what is in flight may take when the bridge is told to stop.
pub(crate) const LAST: Duration = Duration::from_secs(5);

/// What the task is told from outside.
pub(crate) enum Order {
    /// Stop accepting, finish what is in flight, end.
    Stop,
    /// The policy has changed.
    Policy,
    /// Figures.
    Status(Sender<Figures>),
    /// Say when the instrument is connected.
    WhenOpen(Sender<()>),
}

/// The figures of the control side.
pub(crate) struct Figures {
    pub(crate) upstream: crate::status::counters::UpstreamStatus,
    pub(crate) clients: Vec<crate::status::counters::ClientStatus>,
    pub(crate) gone: crate::status::counters::ClientCounters,
}

/// How the instrument is reached.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) address: String,
    pub(crate) connect_timeout: Duration,
    /// The wait before it is tried again.
    pub(crate) backoff: Backoff,
    /// Where what goes over the connection is recorded, if it is.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

/// The task.
pub(crate) struct Control {
    router: Router,
    clock: Clock,
    ports: Vec<ControlPort>,
    policy: Policy,
    upstream: Upstream,
    link: Option<Peer>,
    connecting: Option<Task<Async<TcpStream>>>,
    clients: BTreeMap<ClientId, Peer>,
    orders: Pin<Box<Receiver<Order>>>,
    publish: Box<dyn Fn(Arc<[u8]>) + Send>,
    buffer: Box<[u8]>,
    stopping: Option<Instant>,
    /// Who wants to know when the instrument is connected.
    when_open: Vec<Sender<()>>,
}

impl Control {
    pub(crate) fn new(
        router: Router,
        ports: Vec<ControlPort>,
        policy: Policy,
        upstream: Upstream,
        orders: Receiver<Order>,
        publish: Box<dyn Fn(Arc<[u8]>) + Send>,
    ) -> Self {
        Self {
            router,
            clock: Clock::start(),
            ports,
            policy,
            upstream,
            link: None,
            connecting: None,
            clients: BTreeMap::new(),
            orders: Box::pin(orders),
            publish,
            buffer: vec![0; READ_CHUNK].into_boxed_slice(),
            stopping: None,
            when_open: Vec::new(),
        }
    }

    /// Serves until it is told to stop, or nobody is left who could.
    pub(crate) async fn run(mut self) {
        self.connect(false);
        loop {
            self.read_link();
            self.read_clients();
            let now = self.clock.now();
            if self.router.poll_timeout().is_some_and(|due| due <= now) {
                self.router.handle_timeout(now);
            }
            self.write_link();
            self.carry_out();
            self.write_clients();
            self.carry_out();
            if self.router.is_open() {
                // Dropping them says it.
                self.when_open.clear();
            }
            if self.is_over() {
                return;
            }
            if self.has_more_to_do() {
                future::yield_now().await;
            } else {
                self.wait().await;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stopping.is_some_and(|until| !self.router.is_busy() || until <= self.clock.now())
    }

    fn has_more_to_do(&self) -> bool {
        let readable = |peer: &Peer| peer.readable && !peer.finished;
        self.link.as_ref().is_some_and(readable) || self.clients.values().any(readable)
    }

    fn read_link(&mut self) {
        let Some(link) = self.link.as_mut().filter(|link| link.readable) else { return };
        match link.read(&mut self.buffer) {
            None => {}
            Some(Ok(0)) => self.lose_link("it closed the connection"),
            Some(Ok(count)) => {
                self.router.upstream_input(self.clock.now(), &self.buffer[..count]);
            }
            Some(Err(error)) => self.lose_link(&error.to_string()),
        }
    }

    fn write_link(&mut self) {
        while let Some(link) = self.link.as_mut().filter(|link| !link.blocked) {
            let now = self.clock.now();
            let bytes = self.router.upstream_output(now);
            if bytes.is_empty() {
                return;
            }
            match link.write(bytes) {
                Ok(0) => return,
                Ok(count) => self.router.upstream_wrote(now, count),
                Err(error) => self.lose_link(&error.to_string()),
            }
        }
    }

    fn lose_link(&mut self, why: &str) {
        self.link = None;
        tracing::warn!(
            address = self.upstream.address,
            why,
            "the connection to the instrument is lost"
        );
        self.router.upstream_lost(self.clock.now());
        self.connect(true);
    }

    /// Connects in the background, again and again; `waits` before the first time, too.
    fn connect(&mut self, waits: bool) {
        let Upstream { address, connect_timeout, mut backoff, .. } = self.upstream.clone();
        self.connecting = Some(smol::spawn(async move {
            if waits {
                Timer::after(backoff.wait()).await;
            }
            loop {
                match flamingo_runtime_std::socket::connect(&address, connect_timeout).await {
                    Ok(stream) => return stream,
                    Err(error) => tracing::warn!(%error, "the instrument cannot be reached"),
                }
                Timer::after(backoff.wait()).await;
            }
        }));
    }

    fn read_clients(&mut self) {
        let now = self.clock.now();
        let mut lost = Vec::new();
        for (id, peer) in self.clients.iter_mut().filter(|(_, peer)| peer.readable) {
            match peer.read(&mut self.buffer) {
                None => {}
                Some(Ok(0)) => self.router.client_finished(*id),
                Some(Ok(count)) => self.router.client_input(now, *id, &self.buffer[..count]),
                Some(Err(error)) => {
                    tracing::info!(client = id, %error, "a client is lost");
                    lost.push(*id);
                }
            }
        }
        self.close(&lost);
    }

    fn write_clients(&mut self) {
        let mut over = Vec::new();
        for (id, peer) in &mut self.clients {
            while !peer.blocked {
                let bytes = self.router.client_output(*id);
                if bytes.is_empty() {
                    break;
                }
                match peer.write(bytes) {
                    Ok(0) => break,
                    Ok(count) => self.router.client_wrote(*id, count),
                    Err(error) => {
                        tracing::info!(client = id, %error, "a client is lost");
                        over.push(*id);
                        break;
                    }
                }
            }
            if self.router.is_over(*id) {
                over.push(*id);
            }
        }
        self.close(&over);
    }

    fn close(&mut self, ids: &[ClientId]) {
        let now = self.clock.now();
        for id in ids {
            if let Some(peer) = self.clients.remove(id) {
                tracing::info!(client = id, address = %peer.address, "a client left");
                self.router.client_closed(now, *id);
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(report) = self.router.poll_report() {
            match report {
                Report::Publish(message) => (self.publish)(message),
                Report::GiveUp(why) if self.link.is_some() => self.lose_link(why),
                Report::GiveUp(_) => {}
                Report::Note(what) => tracing::info!("{what}"),
            }
        }
    }

    fn accept(&mut self) {
        let accepted = self.ports.iter_mut().flat_map(|port| {
            port.accept()
                .into_iter()
                .map(|(stream, address)| Peer::new(stream, address, port.name.clone()))
        });
        for peer in accepted.collect::<Vec<_>>() {
            self.admit(peer);
        }
    }

    fn admit(&mut self, peer: Peer) {
        let (address, port) = (peer.address, peer.port.as_deref().unwrap_or("control"));
        let (role, delivery) = match self.may(&peer) {
            None => {
                tracing::warn!(%address, port, "a client is not allowed to connect");
                return;
            }
            Some((Role::Observer, _)) => {
                tracing::warn!(%address, "an observer may use the callback port and see live images only");
                return;
            }
            Some(may) => may,
        };
        let opened =
            self.router.client_opened(self.clock.now(), address.to_string(), role, delivery);
        let Some(id) = opened else {
            tracing::warn!(%address, "as many clients as there may be are connected");
            return;
        };
        tracing::info!(client = id, %address, port, %role, %delivery, "a client connected");
        self.clients.insert(id, peer);
    }

    /// What a client may do now. `None`: not be here.
    fn may(&self, peer: &Peer) -> Option<(Role, Delivery)> {
        self.policy.admit(peer.port.as_deref(), peer.address.ip().to_canonical())
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Stop => {
                self.ports.clear();
                self.router.stop();
                self.stopping = Some(self.clock.now() + LAST.into());
            }
            Order::Policy => {
                let mut lost = Vec::new();
                for (id, peer) in &self.clients {
                    match self.may(peer) {
                        Some((role, delivery)) if role != Role::Observer => {
                            self.router.set_role(*id, role, delivery);
                        }
                        _ => lost.push(*id),
                    }
                }
                self.close(&lost);
            }
            Order::WhenOpen(reply) => self.when_open.push(reply),
            Order::Status(reply) => {
                let (clients, gone) = self.router.client_status(self.clock.now());
                let mut upstream = self.router.upstream_status();
                upstream.address.clone_from(&self.upstream.address);
                // Whoever asked may be gone.
                let _ = reply.try_send(Figures { upstream, clients, gone });
            }
        }
    }

    /// Until something can be done.
    async fn wait(&mut self) {
        let due = self.router.poll_timeout().into_iter().chain(self.stopping).min();
        let mut timer = due.and_then(|due| self.clock.moment(due)).map(Timer::at);
        let mut woken = Woken::default();
        future::poll_fn(|context| self.poll(context, timer.as_mut(), &mut woken)).await;
        if woken.accept {
            self.accept();
        }
        if let Some(stream) = woken.connected {
            self.connecting = None;
            match stream.get_ref().peer_addr() {
                Ok(address) => {
                    let link = self.link.insert(Peer::new(stream, address, None));
                    if let Some(recorder) = &self.upstream.recorder {
                        link.record(recorder);
                    }
                    self.router.upstream_opened(self.clock.now());
                }
                Err(_) => self.connect(true),
            }
        }
        if let Some(order) = woken.order {
            self.obey(order);
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        timer: Option<&mut Timer>,
        woken: &mut Woken,
    ) -> Poll<()> {
        for port in &mut self.ports {
            woken.accept |= port.poll(context);
        }
        let mut ready = woken.accept;
        ready |= self.link.as_mut().is_some_and(|link| link.poll(context));
        for peer in self.clients.values_mut() {
            ready |= peer.poll(context);
        }
        if let Some(task) = &mut self.connecting
            && let Poll::Ready(stream) = Pin::new(task).poll(context)
        {
            woken.connected = Some(stream);
            ready = true;
        }
        if self.stopping.is_none()
            && let Poll::Ready(order) = self.orders.as_mut().poll_next(context)
        {
            // Nobody is left who could tell it to stop: that is the order.
            woken.order = Some(order.unwrap_or(Order::Stop));
            ready = true;
        }
        ready |= timer.is_some_and(|timer| Pin::new(timer).poll(context).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What there is to do besides reading and writing.
#[derive(Default)]
struct Woken {
    accept: bool,
    connected: Option<Async<TcpStream>>,
    order: Option<Order>,
}
