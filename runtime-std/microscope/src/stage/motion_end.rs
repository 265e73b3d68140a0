//! Decides from messages and positions how a motion ended: arrived, halted, retargeted, refused,
//! not completed, or lost.
//!
//! What a program can do with a motion is in `motion.rs`.

use std::time::Duration;

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{Class, CommandCode, Frame, wire::Timing};
use smol::{Timer, future};

use super::motion::{ALL_AXES, Doubt, Ending, Motion};
use crate::axis::Axis;
use crate::units::Position;
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::{Event, EventFrame, Subscription};

impl Motion {
    /// Waits for the end of the motion.
    pub(super) async fn end(&mut self) -> Ending {
        loop {
            if let Some(ending) = &self.ending {
                return ending.clone();
            }
            let now = self.microscope.client().clock().now();
            let silence = self.microscope.patience().motion_silence;
            // Kept from call to call: a caller that cancels often does not defer the question.
            let due = *self.ask_at.get_or_insert(now + silence.into());
            let span = due.since(now).into();
            let ending = if let Some(event) = next_within(&mut self.events, span).await {
                self.interpret(event).await
            } else {
                let by_position = self.end_by_position().await;
                self.ask_at = None;
                // A message that arrived meanwhile is more certain.
                match self.events.try_next() {
                    Some(event) => self.interpret(event).await,
                    None => by_position,
                }
            };
            if let Some(ending) = ending {
                let stopped = !matches!(ending, Ending::Retargeted | Ending::Lost);
                if stopped {
                    self.microscope.set_moving(self.axis, false);
                }
                self.ending = Some(ending);
            }
        }
    }

    /// What an event means for this motion; `None`: as far as is known, the motion continues.
    async fn interpret(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Commanded { call, .. } if call == self.call => {
                self.commanded = true;
                None
            }
            Event::Commanded { frame, .. } if self.commanded => self.later_command(&frame),
            Event::Frame(event) if self.commanded => self.message(&event).await,
            Event::Lagged(_) => {
                // The lost events may include the motion's own command.
                self.commanded = true;
                self.end_by_position().await
            }
            Event::ConnectionLost => Some(Ending::Lost),
            _ => None,
        }
    }

    /// A later command of this client. The events keep the order on the wire.
    fn later_command(&self, frame: &Frame) -> Option<Ending> {
        let halt = frame.code == CommandCode::STAGE_HALT;
        match frame.selector() {
            selector if selector == self.axis.selector() => {
                Some(if halt { Ending::Halted } else { Ending::Retargeted })
            }
            ALL_AXES if halt => Some(Ending::Halted),
            _ => None,
        }
    }

    /// A message from the instrument.
    async fn message(&mut self, event: &EventFrame) -> Option<Ending> {
        let frame = &event.frame;
        let selector = frame.selector();
        if selector != self.axis.selector() && selector != ALL_AXES {
            return None;
        }
        if frame.code == CommandCode::STAGE_MOTION_STOPPED {
            // Also if it is the answer to a request of another task.
            if frame.outcome() == Status::Succeeded {
                return self.completed(event).await;
            }
            self.status = Some(frame.status);
            self.ask_after_grace();
            return None;
        }
        let Class::Unsolicited { ours } = event.class else { return None };
        match frame.code {
            // The echo of a command that nothing waits for, at once or at the end of the motion.
            code if ours || (code == self.code && is_answered_at_end(code)) => {
                let refused = code == self.code && frame.outcome() == Status::Failed;
                let reason = String::from_utf8_lossy(frame.buffer_bytes()).into_owned();
                refused.then_some(Ending::Refused { reason })
            }
            CommandCode::STAGE_HALT => {
                self.doubt = Doubt::Halt;
                self.ask_after_grace();
                None
            }
            _ => {
                self.doubt = Doubt::Elsewhere;
                None
            }
        }
    }

    /// STAGE_MOTION_STOPPED with status 1. It may belong to an earlier motion.
    async fn completed(&mut self, event: &EventFrame) -> Option<Ending> {
        let arrived = Ending::Arrived { at: event.at, message: Some(event.frame) };
        if self.doubt == Doubt::None || self.target.is_none() {
            return Some(arrived);
        }
        // If another one follows, that one belongs to this motion; otherwise this one does.
        self.doubtful = Some((event.at, event.frame));
        match self.position().await {
            Some(position) if !self.is_at_target(position) => {
                let doubt = std::mem::replace(&mut self.doubt, Doubt::None);
                match doubt {
                    Doubt::Halt => Some(Ending::Halted),
                    Doubt::Elsewhere => Some(Ending::Retargeted),
                    Doubt::None | Doubt::Earlier => None,
                }
            }
            _ => Some(arrived),
        }
    }

    /// After a message that may mean failed, halted or not yet: a better message may follow within
    /// the grace time; then the position decides.
    fn ask_after_grace(&mut self) {
        let grace = self.microscope.patience().stop_grace;
        let soon = self.microscope.client().clock().now() + grace.into();
        self.ask_at = Some(self.ask_at.map_or(soon, |due| due.min(soon)));
    }

    /// Asks for the position twice, a grace time apart. If the axis stands still, the motion has
    /// ended.
    async fn end_by_position(&mut self) -> Option<Ending> {
        let first = self.position().await;
        Timer::after(self.microscope.patience().stop_grace).await;
        let position = self.position().await;
        match (first, position) {
            (Some(first), Some(now)) if !self.is_same(first, now) => return None,
            // One of two answers proves nothing: ask again later.
            (Some(_), None) | (None, Some(_)) => return None,
            _ => {}
        }
        Some(match (self.doubt, position) {
            (_, Some(position)) if self.is_at_target(position) => {
                Ending::Arrived { at: Clock::wall(), message: None }
            }
            (Doubt::Halt, _) => Ending::Halted,
            (Doubt::Elsewhere, _) => Ending::Retargeted,
            _ => match self.doubtful {
                Some((at, frame)) => Ending::Arrived { at, message: Some(frame) },
                None => Ending::NotCompleted { status: self.status, position },
            },
        })
    }

    async fn position(&self) -> Option<Position> {
        let position = self.stage().position(self.axis).await;
        position.ok().map(|reading| reading.value)
    }

    /// Whether the target is known and `position` is within the tolerance of it.
    fn is_at_target(&self, position: Position) -> bool {
        self.target.is_some_and(|target| self.is_same(target, position))
    }

    fn is_same(&self, a: Position, b: Position) -> bool {
        let patience = self.microscope.patience();
        let tolerance = match self.axis {
            Axis::R => patience.arrival_degrees.0,
            Axis::X | Axis::Y | Axis::Z => patience.arrival_mm.0,
        };
        (a.value() - b.value()).abs() <= tolerance
    }
}

/// Whether the instrument may acknowledge a command only at the end of its motion.
fn is_answered_at_end(code: CommandCode) -> bool {
    code.row().is_some_and(|row| row.timing == Timing::AtEnd)
}

/// The next event, if one arrives within `span`. A closed connection counts as lost.
async fn next_within(events: &mut Subscription, span: Duration) -> Option<Event> {
    let next = async { Some(events.next().await.unwrap_or(Event::ConnectionLost)) };
    let silence = async {
        Timer::after(span).await;
        None
    };
    future::or(next, silence).await
}
