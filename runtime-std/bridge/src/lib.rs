//! Many clients on one connection to the instrument. `Bridge` starts everything and tells where it
//! listens; who gets what is `router/`, the control sockets are `control.rs`, the callback port
//! `callback.rs`, the image ports `images.rs`, and `status.rs` says over HTTP how it is.

mod access;
mod backoff;
mod broadcast;
mod callback_port;
mod control;
mod image_relay;
pub mod router;
mod service_manager;
pub mod settings;
mod status;
mod wiring;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use smol::{Async, Task, future};

use access::admission::Policy;
use callback_port::Callback;
use control::listener::{ControlPort, bind, local};
use control::{Control, Figures, Order};
use flamingo_recording::{Port, Recorder};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::socket::acceptor::Allow;
use image_relay::Images;
use router::Router;
use settings::Settings;
use wiring::{backoff, options, recorder, source};

pub use service_manager::{Notice, notify};
pub use status::counters::{
    ClientCounters, ClientStatus, FanoutStatus, RelayStatus, Status, UpstreamStatus,
};
pub use status::http_client::{FetchError, fetch};
pub use status::text_table::table;

/// Why a bridge does not start.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A folder that cannot be recorded into.
    #[error("record.folder: cannot write into {folder:?}: {source}")]
    Record {
        /// Which.
        folder: String,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no thread to be had.
    #[error("cannot start a thread: {source}")]
    Thread {
        /// Why not.
        source: std::io::Error,
    },
    /// Settings that cannot be meant together.
    #[error("{0}")]
    Settings(#[from] settings::SettingsError),
    /// The instrument's address is not `HOST:PORT`, or there is no room for its image ports.
    #[error("upstream.address: expected HOST:PORT with two ports above it, found {found:?}")]
    Upstream {
        /// What it is.
        found: String,
    },
}

/// A bridge that runs. Dropping it ends it at once.
///
/// ```
/// use flamingo_bridge::{Bridge, settings::Settings};
/// use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_runtime_std::{Client, Options};
/// # smol::block_on(async {
/// let instrument = Simulator::start(SimulatorOptions::default()).await?;
/// let mut settings = Settings::default();
/// settings.upstream.address = instrument.control().to_string();
/// settings.listen.control = "127.0.0.1:0".parse()?;
/// let bridge = Bridge::start(&settings).await?;
/// bridge.until_connected().await;
/// let client = Client::connect(Options::new(bridge.control().to_string())).await?;
/// assert!(client.state_at_connect().proven);
/// bridge.stop().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Bridge {
    control: SocketAddr,
    more: BTreeMap<String, SocketAddr>,
    live: Option<SocketAddr>,
    stack: Option<SocketAddr>,
    callback: Option<SocketAddr>,
    status: Option<SocketAddr>,
    orders: Sender<Order>,
    policy: Policy,
    teller: Teller,
    /// Closed when the control side has ended.
    ended: Receiver<()>,
    _ports: Vec<Task<()>>,
    images: ImagesThread,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").field("control", &self.control).finish_non_exhaustive()
    }
}

/// Puts the figures together.
#[derive(Clone)]
struct Teller {
    orders: Sender<Order>,
    callback: Arc<Callback>,
    live: Arc<Images>,
    stack: Arc<Images>,
    clock: Arc<Clock>,
    began: flamingo_protocol_core::Instant,
    recorder: Option<Arc<Recorder>>,
}

impl Bridge {
    /// Listens, and connects to the instrument in the background, again and again.
    ///
    /// # Errors
    /// [`BridgeError`]: an address that cannot be listened on.
    #[allow(clippy::unused_async)] // a caller need not know that nothing waits here today
    pub async fn start(settings: &Settings) -> Result<Self, BridgeError> {
        settings.check()?;
        let upstream = &settings.upstream;
        let listen = &settings.listen;
        let policy = Policy::new(settings);
        let allow: Allow = {
            let policy = policy.clone();
            Arc::new(move |address: IpAddr| policy.allows(address))
        };
        let allow_stacks: Allow = {
            let policy = policy.clone();
            Arc::new(move |address: IpAddr| policy.allows_stacks(address))
        };

        let control_ports =
            ControlPort::all(listen, Duration::from_secs(settings.limits.lost_after_s))?;
        let control = control_ports.first().map_or(listen.control, ControlPort::address);
        let named = |port: &ControlPort| Some((port.name.as_deref()?.to_owned(), port.address()));
        let more = control_ports.iter().filter_map(named).collect();
        let (orders, inbox) = async_channel::bounded(16);
        let callback = Arc::new(Callback::new(callback_port::BOUNDS));
        let recorder = recorder(settings)?.map(Arc::new);
        let images = |port| {
            let source = source(settings, port, recorder.clone())?;
            Ok::<_, BridgeError>(Images::new(port, source, image_relay::BOUNDS))
        };
        let (live, stack) = (images(Port::Live)?, images(Port::Stack)?);

        let mut ports = Vec::new();
        let beside = |address: Option<SocketAddr>| address.map(bind).transpose();
        let callback_listener = beside(listen.callback_address())?;
        let live_listener = beside(listen.live_address())?;
        let stack_listener = beside(listen.stack_address())?;
        let status_listener = beside(listen.status)?;
        let [callback_at, live_at, stack_at, status_at] =
            [&callback_listener, &live_listener, &stack_listener, &status_listener]
                .map(|listener| listener.as_ref().map(local));

        if let Some(listener) = callback_listener {
            let (callback, allow) = (Arc::clone(&callback), Arc::clone(&allow));
            let limit = settings.limits.subscribers;
            ports.push(smol::spawn(async move { callback.run(listener, allow, limit).await }));
        }
        let viewers = settings.limits.viewers;
        let images = show(
            [(live_listener, &live, &allow), (stack_listener, &stack, &allow_stacks)],
            viewers,
        )?;
        let clock = Arc::new(Clock::start());
        let teller = Teller {
            orders: orders.clone(),
            callback: Arc::clone(&callback),
            live,
            stack,
            began: clock.now(),
            clock,
            recorder: recorder.clone(),
        };
        if let Some(listener) = status_listener {
            let (asked, allow) = (teller.clone(), Arc::clone(&allow));
            let ask = move || {
                let teller = asked.clone();
                async move { teller.status().await }
            };
            ports.push(smol::spawn(status::http_server::serve(listener, allow, ask)));
        }
        let link = control::Upstream {
            address: upstream.address.clone(),
            connect_timeout: Duration::from_millis(upstream.connect_timeout_ms),
            backoff: backoff(settings),
            recorder,
        };
        let publish = Box::new(move |message| callback.publish(&message));
        let router = Router::new(options(settings));
        let main = Control::new(router, control_ports, policy.clone(), link, inbox, publish);
        Ok(Self {
            control,
            more,
            live: live_at,
            stack: stack_at,
            callback: callback_at,
            status: status_at,
            orders,
            policy,
            teller,
            ended: thread("flamingo-bridge", main.run())?,
            _ports: ports,
            images,
        })
    }

    /// Where clients connect.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Where clients connect besides, by the names that the settings give these ports.
    pub fn more(&self) -> &BTreeMap<String, SocketAddr> {
        &self.more
    }

    /// Where viewers of live images connect.
    pub fn live(&self) -> Option<SocketAddr> {
        self.live
    }

    /// Where viewers of stack images connect.
    pub fn stack(&self) -> Option<SocketAddr> {
        self.stack
    }

    /// Where unsolicited messages come.
    pub fn callback(&self) -> Option<SocketAddr> {
        self.callback
    }

    /// Where the figures are shown.
    pub fn status_address(&self) -> Option<SocketAddr> {
        self.status
    }

    /// The figures. `None`: it has ended.
    pub async fn status(&self) -> Option<Status> {
        self.teller.status().await
    }

    /// Ends when the instrument has said its state, or the bridge has ended.
    pub async fn until_connected(&self) {
        let (reply, told) = async_channel::bounded(1);
        if self.orders.send(Order::WhenOpen(reply)).await.is_ok() {
            // An error: it has ended.
            let _ = told.recv().await;
        }
    }

    /// Takes over who may connect, as what, and what they are told; nothing else of the settings.
    /// Clients that may no longer be connected are closed.
    pub async fn reload(&self, settings: &Settings) {
        self.policy.replace(settings);
        // An error: it has ended.
        let _ = self.orders.send(Order::Policy).await;
    }

    /// Stops accepting, finishes what is in flight (5 s at most), and ends.
    pub async fn stop(self) {
        // An error: it has ended already.
        let _ = self.orders.send(Order::Stop).await;
        // Nothing is ever sent: its end closes it.
        let _ = self.ended.recv().await;
        drop(self.images.alive);
        let _ = self.images.ended.recv().await;
        if let Some(recorder) = self.teller.recorder.clone() {
            smol::unblock(move || recorder.finish()).await;
        }
    }
}

impl Teller {
    async fn status(&self) -> Option<Status> {
        let (reply, told) = async_channel::bounded(1);
        self.orders.send(Order::Status(reply)).await.ok()?;
        let Figures { upstream, clients, gone } = told.recv().await.ok()?;
        Some(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: Duration::from(self.clock.now().since(self.began)).as_secs_f64(),
            upstream,
            clients,
            gone,
            callback: self.callback.status(),
            live: self.live.status(),
            stack: self.stack.status(),
            recording: self.recorder.as_ref().map(|recorder| recorder.status()),
        })
    }
}

/// The thread of the image ports.
struct ImagesThread {
    /// Dropped to end it.
    alive: Sender<()>,
    /// Closed when it has ended.
    ended: Receiver<()>,
}

/// Where viewers come in, if they may; what they see, and who may.
type ImagePort<'a> = (Option<Async<TcpListener>>, &'a Arc<Images>, &'a Allow);

/// Lets viewers in, on a thread of its own: writing an image takes longer than a command may wait.
/// It ends when what it gives is dropped.
fn show(ports: [ImagePort<'_>; 2], viewers: usize) -> Result<ImagesThread, BridgeError> {
    let [lives, stacks] = ports.map(|(listener, images, allow)| {
        let (images, allow) = (Arc::clone(images), Arc::clone(allow));
        async move {
            if let Some(listener) = listener {
                images.run(listener, allow, viewers).await;
            }
        }
    });
    let (alive, end) = async_channel::bounded::<()>(1);
    let ended = thread("flamingo-images", async move {
        let relays = async {
            future::zip(lives, stacks).await;
            future::pending().await
        };
        // Nothing is ever sent: the end of the bridge closes it.
        let _ = future::or(relays, end.recv()).await;
    })?;
    Ok(ImagesThread { alive, ended })
}

/// Runs on a thread of its own; what it gives is closed when that has ended.
fn thread(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<Receiver<()>, BridgeError> {
    let (alive, ended) = async_channel::bounded(1);
    let run = move || {
        smol::block_on(work);
        drop(alive);
    };
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|source| BridgeError::Thread { source })?;
    Ok(ended)
}
