//! Waits for the end of a motion by its event alone. Whether a motion was overruled or is stuck is
//! found out by `flamingo-microscope`.

use std::time::SystemTime;

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{CommandCode, Frame};

use crate::error::Error;
use crate::event::Event;
use crate::fanout::{Fanout, Subscription};

/// Ends of motions that may wait for a [`MotionWaiter`] that is not polled; after that it reports
/// that it may have missed one.
const MOTION_ENDS: usize = 64;

/// The end of a motion, as the instrument reported it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MotionStopped {
    /// STAGE_MOTION_STOPPED.
    pub frame: Frame,
    /// Whether the motion was completed (status 1). If not, it was halted, has failed, or goes on.
    pub completed: bool,
    /// When the frame arrived, by this host's calendar.
    pub at: SystemTime,
}

/// Waits for the end of a motion; made by [`Client::arm`](crate::Client::arm).
#[derive(Debug)]
pub struct MotionWaiter {
    axis: i32,
    stops: Subscription,
    address: String,
}

impl MotionWaiter {
    pub(crate) fn new(axis: i32, fanout: &Fanout, address: &str) -> Self {
        let stops = fanout.subscribe_within(&[CommandCode::STAGE_MOTION_STOPPED], MOTION_ENDS);
        Self { axis, stops, address: address.into() }
    }

    /// The next STAGE_MOTION_STOPPED of the axis, or of all axes (255).
    ///
    /// Cancel-safe: the end of a motion that was not returned is returned by the next call.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`]: it is unknown whether the motion has ended.
    pub async fn wait(&mut self) -> Result<MotionStopped, Error> {
        let lost = |reason| Error::lost(&self.address, reason);
        loop {
            match self.stops.next().await {
                Some(Event::Frame(event)) if [self.axis, 255].contains(&event.frame.selector()) => {
                    let completed = event.frame.outcome() == Status::Success;
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
