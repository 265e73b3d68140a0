//! A client for plain threads: a handle that threads share. Each call blocks its thread until it has ended.
//!
//! ```
//! use flamingo_runtime_std::blocking::Client;
//! use flamingo_runtime_std::Options;
//! use flamingo_runtime_std::protocol::{CommandCode, Frame};
//! # use flamingo_simulator::{Simulator, SimulatorOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let instrument = smol::block_on(Simulator::start(SimulatorOptions::default()))?;
//! # let address = instrument.control().to_string();
//! let client = Client::connect(Options::new(address))?;
//! let asking = client.clone();
//! let asked = std::thread::spawn(move || {
//!     asking.request(Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(2))
//! });
//! client.request(Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1))?;
//! asked.join().expect("it does not panic")?;
//! client.close();
//! # Ok(())
//! # }
//! ```
//!
//! # How it waits
//! The thread of a call writes its command and reads its answer itself. One thread of the client, named
//! `flamingo-PORT`, reads while no call waits, and keeps the time. It ends when the last handle is dropped.
//!
//! # From where it can be called
//! From any thread, in any order, also from a thread that handles events, and while a program holds locks of its
//! own: the client calls no code of the program, and holds no lock while it waits. Every call ends, at the
//! latest with its time limit; [`Client::send`], [`Client::close`], [`Subscription::recv`] and
//! [`MotionWaiter::wait`] have none. Not from a task of an async runtime, whose thread would be blocked: there
//! use [`Client::as_async`].

mod early_looks;
mod events;
mod reactor;
mod seats;
mod shared_reactor;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::driver;
use crate::{Answer, CallId, Error, Options, Payload, Stats, Stopped};
use flamingo_protocol_core::{CommandCode, Frame};

pub use events::{MotionWaiter, Subscription};
use reactor::Plain;
pub use shared_reactor::Reactor;

/// A connection to the instrument, shared by any number of threads. Clones are the same connection; it ends
/// when the last one is dropped.
///
/// A call that ends with [`Error::TimedOut`] harms no other call, and no answer is given to the wrong call.
/// What stops are, and what they do, says [`crate::Client`].
#[derive(Clone)]
pub struct Client {
    client: crate::Client,
    reactor: Reactor,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl Client {
    /// Connects, and proves with SYSTEM_STATE_GET that the peer speaks the protocol before anything else is
    /// sent. Starts one thread, which ends when the last handle is dropped.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::NotFlamingo`], [`Error::Silent`],
    /// [`Error::TokensNotEchoed`], [`Error::ConnectionLost`].
    pub fn connect(options: Options) -> Result<Self, Error> {
        let reactor = reactor_for(&options)?;
        let client = reactor.block_on(reactor.connect(options))?;
        Ok(Self { client, reactor })
    }

    /// Connects and stops these axes (1 x, 2 y, 3 z, 4 r), with [`Self::stop_at`].
    ///
    /// # Errors
    /// As [`Self::stop_at`].
    pub fn halt_at(options: Options, axes: &[i32]) -> Result<Vec<Stopped>, Error> {
        Self::stop_at(options, &driver::halts(axes))
    }

    /// Connects and sends these stops before anything else, as [`driver::stop_at`] says.
    ///
    /// # Errors
    /// [`Error::NoStop`]: a frame is no stop. [`Error::Resolve`], [`Error::Connect`]. In these cases nothing
    /// was sent.
    pub fn stop_at(options: Options, stops: &[Frame]) -> Result<Vec<Stopped>, Error> {
        let reactor = reactor_for(&options)?;
        reactor.block_on(driver::stop_at(Plain(Arc::clone(&reactor.0)), options, stops))
    }

    /// The same connection for async code, on any executor. What needs no waiting is called there as well:
    /// [`address`](crate::Client::address),
    /// [`outcome`](crate::Client::outcome),
    /// [`state_at_connect`](crate::Client::state_at_connect).
    #[must_use]
    pub fn as_async(&self) -> &crate::Client {
        &self.client
    }

    /// Sends a command and waits for its answer, as long as [`Options::timeout`] says.
    ///
    /// # Errors
    /// Any [`Error`] but those of connecting. After [`Error::Refused`] nothing was sent.
    pub fn request(&self, frame: Frame) -> Result<Answer, Error> {
        self.wait(self.client.request(frame))
    }

    /// Sends a command and waits for its answer, with `timeout` instead of [`Options::timeout`].
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn request_within(&self, frame: Frame, timeout: Duration) -> Result<Answer, Error> {
        self.wait(self.client.request_within(frame, timeout))
    }

    /// [`Self::request`] with a number from [`crate::Client::call_id`].
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn request_as(&self, call: CallId, frame: Frame) -> Result<Answer, Error> {
        self.wait(self.client.request_as(call, frame))
    }

    /// Sends a command with a payload and waits for its answer, with `timeout` instead of
    /// [`Options::timeout`]. That includes the time to write the payload, which is at most 32 MiB by default.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn upload(
        &self,
        frame: Frame,
        payload: impl Into<Payload>,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        self.wait(self.client.upload(frame, payload, timeout))
    }

    /// Sends a command and waits only until its bytes are written, however long that takes.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Superseded`], [`Error::ConnectionLost`].
    pub fn send(&self, frame: Frame) -> Result<(), Error> {
        self.wait(self.client.send(frame))
    }

    /// [`Self::send`] with a number from [`crate::Client::call_id`].
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_as(&self, call: CallId, frame: Frame) -> Result<(), Error> {
        self.wait(self.client.send_as(call, frame))
    }

    /// Sends a command with a payload and waits only until the bytes are written.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_with_payload(
        &self,
        frame: Frame,
        payload: impl Into<Payload>,
    ) -> Result<(), Error> {
        self.wait(self.client.send_with_payload(frame, payload))
    }

    /// Stops an axis (1 x, 2 y, 3 z, 4 r). The command overtakes everything that is queued, of all threads;
    /// moves that are still queued end as [`Error::Superseded`].
    ///
    /// # Errors
    /// As [`Self::request`]; [`Error::Unconfirmed`] when too many are unanswered already.
    pub fn halt(&self, axis: i32) -> Result<Answer, Error> {
        self.wait(self.client.halt(axis))
    }

    /// From this call on, events of these codes go to the subscription; events of all codes if `codes` is
    /// empty. What is an event says [`crate::Client::subscribe`].
    #[must_use]
    pub fn subscribe(&self, codes: &[CommandCode]) -> Subscription {
        Subscription::new(self.client.subscribe(codes), self.client.clock())
    }

    /// Prepares to wait for the end of a motion of an axis (1 x, 2 y, 3 z, 4 r). Call it *before* the move is
    /// sent: a short motion may end before its acknowledgement is read.
    #[must_use]
    pub fn arm(&self, axis: i32) -> MotionWaiter {
        MotionWaiter::new(self.client.arm(axis), self.client.clock())
    }

    /// The counters of this connection.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`] when the connection has ended.
    pub fn stats(&self) -> Result<Stats, Error> {
        self.wait(self.client.stats())
    }

    /// Ends the connection, for all clones, and waits until the socket is closed. A stop that waits to be
    /// written is written before; if that fails, its call ends as [`Error::ConnectionLost`].
    pub fn close(self) {
        self.reactor.block_on(self.client.close());
    }

    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.reactor.block_on(call)
    }
}

fn reactor_for(options: &Options) -> Result<Reactor, Error> {
    let failed = |source| Error::Connect { address: options.address.clone(), source };
    Reactor::new().map_err(failed)
}
