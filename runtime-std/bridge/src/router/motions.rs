//! Which waiting command of a client has its turn, next to commands that are answered at the end of a
//! motion. Such an answer may take minutes, and of equal commands at most one is on the wire. So the
//! second waits in the queue of its client. It holds neither the queries of that client nor another
//! client. Which client has its turn is in `dispatch.rs`.

use flamingo_protocol_core::{
    Frame,
    connection::Key,
    time::{Duration, Instant},
};

use super::Router;
use super::client::{Client, Command};
use super::permissions::{STAGE, expects_answer, is_answered_at_end, is_query};

/// The time limit of a command that the instrument answers at the end of the motion.
pub(super) const MOTION_TIMEOUT: Duration = Duration::from_millis(180_000);

/// The commands that are answered at the end of a motion, and whose answers are still to come.
#[derive(Debug)]
pub(super) struct PendingMotions(Vec<Key>);

impl PendingMotions {
    /// Whether this command waits for one of them: the core would hold it until that is answered.
    fn hold(&self, frame: &Frame) -> bool {
        !self.0.is_empty()
            && is_answered_at_end(frame)
            && expects_answer(frame)
            && self.0.contains(&Key::of(frame))
    }

    /// When this waiting command is refused, since it has waited too long. `timeout`: the time limit
    /// of a command that does not wait for the end of a motion.
    pub(super) fn refused_at(&self, command: &Command, timeout: Duration) -> Instant {
        let waits = self.hold(&command.frame);
        command.arrived + if waits { timeout.max(MOTION_TIMEOUT) } else { timeout }
    }
}

impl Router {
    pub(super) fn pending_motions(&self) -> PendingMotions {
        let pending = self.forwarded.values().filter(|forwarded| {
            let is_open = forwarded.expects_answer && !forwarded.ended;
            is_open && is_answered_at_end(&forwarded.command.frame)
        });
        PendingMotions(pending.map(|forwarded| Key::of(&forwarded.command.frame)).collect())
    }
}

impl Client {
    /// When the first of the waiting commands is refused.
    pub(super) fn next_refusal(
        &self,
        motions: &PendingMotions,
        timeout: Duration,
    ) -> Option<Instant> {
        // They are in the order of their arrival.
        let first = self.waiting.front();
        let first_with_turn = self.waiting.iter().find(|command| !motions.hold(&command.frame));
        let each = first.into_iter().chain(first_with_turn);
        each.map(|command| motions.refused_at(command, timeout)).min()
    }

    /// The position in the queue of the command that may be forwarded next. It is the first one,
    /// unless that waits for the end of a motion, or for a stop that the client has sent before: then
    /// it is the first query that makes no difference
    /// to the commands that it overtakes. A position is true at any time, but a setting may have been
    /// changed by an earlier command of its subsystem.
    pub(super) fn next_command(&self, motions: &PendingMotions) -> Option<usize> {
        // A bit for each subsystem; the last bit stands for all others.
        let bit = |frame: &Frame| 1_u16 << frame.code.subsystem().min(15);
        let mut overtaken = 0;
        for (position, Command { frame, .. }) in self.waiting.iter().enumerate() {
            let may_pass = position == 0 || (is_query(frame) && overtaken & bit(frame) == 0);
            if may_pass && !motions.hold(frame) && !self.stops.precede(frame) {
                return Some(position);
            }
            if frame.code.subsystem() != STAGE {
                overtaken |= bit(frame);
            }
        }
        None
    }
}
