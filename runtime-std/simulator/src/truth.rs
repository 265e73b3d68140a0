//! The ground truth: what was really sent to whom, and why. It leaves by this side channel only;
//! no client can read it from a socket.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flamingo_protocol_core::{Frame, Instant};

use flamingo_runtime_std::Clock;

/// What a frame really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrueClass {
    /// The answer to a command.
    Answer {
        /// The n-th command of that connection, from 1.
        request: u64,
        /// A fault held it back.
        late: bool,
        /// It was sent before: this is the second one.
        duplicate: bool,
    },
    /// Nobody asked for it.
    Unsolicited,
}

/// A frame that was handed to a control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthRecord {
    /// The client's address.
    pub connection: SocketAddr,
    /// The n-th frame of that connection, from 1, in the order on the wire.
    pub sequence: u64,
    /// The frame, as it was sent.
    pub frame: Frame,
    /// What it is.
    pub truth: TrueClass,
    /// When it was handed to the socket, by [`Truth::clock`].
    pub at: Instant,
}

/// A command that came in, with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// The client's address.
    pub connection: SocketAddr,
    /// The n-th command of all connections, from 1.
    pub arrival: u64,
    /// The n-th command of that connection, from 1.
    pub request: u64,
    /// The command.
    pub frame: Frame,
}

/// What went wrong, as the scenario asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// The next frame left in several writes.
    SplitWrite,
    /// Stray bytes before the next frame.
    Junk,
    /// A copy of the next frame with a broken marker before it.
    BrokenMarker,
    /// The next frame carries a marker where there is none.
    FalseMarker,
    /// The answer to `request` was held back.
    LateAnswer,
    /// The answer to `request` was never sent.
    LostAnswer,
    /// The answer to `request` was sent twice.
    DuplicateAnswer,
    /// A part of a frame was sent, then the connection ended. That frame is not in the truth.
    DisconnectMidFrame,
    /// The server stopped reading after `request`.
    StalledReader,
    /// The payload of the next frame stopped half-way.
    StalledPayload,
    /// The client was dropped: too many commands on the wire that were not answered yet.
    PolledTooFast,
    /// The client was dropped: it did not take what was sent. The last frames in the truth may
    /// not have reached it.
    NotDraining,
    /// Bytes of an earlier conversation right after connect.
    StalePrefix,
    /// One client too many: it was accepted and closed.
    Refused,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRecord {
    /// The client's address.
    pub connection: SocketAddr,
    /// What.
    pub kind: FaultKind,
    /// Frames that had been sent on that connection before.
    pub after: u64,
    /// The command it has to do with, from 1; 0 = none.
    pub request: u64,
    /// Bytes that went out and belong to no frame.
    pub noise_bytes: usize,
}

/// A handle on the ground truth of one simulator. It outlives the simulator.
///
/// It keeps the newest `truth_capacity_frames` records of each kind and counts the others in
/// [`Truth::dropped`].
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

    /// Every frame sent, to all clients, in the order in which they were handed to the sockets.
    pub fn sent(&self) -> Vec<TruthRecord> {
        self.log().sent.iter().cloned().collect()
    }

    /// The frames sent to one client, in the order on the wire.
    pub fn sent_to(&self, client: SocketAddr) -> Vec<TruthRecord> {
        let log = self.log();
        log.sent.iter().filter(|record| record.connection == client).cloned().collect()
    }

    /// Every command received, in the order of arrival.
    pub fn received(&self) -> Vec<CommandRecord> {
        self.log().received.iter().cloned().collect()
    }

    /// The commands of one client, in order.
    pub fn received_from(&self, client: SocketAddr) -> Vec<CommandRecord> {
        let log = self.log();
        log.received.iter().filter(|record| record.connection == client).cloned().collect()
    }

    /// What went wrong so far, in order.
    pub fn faults(&self) -> Vec<FaultRecord> {
        self.log().faults.iter().cloned().collect()
    }

    /// Records that were dropped since there were too many. While it is 0, the truth is complete.
    pub fn dropped(&self) -> u64 {
        self.log().dropped
    }

    /// Images that were dropped since a viewer was slower than they came.
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

    pub(super) fn record_image_dropped(&self) {
        self.log().images_dropped += 1;
    }
}

/// Appends `record`; says how many old ones had to go.
fn keep<T>(records: &mut VecDeque<T>, record: T, capacity: usize) -> u64 {
    records.push_back(record);
    let mut dropped = 0;
    while records.len() > capacity {
        records.pop_front();
        dropped += 1;
    }
    dropped
}
