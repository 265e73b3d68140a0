//! Option 5 of the analysis, with its advice for the end of a motion: "poll with periodic
//! GET_STAGE_POSITION commands". It queries like `synchronous.rs`, and has no listener.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Clock;

use super::fits;
use super::synchronous::Synchronous;
use crate::strategy::{Environment, Motion, Strategy};
use crate::wire;

/// An axis that is closer to its target than this has arrived, in mm.
const NEAR: f64 = 0.001;

pub(super) struct Polling {
    asks: Synchronous,
    poll: Duration,
    clock: Clock,
}

impl Polling {
    pub(super) fn start(environment: &Environment) -> std::io::Result<Self> {
        Ok(Self {
            asks: Synchronous::start(environment)?,
            poll: environment.poll,
            clock: Clock::start(),
        })
    }
}

fn is_at(answer: &Frame, target: f64) -> bool {
    (answer.value - target).abs() <= NEAR
}

impl Strategy for Polling {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.asks.query(command)
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        let position = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(motion.axis);
        let deadline = self.clock.now() + motion.patience.into();
        let mut next = self.clock.now();
        while self.clock.now() < deadline {
            match self.asks.ask(&position) {
                Ok(answer) if fits(&answer, &position) && is_at(&answer, motion.target) => {
                    return true;
                }
                Err(error) if !wire::is_timeout(&error) => return false,
                _ => {}
            }
            next = self.clock.now().max(next + self.poll.into());
            while self.clock.now() < next {
                // The thread may wake up early.
                std::thread::park_timeout(next.since(self.clock.now()).into());
            }
        }
        false
    }

    fn close(self: Box<Self>) {}
}
