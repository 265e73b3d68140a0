//! Stops over a connection of their own, before anything else is sent on it. How an engine sends them
//! first is `session.rs`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use flamingo_protocol_core::{CommandCode, Frame, wire::Kind};

use super::engine::Engine;
use super::outcome::{self, Done, Expected, Wanted};
use super::pending_calls::{Answer, Call};
use super::runtime::{Runtime, drive, while_driven};
use super::task::Driver;
use crate::clock::Clock;
use crate::error::Error;
use crate::options::Options;

/// What became of a stop that went first.
#[derive(Debug)]
pub struct Stopped {
    /// The stop.
    pub frame: Frame,
    /// The acknowledgement, or why there is none; [`Error::was_sent`] says whether the stop went out.
    /// `None`: it went out, and its code is never acknowledged.
    pub outcome: Result<Option<Answer>, Error>,
}

/// Waits for the outcome of a stop.
async fn wait(expected: Expected, address: &str) -> Result<Option<Answer>, Error> {
    match expected.wait().await {
        Ok(Ok(Done::Answered(answer))) => Ok(Some(answer)),
        Ok(Ok(Done::Written)) => Ok(None),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::lost(address, "it was closed")),
    }
}

/// The commands that stop these axes (1 x, 2 y, 3 z, 4 r).
#[must_use]
pub fn halts(axes: &[i32]) -> Vec<Frame> {
    let halt = |axis: &i32| Frame::command(CommandCode::STAGE_HALT).with_selector(*axis);
    axes.iter().map(halt).collect()
}

/// Connects and sends these stops: HALT, laser-off, and the stops of a workflow and of live images.
/// They are the first bytes that the instrument receives. Nothing is asked before, so an
/// instrument that answers nothing is stopped too. All addresses of the host are tried at once.
/// Ends when each stop is acknowledged or its time, [`Options::timeout`], is over. Then the
/// connection is closed.
///
/// Cancel-safe, but if the future is dropped before the stops are written, they are not sent.
///
/// # Errors
/// [`Error::NoStop`]: a frame is no stop. [`Error::Resolve`], [`Error::Connect`]. In these cases
/// nothing was sent.
pub async fn stop_at(
    runtime: impl Runtime,
    options: Options,
    stops: &[Frame],
) -> Result<Vec<Stopped>, Error> {
    let clock = Clock::start();
    let (address, timeout) = (options.address.clone(), options.timeout);
    let (mut engine, opening) = Engine::new(options, clock);
    let mut sent = Vec::new();
    for stop in stops {
        let kind = stop.code.row().map(|row| row.kind);
        let is_acknowledged = kind != Some(Kind::FireAndForget);
        let wanted = if is_acknowledged { Wanted::Answer } else { Wanted::Written };
        let (reply, outcome) = outcome::pair(wanted);
        let call = Call::of(*stop, clock.now(), timeout, reply);
        if !call.stops() {
            return Err(Error::NoStop { code: stop.code });
        }
        engine.send_first(call);
        sent.push((*stop, outcome));
    }
    let outcomes = async {
        let mut stopped = Vec::new();
        for (frame, outcome) in sent {
            stopped.push(Stopped { frame, outcome: wait(outcome, &address).await });
        }
        stopped
    };
    let driver = drive(Driver::of(engine, clock), clock, runtime);
    let stopped = while_driven(outcomes, driver).await;
    // Whether there was a connection at all: that is known by now.
    let mut opened = pin!(opening.client());
    match poll_fn(|cx| Poll::Ready(opened.as_mut().poll(cx))).await {
        Poll::Ready(Err(error @ (Error::Resolve { .. } | Error::Connect { .. }))) => Err(error),
        _ => Ok(stopped),
    }
}
