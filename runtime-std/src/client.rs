//! What a program holds: requests, uploads, subscriptions and motions over one connection, on any
//! runtime. The socket is not here. A call goes into the inbox, and its future then moves the bytes
//! (`driver/waiting.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_channel::Receiver;
use flamingo_protocol_core::{
    CommandCode, Frame,
    error::{CommandError, Full},
    wire::Status,
};

use crate::clock::Clock;
use crate::driver::inbox::Caller;
use crate::driver::outcome::{Done, Wanted};
use crate::driver::pending_calls::{Answer, Call, Stats};
use crate::driver::waiting::Waiting;
use crate::error::Error;
use crate::event::CallId;
use crate::fanout::{Fanout, Subscription};
use crate::motion_waiter::MotionWaiter;
use crate::options::Options;
use crate::payload::Payload;
use crate::status_rules::StatusRules;

/// A connection to the instrument, shared by any number of tasks. Clones are the same connection;
/// it ends when the last one is dropped.
///
/// Every future of it is cancel-safe: dropping one harms no other call, and no answer is given to
/// the wrong call. A command that was not sent yet is not sent then. If it was sent, the instrument
/// carries it out, and subscribers receive its answer as late.
///
/// HALT, laser-off, CAMERA_WORK_FLOW_STOP and CAMERA_LIVE_VIEW_STOP are *stops*. A stop goes before all
/// other commands, and cancels those that must not run after it. It is sent even if its future is
/// dropped, and no time withdraws it: if it is not sent, its connection is lost, and its error says so.
///
/// ```
/// use flamingo_runtime_std::protocol::{CommandCode, Frame};
/// use flamingo_runtime_std::{Client, Options};
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// smol::block_on(async {
/// #   let instrument = Simulator::start(SimulatorOptions::default()).await?;
/// #   let address = instrument.control().to_string();
///     let client = Client::connect(Options::new(address)).await?;
///     let y = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(2);
///     let answer = client.request(y).await?;
///     println!("y = {} mm", answer.frame.value);
///     client.close().await;
///     Ok(())
/// })
/// # }
/// ```
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
    status: StatusRules,
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
        let status = options.status.clone();
        Self { link: Link { caller, fanout, clock, address, timeout, status, running }, opened }
    }

    /// Waits for the end of the handshake, for which the engine must be driven meanwhile.
    ///
    /// Cancel-safe: dropping the future ends the engine.
    ///
    /// # Errors
    /// Why there is no connection, or [`Error::ConnectionLost`] if the engine was dropped.
    pub async fn client(self) -> Result<Client, Error> {
        let Self { mut link, opened } = self;
        let state = opened.recv().await.unwrap_or_else(|_| Err(link.lost()))?;
        link.status.learn(&state.frame);
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
    /// The answer to the SYSTEM_STATE_GET of the handshake: the state of the instrument when the
    /// connection was made first.
    #[must_use]
    pub fn state_at_connect(&self) -> &Answer {
        &self.0.state_at_connect
    }

    /// Sends a command and waits for its answer, as long as [`Options::timeout`] says.
    ///
    /// # Errors
    /// Any [`Error`] but those of connecting. After [`Error::Refused`] nothing was sent.
    pub async fn request(&self, frame: Frame) -> Result<Answer, Error> {
        self.request_within(frame, self.0.link.timeout).await
    }

    /// Sends a command and waits for its answer, with `timeout` instead of [`Options::timeout`].
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn request_within(&self, frame: Frame, timeout: Duration) -> Result<Answer, Error> {
        self.ask(self.call_id(), frame, None, timeout).await
    }

    /// A number for a call that is made later. A subscription recognises the call by it in
    /// [`Event::Commanded`](crate::Event::Commanded).
    #[must_use]
    pub fn call_id(&self) -> CallId {
        CallId(self.0.next_call.fetch_add(1, Ordering::Relaxed))
    }

    /// [`Self::request`] with a number from [`Self::call_id`].
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn request_as(&self, call: CallId, frame: Frame) -> Result<Answer, Error> {
        self.ask(call, frame, None, self.0.link.timeout).await
    }

    /// [`Self::send`] with a number from [`Self::call_id`].
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_as(&self, call: CallId, frame: Frame) -> Result<(), Error> {
        self.write(call, frame, None).await
    }

    /// How long an answer may take: [`Options::timeout`].
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.link.timeout
    }

    /// What the status of a frame says, by [`Options::status`]. Answers have it in
    /// [`Answer::outcome`].
    #[must_use]
    pub fn outcome(&self, frame: &Frame) -> Status {
        self.0.link.status.outcome(frame)
    }

    /// The clock of this client: µs since it was made.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.link.clock
    }

    /// `HOST:PORT` of the control port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.link.address
    }

    /// Sends a command with a payload (32 MiB at most by default) and waits for its answer, with
    /// `timeout` instead of [`Options::timeout`]. That includes the time to write the payload. The
    /// frame's `payload_len` is set here. Nothing is sent between frame and payload, and reading goes
    /// on meanwhile.
    ///
    /// Cancel-safe: a payload that has begun is finished even if the future is dropped.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn upload(
        &self,
        frame: Frame,
        payload: impl Into<Payload>,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        self.ask(self.call_id(), frame, Some(payload.into()), timeout).await
    }

    /// Sends a command and waits only until its bytes are written, however long that takes.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Superseded`], [`Error::ConnectionLost`].
    pub async fn send(&self, frame: Frame) -> Result<(), Error> {
        self.write(self.call_id(), frame, None).await
    }

    /// Sends a command with a payload and waits only until the bytes are written. The frame's
    /// `payload_len` is set here.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_with_payload(
        &self,
        frame: Frame,
        payload: impl Into<Payload>,
    ) -> Result<(), Error> {
        self.write(self.call_id(), frame, Some(payload.into())).await
    }

    /// Stops an axis (1 x, 2 y, 3 z, 4 r). The command overtakes everything that is queued; moves
    /// that are still queued end as [`Error::Superseded`]. For several axes make one call each, and
    /// poll them together.
    ///
    /// Cancel-safe, but dropping the future does not take the command back.
    ///
    /// # Errors
    /// As [`Self::request`]; [`Error::Unconfirmed`] when too many are unanswered already.
    pub async fn halt(&self, axis: i32) -> Result<Answer, Error> {
        self.request(Frame::command(CommandCode::STAGE_HALT).with_selector(axis)).await
    }

    /// From this call on, events of these codes go to the subscription; events of all codes if
    /// `codes` is empty. Events are all frames that are not the proven answer to a request:
    /// unsolicited, late and ambiguous ones, and presumed answers ([`Answer::proven`] is false),
    /// since those may be pushes.
    #[must_use]
    pub fn subscribe(&self, codes: &[CommandCode]) -> Subscription {
        self.0.link.fanout.subscribe(codes)
    }

    /// Prepares to wait for the end of a motion of an axis (1 x, 2 y, 3 z, 4 r). Call it *before* the
    /// move is sent: a short motion may end before its acknowledgement is read.
    #[must_use]
    pub fn arm(&self, axis: i32) -> MotionWaiter {
        MotionWaiter::new(axis, &self.0.link.fanout, &self.0.link.address)
    }

    /// The counters of this connection.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`] when the driver has ended.
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.0.link.caller.stats().await.map_err(|_| self.0.link.lost())
    }

    /// Ends the connection, for all clones, and waits until the socket is closed. A stop that waits to
    /// be written is written before; if that fails, its call ends as [`Error::ConnectionLost`].
    pub async fn close(self) {
        self.0.link.caller.close();
        // Nothing is ever sent on it: this ends when the driver has.
        let _ = self.0.link.running.recv().await;
    }

    async fn ask(
        &self,
        call: CallId,
        frame: Frame,
        payload: Option<Payload>,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        match self.run_call(call, frame, payload, timeout, Wanted::Answer).await? {
            Done::Answered(answer) => Ok(answer),
            // Never given to a call that wants an answer.
            Done::Written => Err(self.0.link.lost()),
        }
    }

    async fn write(
        &self,
        call: CallId,
        frame: Frame,
        payload: Option<Payload>,
    ) -> Result<(), Error> {
        self.run_call(call, frame, payload, self.0.link.timeout, Wanted::Written).await?;
        Ok(())
    }

    async fn run_call(
        &self,
        id: CallId,
        mut frame: Frame,
        payload: Option<Payload>,
        timeout: Duration,
        wanted: Wanted,
    ) -> Result<Done, Error> {
        let len = payload.as_ref().map_or(0, |payload| payload.len());
        // Longer than u32 is longer than any limit: the core refuses it.
        frame.payload_len = u32::try_from(len).unwrap_or(u32::MAX);
        let code = frame.code;
        let link = &self.0.link;
        let (reply, outcome) = link.caller.reply(wanted);
        let call = Call { id, payload, ..Call::of(frame, link.clock.now(), timeout, reply) };
        let may_be_held = call.payload.is_none() && !call.stops();
        let waiting = Waiting::new(&link.caller, outcome, may_be_held);
        let handed_over = if call.stops() {
            let full =
                || Error::Refused { code, source: CommandError::Full { what: Full::StopLane } };
            link.caller.stop(call).ok_or_else(full)?
        } else {
            link.caller.call(call).await
        };
        handed_over.map_err(|_| link.lost())?;
        waiting.await.unwrap_or_else(|_| Err(link.lost()))
    }
}
