//! The ground truth: which frame was really sent to which client, and why. It is available only through this
//! side channel; no client can read it from a socket.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flamingo_protocol_core::{Frame, time::Instant};

use flamingo_runtime_std::Clock;

/// What a frame really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrueClass {
    /// The answer to a command.
    Answer {
        /// The number of that command on its connection, from 1.
        request: u64,
        /// A fault delayed it.
        late: bool,
        /// The same answer was sent before.
        duplicate: bool,
    },
    /// No client asked for it.
    Unsolicited,
}

/// A frame that was written to a control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TruthRecord {
    /// The client's address.
    pub connection: SocketAddr,
    /// The number of the frame on its connection, from 1, in the order on the wire.
    pub sequence: u64,
    /// The frame that was sent.
    pub frame: Frame,
    /// What it is.
    pub truth: TrueClass,
    /// When it was written to the socket, by [`Truth::clock`].
    pub at: Instant,
}

impl TruthRecord {
    /// A record as the simulator makes it, for tests of what reads the ground truth.
    pub fn new(
        connection: SocketAddr,
        sequence: u64,
        frame: Frame,
        truth: TrueClass,
        at: Instant,
    ) -> Self {
        Self { connection, sequence, frame, truth, at }
    }
}

/// A command that the instrument received completely.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandRecord {
    /// The client's address.
    pub connection: SocketAddr,
    /// The number of the command over all connections, from 1.
    pub arrival: u64,
    /// The number of the command on its connection, from 1.
    pub request: u64,
    /// The command.
    pub frame: Frame,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The next frame was sent in several writes.
    SplitWrite,
    /// Stray bytes were sent before the next frame.
    Junk,
    /// A copy of the next frame with a broken marker was sent before it.
    BrokenMarker,
    /// The next frame contains a start marker in its buffer or payload.
    FalseMarker,
    /// The answer to `request` was delayed.
    LateAnswer,
    /// The answer to `request` was never sent.
    LostAnswer,
    /// The answer to `request` was sent twice.
    DuplicateAnswer,
    /// A part of a frame was sent, then the connection was closed. That frame is not in the ground truth.
    DisconnectMidFrame,
    /// The server stopped reading for a while after `request`.
    StalledReader,
    /// The payload of the next frame paused in the middle.
    StalledPayload,
    /// The connection was closed: the client had too many unanswered commands.
    PolledTooFast,
    /// The connection was closed: the client did not read. The last frames in the ground truth may not have
    /// reached it.
    NotDraining,
    /// Bytes of an earlier connection were sent right after connecting.
    StalePrefix,
    /// The limit of clients was reached: the client was accepted and closed.
    Refused,
    /// The connection was closed: the client has sent something that is no frame before its first one, or no whole
    /// frame in time. Nothing of it was executed.
    NotAClient,
}

/// A fault that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultRecord {
    /// The client's address.
    pub connection: SocketAddr,
    /// What happened.
    pub kind: FaultKind,
    /// How many frames had been sent on that connection before.
    pub after: u64,
    /// The number of the command that it affects, from 1; 0 = none.
    pub request: u64,
    /// How many bytes were sent that belong to no frame.
    pub noise_bytes: usize,
}

/// The ground truth of one simulator: what was really sent and received. It outlives the simulator; clones share the
/// same records.
///
/// It keeps the newest [`truth_capacity_frames`](crate::Scenario::truth_capacity_frames) records of each kind, and
/// counts the older ones in [`Truth::dropped`].
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame};
/// use flamingo_simulator::{Simulator, SimulatorOptions, TrueClass};
/// use std::io::{Read, Write};
///
/// let simulator = smol::block_on(Simulator::start(SimulatorOptions::default()))?;
/// let mut socket = std::net::TcpStream::connect(simulator.control())?;
/// socket.write_all(&Frame::command(CommandCode::SYSTEM_STATE_GET).encode())?;
/// socket.read_exact(&mut [0; 128])?;
/// let sent = simulator.truth().sent_to(socket.local_addr()?);
/// assert!(matches!(sent[0].truth, TrueClass::Answer { request: 1, late: false, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Truth {
    log: Arc<Mutex<Log>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Log {
    sent: VecDeque<TruthRecord>,
    received: VecDeque<CommandRecord>,
    faults: VecDeque<FaultRecord>,
    sequences: BTreeMap<SocketAddr, u64>,
    arrivals: u64,
    viewers: u64,
    images_dropped: u64,
    dropped: u64,
    capacity: usize,
}

impl Truth {
    pub(super) fn new(capacity: usize) -> Self {
        let log = Arc::new(Mutex::new(Log { capacity, ..Log::default() }));
        Self { log, clock: Clock::start() }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock of [`TruthRecord::at`].
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Every frame sent to any client, in the order of writing.
    pub fn sent(&self) -> Vec<TruthRecord> {
        self.log().sent.iter().cloned().collect()
    }

    /// The frames sent to one client, in the order on the wire. `client` is its local address.
    pub fn sent_to(&self, client: SocketAddr) -> Vec<TruthRecord> {
        let log = self.log();
        log.sent.iter().filter(|record| record.connection == client).cloned().collect()
    }

    /// Every command received, in the order of arrival.
    pub fn received(&self) -> Vec<CommandRecord> {
        self.log().received.iter().cloned().collect()
    }

    /// The commands of one client, in the order of arrival. `client` is its local address.
    pub fn received_from(&self, client: SocketAddr) -> Vec<CommandRecord> {
        let log = self.log();
        log.received.iter().filter(|record| record.connection == client).cloned().collect()
    }

    /// The faults that happened so far, in order.
    pub fn faults(&self) -> Vec<FaultRecord> {
        self.log().faults.iter().cloned().collect()
    }

    /// How many records were dropped because there were too many. While it is 0, the ground truth is complete.
    pub fn dropped(&self) -> u64 {
        self.log().dropped
    }

    /// How many viewers the image ports have accepted so far. A viewer gets the images that are taken after it was counted
    /// here: it may have connected a little earlier.
    pub fn viewers(&self) -> u64 {
        self.log().viewers
    }

    /// How many images were dropped because a viewer, or rendering, was too slow.
    pub fn images_dropped(&self) -> u64 {
        self.log().images_dropped
    }

    pub(super) fn record_sent(&self, connection: SocketAddr, frame: Frame, truth: TrueClass) {
        let mut log = self.log();
        let log = &mut *log;
        let sequence = log.sequences.entry(connection).or_default();
        *sequence += 1;
        let at = self.clock.now();
        let record = TruthRecord { connection, sequence: *sequence, frame, truth, at };
        log.dropped += keep(&mut log.sent, record, log.capacity);
    }

    pub(super) fn record_command(&self, connection: SocketAddr, request: u64, frame: Frame) {
        let mut log = self.log();
        let log = &mut *log;
        log.arrivals += 1;
        let record = CommandRecord { connection, arrival: log.arrivals, request, frame };
        log.dropped += keep(&mut log.received, record, log.capacity);
    }

    pub(super) fn record_fault(
        &self,
        connection: SocketAddr,
        kind: FaultKind,
        request: u64,
        noise_bytes: usize,
    ) {
        let mut log = self.log();
        let log = &mut *log;
        let after = log.sequences.get(&connection).copied().unwrap_or(0);
        let record = FaultRecord { connection, kind, after, request, noise_bytes };
        log.dropped += keep(&mut log.faults, record, log.capacity);
    }

    pub(super) fn record_viewer(&self) {
        self.log().viewers += 1;
    }

    pub(super) fn record_image_dropped(&self) {
        self.log().images_dropped += 1;
    }
}

/// Appends `record` and returns how many old ones were dropped.
fn keep<T>(records: &mut VecDeque<T>, record: T, capacity: usize) -> u64 {
    records.push_back(record);
    let mut dropped = 0;
    while records.len() > capacity {
        records.pop_front();
        dropped += 1;
    }
    dropped
}
