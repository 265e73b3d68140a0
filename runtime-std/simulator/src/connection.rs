//! One control client: its task owns the socket, reads commands and writes the frames of the instrument.
//! Faults in the bytes are planned in `byte_faults.rs`.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use async_channel::{Receiver, Sender};
use flamingo_protocol_core::{Frame, Incoming};
use flamingo_runtime_std::socket::client_input::{self, ClientEnd};
use flamingo_runtime_std::{Clock, CommandReader, Message, MessageCollector};
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};

use super::byte_faults::{FaultInjector, Step, TruthEntry, WritePlan};
use super::instrument::{ConnectionId, Outgoing};
use super::scenario::Scenario;
use super::trigger::{Trigger, random_stream};
use super::truth::{FaultKind, Truth};

/// The frames that the instrument sends to one client at one time.
pub(super) type Batch = Vec<Outgoing>;

/// How many batches wait for a client. At one batch per ms, the write timeout comes first.
const BATCHES: usize = 4096;
/// Batches are written together up to about this many bytes.
const CHUNK: usize = 64 * 1024;

/// What a client's task sends to the instrument's task.
pub(super) enum Input {
    Connected { id: ConnectionId, address: SocketAddr, output: Sender<Batch> },
    Command { id: ConnectionId, frame: Frame, payload: Vec<u8> },
    Disconnected { id: ConnectionId },
}

/// A control client that was accepted.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) address: SocketAddr,
    pub(super) stream: Async<TcpStream>,
    pub(super) instrument: Sender<Input>,
    pub(super) scenario: Arc<Scenario>,
    pub(super) truth: Truth,
}

impl Connection {
    /// Serves the client until either side ends it. Returns why nothing more is read from it, unless the
    /// instrument has ended the connection.
    pub(super) async fn serve(&self) -> Option<ClientEnd> {
        let (output, outbox) = async_channel::bounded(BATCHES);
        let connected = Input::Connected { id: self.id, address: self.address, output };
        // An error means that the simulator is ending.
        let _ = self.instrument.send(connected).await;
        let read = async { self.read().await.err() };
        let write = async {
            self.write(outbox).await;
            None
        };
        let end = future::or(read, write).await;
        let _ = self.instrument.send(Input::Disconnected { id: self.id }).await;
        end
    }

    /// Reads commands until nothing more comes.
    async fn read(&self) -> Result<(), ClientEnd> {
        let clock = Clock::start();
        let mut reader = CommandReader::new(clock.now(), self.scenario.server.input_limits());
        let mut stall = Trigger::new(&self.scenario.faults.stalled_reader);
        let mut rng = random_stream(self.scenario.seed, 5, self.id);
        let mut buffer = vec![0; CHUNK];
        let mut messages = MessageCollector::default();
        let mut request = 0;
        loop {
            let length = client_input::read(&self.stream, &clock, &reader, &mut buffer).await?;
            let mut rest = &buffer[..length];
            while !rest.is_empty() {
                let (consumed, incoming) = reader.handle_input(clock.now(), rest)?;
                rest = &rest[consumed..];
                let whole = match incoming {
                    None => None,
                    Some(Incoming::Command { frame, .. }) => messages.frame(frame, ()),
                    Some(Incoming::Payload { bytes, remaining }) => {
                        messages.payload(bytes, remaining)
                    }
                };
                let Some((Message { frame, payload }, ())) = whole else { continue };
                request += 1;
                let command = Input::Command { id: self.id, frame, payload };
                if self.instrument.send(command).await.is_err() {
                    return Ok(()); // the simulator is ending
                }
                if stall.fires(frame.code, &mut rng) {
                    self.truth.record_fault(self.address, FaultKind::StalledReader, request, 0);
                    sleep_ms(self.scenario.faults.stalled_reader_ms).await;
                }
            }
        }
    }

    async fn write(&self, outbox: Receiver<Batch>) {
        let mut injector = FaultInjector::new(&self.scenario, self.id);
        let mut plan = WritePlan::default();
        injector.stale_prefix(&mut plan);
        if !self.carry_out(plan).await {
            return;
        }
        while let Ok(batch) = outbox.recv().await {
            let mut plan = WritePlan::default();
            let mut next = Some(batch);
            while let Some(batch) = next.take() {
                for outgoing in batch {
                    if !plan.hangs_up() {
                        injector.add(outgoing, &mut plan);
                    }
                }
                if plan.bytes < CHUNK && !plan.hangs_up() {
                    next = outbox.try_recv().ok();
                }
            }
            if !self.carry_out(plan).await {
                return;
            }
        }
    }

    /// Writes a plan. False: the connection has ended.
    async fn carry_out(&self, plan: WritePlan) -> bool {
        for entry in plan.entries {
            match entry {
                TruthEntry::Sent(frame, class) => {
                    self.truth.record_sent(self.address, frame, class);
                }
                TruthEntry::Fault { kind, noise_bytes } => {
                    self.truth.record_fault(self.address, kind, 0, noise_bytes);
                }
            }
        }
        for step in plan.steps {
            match step {
                Step::Write(bytes) => {
                    if !self.write_all(&bytes).await {
                        return false;
                    }
                }
                Step::Pause(time) => {
                    Timer::after(time.into()).await;
                }
                Step::HangUp => return false,
            }
        }
        true
    }

    /// False: the client has gone, or has not read anything for too long.
    async fn write_all(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let write = async { (&self.stream).write(bytes).await.ok().filter(|taken| *taken > 0) };
            let timeout = async {
                sleep_ms(self.scenario.faults.write_timeout_ms).await;
                self.truth.record_fault(self.address, FaultKind::NotDraining, 0, 0);
                None
            };
            match future::or(write, timeout).await {
                Some(taken) => bytes = &bytes[taken..],
                None => return false,
            }
        }
        true
    }
}

async fn sleep_ms(ms: f64) {
    Timer::after(std::time::Duration::from_secs_f64(ms / 1000.0)).await;
}
