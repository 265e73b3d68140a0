#![doc = include_str!("../README.md")]
//!
//! # How it is built
//!
//! ```text
//!  port             control/ (one thread)  instrument/ (no I/O, on virtual time in tests)
//!  N    control <-> reads and writes the <-> commands in, actions out: stage, light, camera,
//!                   sockets of all clients; storage, workflow, background; schedule.rs: events by time
//!                   byte_faults.rs damages  |
//!                   the bytes               |
//!  N+1  live    <-  server.rs, images.rs    | image orders
//!  N+2  stack   <-  (renders and sends)  <--'
//!  side channel <-  truth.rs: what each frame really is
//! ```
//! `scenario/` describes the instrument. `trigger.rs` decides when a fault happens.

mod byte_faults;
mod control;
mod images;
mod instrument;
mod scenario;
mod server;
mod trigger;
mod truth;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_channel::{Receiver, Sender};
use smol::{Async, LocalExecutor, future};

use flamingo_runtime_std::LogRate;
use flamingo_runtime_std::socket::instrument_ports::{InstrumentPorts, ListenError};

use control::ControlPort;
use images::ImageInput;

pub use scenario::{
    AxisModel, AxisName, BackgroundTraffic, CameraModel, Fault, Faults, ImageModel, Latency,
    LightModel, MessageModel, NamedScenario, Pushes, Scenario, ScenarioCode, ScenarioError,
    ServerModel, SettingsModel, StageModel, StatusModel, StatusSetters, Tokens, WorkflowModel,
};
pub use truth::{CommandRecord, FaultKind, FaultRecord, TrueClass, Truth, TruthRecord};

/// Where a simulated instrument listens, and how it behaves.
///
/// ```
/// use flamingo_simulator::{Scenario, SimulatorOptions};
/// let scenario = Scenario::from_toml("[latency]\nmin_ms = 5\nmax_ms = 20\n")?;
/// let options = SimulatorOptions::new(scenario).port(53717).seed(7);
/// assert_eq!((options.port, options.seed), (53717, Some(7)));
/// # Ok::<(), flamingo_simulator::ScenarioError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SimulatorOptions {
    /// The address to listen on; loopback by default.
    pub bind: IpAddr,
    /// The control port. 0, the default, takes three free ports in a row.
    pub port: u16,
    /// The live port; the control port + 1 by default.
    pub live_port: Option<u16>,
    /// The stack port; the control port + 2 by default.
    pub stack_port: Option<u16>,
    /// How the instrument behaves and what goes wrong.
    pub scenario: Scenario,
    /// Overrides the scenario's seed.
    pub seed: Option<u64>,
}

impl SimulatorOptions {
    /// An instrument with this scenario, on free ports of the loopback address.
    pub fn new(scenario: Scenario) -> Self {
        Self { scenario, ..Self::default() }
    }

    /// Sets the address to listen on.
    #[must_use]
    pub fn bind(self, bind: IpAddr) -> Self {
        Self { bind, ..self }
    }

    /// Sets the control port; 0 = three free ports in a row.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Sets the live port, which is otherwise the control port + 1.
    #[must_use]
    pub fn live_port(self, port: u16) -> Self {
        Self { live_port: Some(port), ..self }
    }

    /// Sets the stack port, which is otherwise the control port + 2.
    #[must_use]
    pub fn stack_port(self, port: u16) -> Self {
        Self { stack_port: Some(port), ..self }
    }

    /// Overrides the scenario's seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }
}

impl Default for SimulatorOptions {
    /// A healthy instrument on free ports of the loopback address.
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            live_port: None,
            stack_port: None,
            scenario: Scenario::default(),
            seed: None,
        }
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// A port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The operating system provides no socket or no thread.
    #[error("cannot start the simulator: {0}")]
    Socket(#[source] std::io::Error),
}

/// A simulated instrument that runs on threads of its own. Dropping it ends the threads.
///
/// ```
/// use std::io::{Read, Write};
/// use flamingo_protocol_core::{CommandCode, Frame, wire::FRAME_LEN};
/// use flamingo_simulator::{Simulator, SimulatorOptions};
///
/// let simulator = smol::block_on(Simulator::start(SimulatorOptions::default()))?;
/// let mut socket = std::net::TcpStream::connect(simulator.control())?;
/// socket.write_all(&Frame::command(CommandCode::SYSTEM_STATE_GET).encode())?;
/// let mut answer = [0; FRAME_LEN];
/// socket.read_exact(&mut answer)?;
/// let state = Frame::decode(&answer)?.selector();
/// assert_eq!(state, CommandCode::SYSTEM_STATE_IDLE.0 as i32);
/// smol::block_on(simulator.stop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Simulator {
    addresses: [SocketAddr; 3],
    truth: Truth,
    /// Dropping it ends the threads.
    end: control::End,
    /// Serves the control port, and then waits until the other thread has ended.
    thread: JoinHandle<()>,
}

/// Serves the image ports. Dropping it ends the thread.
struct ImagesThread {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl ImagesThread {
    fn start(
        shared: server::Shared,
        listeners: [Async<TcpListener>; 2],
        queue: (Sender<ImageInput>, Receiver<ImageInput>),
    ) -> std::io::Result<Self> {
        let (end, told_to_end) = async_channel::bounded::<()>(1);
        let (tasks, spawned) = async_channel::bounded::<server::Task>(8);
        let all = move || {
            let executor = LocalExecutor::new();
            let spawn = async {
                while let Ok(task) = spawned.recv().await {
                    executor.spawn(task).detach();
                }
            };
            let until_told = async {
                let _ = told_to_end.recv().await;
            };
            executor.spawn(server::serve_image_ports(shared, tasks, listeners, queue)).detach();
            smol::block_on(executor.run(future::or(spawn, until_told)));
            // Dropping the executor ends all tasks and closes their sockets.
        };
        let thread = std::thread::Builder::new().name("flamingo-sim-images".into()).spawn(all)?;
        Ok(Self { end, thread })
    }

    /// Ends the thread, and waits until it has ended.
    fn join(self) {
        drop(self.end);
        // An error: the thread panicked, and has reported it.
        let _ = self.thread.join();
    }
}

impl Simulator {
    /// Starts a simulated instrument. It listens on its ports when this returns.
    ///
    /// # Errors
    /// [`SimulatorError`]: a port cannot be listened on, or no thread can be started.
    ///
    /// Dropping the future ends the simulator.
    #[allow(clippy::unused_async)] // so that it may wait in a later version
    pub async fn start(options: SimulatorOptions) -> Result<Self, SimulatorError> {
        let SimulatorOptions { bind: ip, port, live_port: live, stack_port: stack, .. } = options;
        let ports = InstrumentPorts::consecutive(SocketAddr::new(ip, port)).live(live).stack(stack);
        let ([control, live, stack], addresses) = ports.listen()?;
        let mut scenario = options.scenario;
        scenario.seed = options.seed.unwrap_or(scenario.seed);
        let truth = Truth::new(scenario.truth_capacity_frames);
        let (scenario, log) = (Arc::new(scenario), Arc::new(LogRate::default()));
        let shared = server::Shared { scenario, truth: truth.clone(), log };
        let (orders, inputs) = async_channel::bounded(images::QUEUE);
        let (port, end) = control
            .into_inner()
            .and_then(|control| ControlPort::new(shared.clone(), control, orders.clone()))
            .map_err(SimulatorError::Socket)?;
        let images = ImagesThread::start(shared, [live, stack], (orders, inputs));
        let images = images.map_err(SimulatorError::Socket)?;
        let thread = std::thread::Builder::new().name("flamingo-simulator".into());
        let all = move || {
            port.run();
            images.join();
        };
        let thread = thread.spawn(all).map_err(SimulatorError::Socket)?;
        Ok(Self { addresses, truth, end, thread })
    }

    /// The address of the control port.
    pub fn control(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The address of the live port.
    pub fn live(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// The address of the stack port.
    pub fn stack(&self) -> SocketAddr {
        self.addresses[2]
    }

    /// The ground truth: what was really sent and received, and which faults happened. No client can see it.
    pub fn truth(&self) -> Truth {
        self.truth.clone()
    }

    /// Closes all sockets, ends all tasks and waits until they have ended. Dropping the future ends them without
    /// waiting.
    pub async fn stop(self) {
        drop(self.end);
        // An error: the thread panicked, and has reported it.
        let _ = smol::unblock(move || self.thread.join()).await;
    }
}

/// Counts allocations: see `flamingo_runtime_testkit::allocator`.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: flamingo_runtime_testkit::allocator::Counting =
    flamingo_runtime_testkit::allocator::Counting;
