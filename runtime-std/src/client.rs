//! What a program holds: requests, uploads, subscriptions and motions over one connection, on any
//! runtime. The socket is not here: every call goes to the driver through its inbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_channel::Receiver;
use flamingo_protocol_core::{CommandCode, CommandError, Frame, Full};

use crate::clock::Clock;
use crate::driver::inbox::Caller;
use crate::driver::pending_calls::{Answer, Call, Reply, Stats};
use crate::error::Error;
use crate::fanout::{CallId, Event, Fanout, Subscription};
use crate::options::Options;

/// Ends of motions that may wait for a [`MotionWaiter`] that is not polled; after that it reports
/// that it may have missed one.
const MOTION_ENDS: usize = 64;

/// A connection to the instrument, shared by any number of tasks. Clones are the same connection;
/// it ends when the last one is dropped.
///
/// Every future of it is cancel-safe: dropping it harms no other call and misplaces no answer. A
/// command that was not sent yet is not sent then; one that was is on its way, and its answer
/// will come out as late.
#[derive(Debug, Clone)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    link: Link,
    state_at_connect: Answer,
    next_call: AtomicU64,
}

/// What a client needs of its driver and options.
#[derive(Debug)]
struct Link {
    caller: Caller,
    fanout: Arc<Fanout>,
    clock: Clock,
    address: String,
    timeout: Duration,
    /// Closed when the driver has ended.
    running: Receiver<()>,
}

/// What becomes a [`Client`] when the first handshake has succeeded. Dropping it ends the engine.
#[derive(Debug)]
pub struct Opening {
    link: Link,
    opened: Receiver<Result<Answer, Error>>,
}

impl Opening {
    pub(crate) fn new(
        options: &Options,
        caller: Caller,
        fanout: Arc<Fanout>,
        clock: Clock,
        running: Receiver<()>,
        opened: Receiver<Result<Answer, Error>>,
    ) -> Self {
        let (address, timeout) = (options.address.clone(), options.timeout);
        Self { link: Link { caller, fanout, clock, address, timeout, running }, opened }
    }

    /// Waits for the end of the handshake, for which the engine must be driven meanwhile.
    ///
    /// Cancel-safe: dropping the future ends the engine.
    ///
    /// # Errors
    /// Why there is no connection, or [`Error::ConnectionLost`] if the engine was dropped.
    pub async fn client(self) -> Result<Client, Error> {
        let Self { link, opened } = self;
        let state = opened.recv().await.unwrap_or_else(|_| Err(link.lost()))?;
        let next_call = AtomicU64::new(1);
        Ok(Client(Arc::new(Shared { link, state_at_connect: state, next_call })))
    }
}

impl Link {
    fn lost(&self) -> Error {
        Error::lost(&self.address, "it was closed")
    }
}

impl Client {
    /// What SYSTEM_STATE_GET was answered with when the connection was made.
    #[must_use]
    pub fn state_at_connect(&self) -> &Answer {
        &self.0.state_at_connect
    }

    /// Asks, and waits for the answer for the time of [`Options::timeout`].
    ///
    /// # Errors
    /// One of [`Error`], exactly once. After [`Error::Refused`] nothing was sent.
    pub async fn request(&self, frame: Frame) -> Result<Answer, Error> {
        self.request_within(frame, self.0.link.timeout).await
    }

    /// Asks, and waits for the answer for at most `timeout`.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn request_within(&self, frame: Frame, timeout: Duration) -> Result<Answer, Error> {
        self.ask(self.call_id(), frame, None, timeout).await
    }

    /// The number for a call that is made later, so that it can be told among the
    /// [`Event::Commanded`] that a subscription gets.
    #[must_use]
    pub fn call_id(&self) -> CallId {
        CallId(self.0.next_call.fetch_add(1, Ordering::Relaxed))
    }

    /// [`Self::request`] under a number that was taken with [`Self::call_id`].
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn request_as(&self, call: CallId, frame: Frame) -> Result<Answer, Error> {
        self.ask(call, frame, None, self.0.link.timeout).await
    }

    /// [`Self::send`] under a number that was taken with [`Self::call_id`].
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_as(&self, call: CallId, frame: Frame) -> Result<(), Error> {
        self.write(call, frame, None).await
    }

    /// How long an answer may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.link.timeout
    }

    /// The time by the clock of this client.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.link.clock
    }

    /// `HOST:PORT` of the control port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.link.address
    }

    /// Sends a command with a payload and waits for its answer. Frame and payload go out as one,
    /// with nothing between them; `payload_len` is filled in. Reading goes on meanwhile.
    ///
    /// Cancel-safe: a payload that has begun is finished even if the future is dropped.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn upload(
        &self,
        frame: Frame,
        payload: impl Into<Arc<[u8]>>,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        self.ask(self.call_id(), frame, Some(payload.into()), timeout).await
    }

    /// Sends, and waits only until the bytes are written.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Superseded`], [`Error::ConnectionLost`].
    pub async fn send(&self, frame: Frame) -> Result<(), Error> {
        self.write(self.call_id(), frame, None).await
    }

    /// Sends a frame with a payload as one, and waits only until the bytes are written.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_with_payload(
        &self,
        frame: Frame,
        payload: impl Into<Arc<[u8]>>,
    ) -> Result<(), Error> {
        self.write(self.call_id(), frame, Some(payload.into())).await
    }

    /// Stops an axis, ahead of everything that is queued; moves that are still queued end as
    /// [`Error::Superseded`]. Several axes: one call each, joined. Dropping the future does not
    /// take it back.
    ///
    /// # Errors
    /// As [`Self::request`]; [`Error::Unconfirmed`] when too many are unanswered already.
    pub async fn halt(&self, axis: i32) -> Result<Answer, Error> {
        self.request(Frame::command(CommandCode::STAGE_HALT).with_selector(axis)).await
    }

    /// From this call on, events of these codes go to the subscription; of all codes, if there
    /// are none. Events are all frames that no request got for certain: unsolicited, late and
    /// ambiguous ones, and answers that are only presumed ([`Answer::proven`]), since those may
    /// have been pushes.
    #[must_use]
    pub fn subscribe(&self, codes: &[CommandCode]) -> Subscription {
        self.0.link.fanout.subscribe(codes)
    }

    /// Arms the wait for the end of a motion. Do it *before* the move is sent: a short motion
    /// may have ended before its acknowledgement is read.
    #[must_use]
    pub fn arm(&self, axis: i32) -> MotionWaiter {
        let codes = [CommandCode::STAGE_MOTION_STOPPED];
        let stops = self.0.link.fanout.subscribe_within(&codes, MOTION_ENDS);
        MotionWaiter { axis, stops, address: self.0.link.address.clone() }
    }

    /// What was counted so far.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`] when the driver has ended.
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.0.link.caller.stats().await.map_err(|_| self.0.link.lost())
    }

    /// Ends the connection, for all clones, and waits until the socket is closed.
    pub async fn close(self) {
        self.0.link.caller.close();
        // Nothing is ever sent on it: this ends when the driver has.
        let _ = self.0.link.running.recv().await;
    }

    async fn ask(
        &self,
        call: CallId,
        frame: Frame,
        payload: Option<Arc<[u8]>>,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        let (reply, outcome) = async_channel::bounded(1);
        self.run_call(call, frame, payload, timeout, Reply::Answer(reply), outcome).await
    }

    async fn write(
        &self,
        call: CallId,
        frame: Frame,
        payload: Option<Arc<[u8]>>,
    ) -> Result<(), Error> {
        let (reply, outcome) = async_channel::bounded(1);
        self.run_call(call, frame, payload, self.0.link.timeout, Reply::Written(reply), outcome)
            .await
    }

    async fn run_call<T>(
        &self,
        id: CallId,
        mut frame: Frame,
        payload: Option<Arc<[u8]>>,
        timeout: Duration,
        reply: Reply,
        outcome: Receiver<Result<T, Error>>,
    ) -> Result<T, Error> {
        let len = payload.as_ref().map_or(0, |payload| payload.len());
        // Longer than u32 is longer than any limit: the core refuses it.
        frame.payload_len = u32::try_from(len).unwrap_or(u32::MAX);
        let code = frame.code;
        let call = Call {
            id,
            frame,
            payload,
            called_at: self.0.link.clock.now(),
            timeout,
            reply,
            written: false,
            noise_before: 0,
        };
        let link = &self.0.link;
        let mut guard = CallGuard { outcome, caller: &link.caller, done: false };
        let handed_over = if call.stops() {
            let full =
                || Error::Refused { code, source: CommandError::Full { what: Full::StopLane } };
            link.caller.stop(call).ok_or_else(full)?
        } else {
            link.caller.call(call).await
        };
        handed_over.map_err(|_| link.lost())?;
        let outcome = guard.outcome.recv().await;
        guard.done = true;
        outcome.unwrap_or_else(|_| Err(link.lost()))
    }
}

/// A call in flight. Dropped before its outcome came, it wakes the driver, which takes it back.
struct CallGuard<'a, T> {
    outcome: Receiver<Result<T, Error>>,
    caller: &'a Caller,
    done: bool,
}

impl<T> Drop for CallGuard<'_, T> {
    fn drop(&mut self) {
        if !self.done {
            self.outcome.close();
            self.caller.abandon();
        }
    }
}

/// The end of a motion, as the instrument told it.
#[derive(Debug, Clone)]
pub struct MotionStopped {
    /// STAGE_MOTION_STOPPED.
    pub frame: Frame,
    /// Whether the motion was completed (status 1). If not: halted, failed, or not yet.
    pub completed: bool,
    /// When it came, by this host's calendar.
    pub at: SystemTime,
}

/// Waits for the end of a motion that it was armed for.
#[derive(Debug)]
pub struct MotionWaiter {
    axis: i32,
    stops: Subscription,
    address: String,
}

impl MotionWaiter {
    /// The next STAGE_MOTION_STOPPED of the axis, or of all axes (255).
    ///
    /// Cancel-safe: the end of a motion that was not returned is returned by the next call.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`]: whether the motion ended is not known.
    pub async fn wait(&mut self) -> Result<MotionStopped, Error> {
        let lost = |reason| Error::lost(&self.address, reason);
        loop {
            match self.stops.next().await {
                Some(Event::Frame(event)) if [self.axis, 255].contains(&event.frame.selector()) => {
                    let completed = event.frame.status == 1;
                    return Ok(MotionStopped { frame: event.frame, completed, at: event.at });
                }
                Some(Event::ConnectionLost | Event::Lagged(_)) => {
                    return Err(lost("the end of the motion may have been missed"));
                }
                None => return Err(lost("it was closed")),
                Some(_) => {}
            }
        }
    }
}
