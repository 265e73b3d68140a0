//! Decides from messages and positions how a motion ended: arrived, halted, retargeted, refused,
//! not completed, or lost.
//!
//! What a program can do with a motion is in `motion.rs`.

use std::time::Duration;

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{Class, CommandCode, Frame, wire::Timing};
use smol::{Timer, future};

use super::motion::{ALL_AXES, Doubt, Ending, Motion};
use crate::Error;
use crate::axis::Axis;
use crate::units::Position;
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::{Event, EventFrame, Subscription};

/// What the question for the position of the axis gave.
#[derive(Debug, Clone, Copy)]
enum Found {
    At(Position),
    /// The instrument does not know it now.
    Unknown,
    NoAnswer,
}

impl Motion {
    /// Waits for the end of the motion.
    pub(super) async fn end(&mut self) -> Ending {
        loop {
            if let Some(ending) = &self.ending {
                return ending.clone();
            }
            if let Some(ending) = self.confirm_reported().await {
                self.finish(ending);
                continue;
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
                self.finish(ending);
            }
        }
    }

    fn finish(&mut self, ending: Ending) {
        if !matches!(ending, Ending::Retargeted | Ending::Lost) {
            self.microscope.set_moving(self.axis, false);
        }
        self.ending = Some(ending);
    }

    /// What an event means for this motion; `None`: as far as is known, the motion continues.
    async fn interpret(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Commanded { call, .. } if call == self.call => {
                self.commanded = true;
                None
            }
            Event::Commanded { frame, .. } if self.commanded => self.later_command(&frame),
            Event::Frame(event) if self.commanded => self.message(&event),
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
    fn message(&mut self, event: &EventFrame) -> Option<Ending> {
        let frame = &event.frame;
        let selector = frame.selector();
        if selector != self.axis.selector() && selector != ALL_AXES {
            return None;
        }
        if frame.code == CommandCode::STAGE_MOTION_STOPPED {
            // Also if it is the answer to a request of another task.
            if self.microscope.client().outcome(frame) == Status::Success {
                self.reported = Some((event.at, event.frame));
                return None;
            }
            self.status = Some(frame.status);
            self.ask_after_grace();
            return None;
        }
        let Class::Unsolicited { ours } = event.class else { return None };
        match frame.code {
            // The echo of a command that nothing waits for, at once or at the end of the motion.
            code if ours || (code == self.code && is_answered_at_end(code)) => {
                let refused =
                    code == self.code && self.microscope.client().outcome(frame) == Status::Failure;
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

    /// Asks for the position after a STAGE_MOTION_STOPPED with status 1: it may belong to an earlier
    /// motion, and firmware may have clamped the target. The message is kept until the position is
    /// known, so that a caller may cancel.
    async fn confirm_reported(&mut self) -> Option<Ending> {
        let (at, frame) = self.reported?;
        let arrived = Ending::Arrived { at, message: Some(frame) };
        let Some(target) = self.target else { return Some(arrived) };
        let found = self.position().await;
        self.reported = None;
        // If another message follows, that one belongs to this motion; otherwise this one does.
        let doubtful = self.doubt != Doubt::None || matches!(found, Found::Unknown);
        self.doubtful = doubtful.then_some((at, frame)).or(self.doubtful);
        let position = match found {
            Found::At(position) if !self.is_at_target(position) => position,
            Found::At(_) | Found::NoAnswer => return Some(arrived),
            // It moves, or has just stopped: the position decides when it is known.
            Found::Unknown => {
                self.ask_after_grace();
                return None;
            }
        };
        match std::mem::replace(&mut self.doubt, Doubt::None) {
            Doubt::Halt => Some(Ending::Halted),
            Doubt::Elsewhere => Some(Ending::Retargeted),
            Doubt::Earlier => None,
            Doubt::None => Some(Ending::OffTarget { position, target }),
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
        let position = match (first, self.position().await) {
            (Found::At(first), Found::At(now)) if self.is_same(first, now) => Some(now),
            (Found::NoAnswer, Found::NoAnswer) => None,
            // It moves, or one of two answers proves nothing: ask again later.
            _ => return None,
        };
        if position.is_some_and(|position| self.is_at_target(position)) {
            let (at, message) = match self.doubtful {
                Some((at, frame)) => (at, Some(frame)),
                None => (Clock::wall(), None),
            };
            return Some(Ending::Arrived { at, message });
        }
        Some(match (self.doubt, self.doubtful, position, self.target) {
            (Doubt::Halt, ..) => Ending::Halted,
            (Doubt::Elsewhere, ..) => Ending::Retargeted,
            (_, Some(_), Some(position), Some(target)) => Ending::OffTarget { position, target },
            (_, Some((at, frame)), ..) => Ending::Arrived { at, message: Some(frame) },
            (_, None, ..) => Ending::NotCompleted { status: self.status, position },
        })
    }

    async fn position(&self) -> Found {
        match self.stage().position(self.axis).await {
            Ok(reading) => Found::At(reading.value),
            Err(Error::PositionUnknown { .. }) => Found::Unknown,
            Err(_) => Found::NoAnswer,
        }
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
