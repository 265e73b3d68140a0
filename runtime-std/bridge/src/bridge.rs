//! [`Bridge`]: starts the control side and the ports, reports their addresses and status, applies new
//! access rules, and stops everything. `wiring.rs` turns the settings into options of these parts.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use flamingo_protocol_core::time::Instant;
use smol::{Async, Task};

use crate::access::admission::Admission;
use crate::callback_port::{self, CallbackPort};
use crate::control::listener::ControlListener;
use crate::control::{ControlHandle, ControlRequest, ControlStatus, ControlTask};
use crate::descriptors;
use crate::image_relay::{self, ImagePort, ImageRelay};
use crate::ports::{
    Addresses, OpenPorts, OpenRow, RowAddresses, another_port, local_address, open_ports,
};
use crate::router::Router;
use crate::settings::{BridgeSettings, BridgeSettingsError};
use crate::status::{BridgeStatus, http_server};
use crate::threads::{ImagesThread, run_on_thread};
use crate::wiring::{image_source, instrument_link, open_recorder, router_options};
use flamingo_recording::{Port, Recorder};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::socket::acceptor::Allow;

/// The bridge could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The bridge cannot listen on an address.
    #[error("{option}: cannot listen on {address}: {source}; {}", another_port(option, source))]
    Bind {
        /// The option of the settings.
        option: String,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The bridge cannot record into a folder.
    #[error("record.folder: cannot write into {folder:?}: {source}")]
    Record {
        /// The folder.
        folder: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The system cannot report which sockets are ready.
    #[error("cannot wait for sockets: {source}")]
    Poll {
        /// The cause.
        source: std::io::Error,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: {source}")]
    Thread {
        /// The cause.
        source: std::io::Error,
    },
    /// The settings do not fit together.
    #[error("{0}")]
    Settings(#[from] BridgeSettingsError),
    /// The address of the instrument has no room for its image ports.
    #[error("upstream.address: expected HOST:PORT with two ports above it, found {found:?}")]
    Upstream {
        /// The address.
        found: String,
    },
}

/// A running bridge. Dropping it stops it at once; [`Bridge::stop`] finishes the commands in flight.
///
/// The example in the [crate documentation](crate) starts one.
pub struct Bridge {
    addresses: Addresses,
    requests: ControlHandle,
    admission: Admission,
    status: StatusSource,
    /// Closed when the control side has ended.
    control_ended: Receiver<()>,
    /// Dropping them closes the callback port and the status page.
    #[allow(dead_code)] // only held
    port_tasks: Vec<Task<()>>,
    images: ImagesThread,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge")
            .field("control", &self.addresses.main.control)
            .finish_non_exhaustive()
    }
}

impl Bridge {
    /// Opens the ports, and connects to the instrument in the background, again and again.
    ///
    /// # Errors
    /// [`BridgeError`]: the settings do not fit together, or a port cannot be opened.
    #[allow(clippy::unused_async)] // the signature stays if a later version has to wait
    pub async fn start(settings: &BridgeSettings) -> Result<Self, BridgeError> {
        settings.check()?;
        descriptors::check(settings);
        let limits = &settings.limits;
        let admission = Admission::new(settings);
        let OpenPorts { main, named, status: status_listener } = open_ports(&settings.listen)?;
        let addresses = Addresses {
            main: main.addresses(),
            named: named
                .iter()
                .filter_map(|row| Some((row.name.clone()?, row.addresses())))
                .collect(),
            status: status_listener.as_ref().map(local_address),
        };
        let recorder = open_recorder(settings)?.map(Arc::new);
        let relay = |port| {
            let source = image_source(settings, port, recorder.clone())?;
            Ok::<_, BridgeError>(ImageRelay::new(port, source, image_relay::QUEUE_BOUNDS))
        };
        let (live, stack) = (relay(Port::Live)?, relay(Port::Stack)?);
        let callback = Arc::new(CallbackPort::new(callback_port::QUEUE_BOUNDS));
        let mut listeners = Listeners::default();
        for row in std::iter::once(main).chain(named) {
            listeners.add(row, &admission, Duration::from_secs(limits.lost_after_s))?;
        }
        let mut port_tasks = Vec::new();
        for (listener, allow) in listeners.callback {
            let (callback, limit) = (Arc::clone(&callback), limits.subscribers);
            port_tasks.push(smol::spawn(async move { callback.run(listener, allow, limit).await }));
        }
        let images = ImagesThread::start(
            [(&live, listeners.live), (&stack, listeners.stack)],
            limits.viewers,
        )?;
        let publish = Arc::clone(&callback);
        let (control, requests) = ControlTask::new(
            Router::new(router_options(settings)),
            listeners.control,
            admission.clone(),
            instrument_link(settings, recorder.clone()),
            Box::new(move |message| publish.publish(&message)),
        )
        .map_err(|source| BridgeError::Poll { source })?;
        let clock = Arc::new(Clock::start());
        let status = StatusSource {
            requests: requests.clone(),
            callback,
            live,
            stack,
            started: clock.now(),
            clock,
            recorder,
        };
        if let Some(listener) = status_listener {
            let allow = allow_function(&admission, None, Admission::allows);
            let hosts = settings.listen.status_hosts.clone();
            let source = status.clone();
            let read_status = move || {
                let source = source.clone();
                async move { source.read().await }
            };
            port_tasks.push(smol::spawn(http_server::serve(listener, allow, hosts, read_status)));
        }
        let control_ended = run_on_thread("flamingo-bridge", || control.run())?;
        Ok(Self { addresses, requests, admission, status, control_ended, port_tasks, images })
    }

    /// The address of the main control port.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.addresses.main.control
    }

    /// The addresses of the additional control ports, by their names in the settings.
    #[must_use]
    pub fn named_ports(&self) -> BTreeMap<String, SocketAddr> {
        let named = self.addresses.named.iter();
        named.map(|(name, row)| (name.clone(), row.control)).collect()
    }

    /// The addresses of the additional control ports and of the ports that follow them, by their
    /// names in the settings.
    #[must_use]
    pub fn named_rows(&self) -> &BTreeMap<String, RowAddresses> {
        &self.addresses.named
    }

    /// The address of the main port of live images. `None` if it is off.
    #[must_use]
    pub fn live(&self) -> Option<SocketAddr> {
        self.addresses.main.live
    }

    /// The address of the main port of stack images. `None` if it is off.
    #[must_use]
    pub fn stack(&self) -> Option<SocketAddr> {
        self.addresses.main.stack
    }

    /// The address of the main callback port, which sends unsolicited messages. `None` if it is off.
    #[must_use]
    pub fn callback(&self) -> Option<SocketAddr> {
        self.addresses.main.callback
    }

    /// The address of the status page (HTTP). `None` if it is off.
    #[must_use]
    pub fn status_address(&self) -> Option<SocketAddr> {
        self.addresses.status
    }

    /// The status: what the status page shows. `None` if the bridge has stopped.
    ///
    /// Cancel-safe: it only reads.
    pub async fn status(&self) -> Option<BridgeStatus> {
        self.status.read().await
    }

    /// Waits until the instrument has reported its state, or the bridge has stopped.
    ///
    /// Cancel-safe: call it again to wait further.
    pub async fn until_connected(&self) {
        let (notify, connected) = async_channel::bounded::<()>(1);
        if self.requests.send(ControlRequest::NotifyConnected(notify)).await.is_ok() {
            // Nothing is ever sent: the channel closes when the instrument is connected.
            let _ = connected.recv().await;
        }
    }

    /// Waits until the thread that serves the clients has ended, which happens only if it failed.
    ///
    /// Cancel-safe: call it again to wait further.
    pub async fn until_failed(&self) {
        // Nothing is ever sent: the channel closes when the thread ends.
        let _ = self.control_ended.recv().await;
    }

    /// Applies the access rules and the delivery of unsolicited messages, and no other setting.
    /// Closes the clients that may not be connected any more.
    ///
    /// Cancel-safe: if it is cancelled, new clients follow the new rules, but the connected clients
    /// may keep the old ones until the next call.
    pub async fn reload(&self, settings: &BridgeSettings) {
        self.admission.replace(settings);
        // An error means that the bridge has stopped.
        let _ = self.requests.send(ControlRequest::ApplyAccess).await;
    }

    /// Stops accepting, finishes the commands in flight (5 s at most), and stops.
    ///
    /// If the future is dropped, the bridge stops at once.
    pub async fn stop(self) {
        // An error means that the control side has already ended.
        let _ = self.requests.send(ControlRequest::Stop).await;
        // Nothing is ever sent: the channel closes when the control side ends.
        let _ = self.control_ended.recv().await;
        self.images.stop().await;
        if let Some(recorder) = self.status.recorder.clone() {
            smol::unblock(move || recorder.finish()).await;
        }
    }
}

/// The listening sockets of all rows, each with who may connect.
#[derive(Default)]
struct Listeners {
    control: Vec<ControlListener>,
    live: Vec<ImagePort>,
    stack: Vec<ImagePort>,
    callback: Vec<(Async<TcpListener>, Allow)>,
}

impl Listeners {
    fn add(
        &mut self,
        row: OpenRow,
        admission: &Admission,
        lost_after: Duration,
    ) -> Result<(), BridgeError> {
        let OpenRow { name, control, live, stack, callback } = row;
        let name: Option<Arc<str>> = name.map(Into::into);
        let all = allow_function(admission, name.clone(), Admission::allows);
        let stacks = allow_function(admission, name.clone(), Admission::allows_stacks);
        let control = ControlListener::new(name, control, lost_after)
            .map_err(|source| BridgeError::Poll { source })?;
        self.control.push(control);
        self.live.extend(live.map(|listener| (listener, Arc::clone(&all))));
        self.stack.extend(stack.map(|listener| (listener, stacks)));
        self.callback.extend(callback.map(|listener| (listener, all)));
        Ok(())
    }
}

/// The function that a port of the row `name` calls for each address.
fn allow_function(
    admission: &Admission,
    name: Option<Arc<str>>,
    allows: fn(&Admission, Option<&str>, IpAddr) -> bool,
) -> Allow {
    let admission = admission.clone();
    Arc::new(move |address| allows(&admission, name.as_deref(), address))
}

/// Collects the status from the control side and the ports.
#[derive(Clone)]
struct StatusSource {
    requests: ControlHandle,
    callback: Arc<CallbackPort>,
    live: Arc<ImageRelay>,
    stack: Arc<ImageRelay>,
    clock: Arc<Clock>,
    started: Instant,
    recorder: Option<Arc<Recorder>>,
}

impl StatusSource {
    /// `None` if the control side has ended.
    async fn read(&self) -> Option<BridgeStatus> {
        let (reply, received) = async_channel::bounded(1);
        self.requests.send(ControlRequest::Status(reply)).await.ok()?;
        let ControlStatus { upstream, clients, gone } = received.recv().await.ok()?;
        Some(BridgeStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: Duration::from(self.clock.now().since(self.started)).as_secs_f64(),
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
