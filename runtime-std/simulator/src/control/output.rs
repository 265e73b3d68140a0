//! What one control client gets: the frames that wait, and the plan that is being written. Faults in the bytes are
//! planned in `byte_faults.rs`.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;

use flamingo_protocol_core::time::{Duration, Instant};

use crate::byte_faults::{FaultInjector, Step, TruthEntry, WritePlan};
use crate::instrument::{ConnectionId, Outgoing};
use crate::scenario::Scenario;
use crate::truth::{FaultKind, TrueClass, Truth};

/// How many frames wait for a client. At 500 000 frames a second, the write timeout comes first.
const WAITING: usize = 1 << 20;
/// Frames are written together up to about this many bytes.
const CHUNK: usize = 64 * 1024;

/// The output of one client.
pub(super) struct ClientOutput {
    address: SocketAddr,
    truth: Truth,
    injector: FaultInjector,
    /// Frames that are in no plan yet.
    waiting: VecDeque<Outgoing>,
    plan: WritePlan,
    /// How many bytes of the plan were written.
    written: usize,
    /// Nothing is written before.
    paused_until: Option<Instant>,
    /// The socket takes no bytes, and this is when the connection is given up.
    blocked_until: Option<Instant>,
    write_timeout: Duration,
}

impl ClientOutput {
    pub(super) fn new(
        scenario: &Scenario,
        id: ConnectionId,
        address: SocketAddr,
        truth: Truth,
    ) -> Self {
        let (mut injector, mut plan) = (FaultInjector::new(scenario, id), WritePlan::default());
        injector.stale_prefix(&mut plan);
        let mut output = Self {
            address,
            truth,
            injector,
            waiting: VecDeque::new(),
            plan,
            written: 0,
            paused_until: None,
            blocked_until: None,
            write_timeout: crate::instrument::millis(scenario.faults.write_timeout_ms),
        };
        output.record();
        output
    }

    /// Adds a frame. False: too many wait.
    pub(super) fn push(&mut self, outgoing: Outgoing) -> bool {
        let fits = self.waiting.len() < WAITING;
        if fits {
            self.waiting.push_back(outgoing);
        }
        fits
    }

    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.plan.steps.is_empty() && self.waiting.is_empty()
    }

    /// The socket takes bytes again.
    pub(super) fn unblock(&mut self) {
        self.blocked_until = None;
    }

    /// When [`Self::write`] has something to do without an event of the socket.
    pub(super) fn due(&self) -> Option<Instant> {
        self.paused_until.or(self.blocked_until)
    }

    /// Writes what can be written now. False: the connection has ended, or must.
    pub(super) fn write(&mut self, now: Instant, socket: &mut impl Write) -> bool {
        if let Some(until) = self.blocked_until {
            if until <= now {
                self.truth.record_fault(self.address, FaultKind::NotDraining, 0, 0);
            }
            return now < until;
        }
        if self.paused_until.is_some_and(|until| now < until) {
            return true;
        }
        self.paused_until = None;
        loop {
            let count = match self.plan.steps.front() {
                None if self.waiting.is_empty() => return true,
                None => {
                    self.plan_next();
                    continue;
                }
                Some(Step::HangUp) => return false,
                Some(Step::Pause(time)) => {
                    self.paused_until = Some(now + *time);
                    self.plan.steps.pop_front();
                    return true;
                }
                Some(Step::Write(count)) => *count,
            };
            match socket.write(&self.plan.bytes[self.written..][..count]) {
                Ok(0) => return false,
                Ok(taken) => self.took(taken, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked_until = Some(now + self.write_timeout);
                    return true;
                }
                // The client has gone.
                Err(_) => return false,
            }
        }
    }

    fn took(&mut self, taken: usize, of: usize) {
        self.written += taken;
        if taken == of {
            self.plan.steps.pop_front();
        } else if let Some(Step::Write(left)) = self.plan.steps.front_mut() {
            *left -= taken;
        }
    }

    /// Plans the frames that wait, up to [`CHUNK`] bytes.
    fn plan_next(&mut self) {
        self.plan.clear();
        self.written = 0;
        while self.plan.bytes.len() < CHUNK && !self.plan.hangs_up() {
            let Some(outgoing) = self.waiting.pop_front() else { break };
            self.injector.add(outgoing, &mut self.plan);
        }
        self.record();
    }

    fn record(&mut self) {
        for entry in self.plan.entries.drain(..) {
            match entry {
                TruthEntry::Sent(frame, class) => {
                    if class == TrueClass::Unsolicited {
                        tracing::debug!(address = %self.address, "pushed {frame}");
                    } else {
                        tracing::info!(address = %self.address, "answered {frame}");
                    }
                    self.truth.record_sent(self.address, frame, class);
                }
                TruthEntry::Fault { kind, noise_bytes } => {
                    self.truth.record_fault(self.address, kind, 0, noise_bytes);
                }
            }
        }
    }
}
