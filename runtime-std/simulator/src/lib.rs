//! The simulated instrument: a real TCP server that behaves as the protocol says, and as badly as
//! a scenario asks for.
//!
//! ```text
//!  sockets          connection.rs        world/ (no I/O, on virtual time in tests)
//!  N    control <-> one task a client <-> commands in, actions out: stage, light, camera,
//!                   faults.rs mangles     storage, workflow, background; agenda.rs is its clock
//!                   the bytes             |
//!  N+1  live    <-  images.rs             | image orders
//!  N+2  stack   <-  (gallery, viewers) <--'
//!  side channel <-  truth.rs: what each frame really is
//! ```
//! `server.rs` holds the sockets and the task that owns the world, `scenario/` what it is like,
//! `trigger.rs` decides when a fault strikes.

mod connection;
mod faults;
mod images;
mod scenario;
mod server;
mod trigger;
mod truth;
mod world;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_channel::Sender;
use smol::{LocalExecutor, future};

use flamingo_runtime_std::socket::instrument_ports::{InstrumentPorts, ListenError};

pub use scenario::{
    Axis, AxisName, Background, Camera, Code, Fault, Faults, Images, Latency, Light, Pushes,
    Scenario, ScenarioError, Server, Settings, Stage, Tokens, WorkflowRuns,
};
pub use truth::{CommandRecord, FaultKind, FaultRecord, TrueClass, Truth, TruthRecord};

/// Where a simulated instrument listens, and what it is like.
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// The address to listen on; loopback by default.
    pub bind: IpAddr,
    /// The control port; 0 = three free ports in a row.
    pub port: u16,
    /// The live port; the control port + 1 by default.
    pub live_port: Option<u16>,
    /// The stack port; the control port + 2 by default.
    pub stack_port: Option<u16>,
    /// What it is like and what goes wrong.
    pub scenario: Scenario,
    /// Overrides the scenario's seed.
    pub seed: Option<u64>,
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
pub enum SimulatorError {
    /// A port that cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The operating system gives no socket or no thread.
    #[error("cannot start the simulator: {0}")]
    Socket(#[source] std::io::Error),
}

/// A simulated instrument that runs on a thread of its own. Dropping it ends it.
///
/// ```
/// use std::io::{Read, Write};
/// use flamingo_protocol_core::{CommandCode, FRAME_LEN, Frame};
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
    /// Closed by dropping it: then the thread ends.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Simulator {
    /// Starts a simulated instrument; it listens when this returns.
    ///
    /// # Errors
    /// [`SimulatorError`] when a port cannot be listened on, or there is no thread to be had.
    ///
    /// Dropping the future ends the simulator.
    #[allow(clippy::unused_async)] // a caller need not know that nothing waits here today
    pub async fn start(options: SimulatorOptions) -> Result<Self, SimulatorError> {
        let SimulatorOptions { bind: ip, port, live_port: live, stack_port: stack, .. } = options;
        let (listeners, addresses) = InstrumentPorts { ip, port, live, stack }.listen()?;
        let mut scenario = options.scenario;
        scenario.seed = options.seed.unwrap_or(scenario.seed);
        let truth = Truth::new(scenario.truth_capacity_frames);
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let (tasks, spawned) = async_channel::bounded::<server::Task>(8);
        let shared = server::Shared { scenario: Arc::new(scenario), truth: truth.clone(), tasks };
        let all = move || {
            let executor = LocalExecutor::new();
            let spawn = async {
                while let Ok(task) = spawned.recv().await {
                    executor.spawn(task).detach();
                }
            };
            let until_stopped = async {
                let _ = stopped.recv().await;
            };
            executor.spawn(server::run(shared, listeners)).detach();
            smol::block_on(executor.run(future::or(spawn, until_stopped)));
            // With the executor, all tasks and their sockets end here.
        };
        let thread = std::thread::Builder::new().name("flamingo-simulator".into());
        let thread = thread.spawn(all).map_err(SimulatorError::Socket)?;
        Ok(Self { addresses, truth, stop, thread })
    }

    /// Where it listens for control clients.
    pub fn control(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it sends live images.
    pub fn live(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// Where it sends stack images.
    pub fn stack(&self) -> SocketAddr {
        self.addresses[2]
    }

    /// What was really sent, received and done wrong. No client can see it.
    pub fn truth(&self) -> Truth {
        self.truth.clone()
    }

    /// Closes all sockets and ends all tasks. Dropping the future ends them too, unobserved.
    pub async fn stop(self) {
        drop(self.stop);
        // It returns nothing; a panic in it was reported by its own thread.
        let _ = smol::unblock(move || self.thread.join()).await;
    }
}
