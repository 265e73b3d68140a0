//! What is heard of a motion, and what it means: arrived, halted, sent elsewhere, stuck, or nothing.
//!
//! What a caller may do with a motion is `motion.rs`.

use std::time::Duration;

use flamingo_protocol_core::{Class, CommandCode, Frame, Timing};
use smol::{Timer, future};

use super::motion::{ALL_AXES, Doubt, Ending, Motion};
use crate::axis::Axis;
use crate::units::Position;
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::{Event, EventFrame, Subscription};

impl Motion {
    /// How it ends.
    pub(super) async fn end(&mut self) -> Ending {
        loop {
            if let Some(ending) = &self.ending {
                return ending.clone();
            }
            let now = self.microscope.client().clock().now();
            let quiet = self.microscope.patience().motion_silence;
            // However often this is called: what is due is due.
            let due = *self.look_at.get_or_insert(now + quiet.into());
            let span = due.since(now).into();
            let ending = if let Some(heard) = heard(&mut self.events, span).await {
                self.judge(heard).await
            } else {
                let stands = self.stands().await;
                self.look_at = None;
                // What came meanwhile says more.
                match self.events.try_next() {
                    Some(heard) => self.judge(heard).await,
                    None => stands,
                }
            };
            if let Some(ending) = ending {
                let ended = !matches!(ending, Ending::Retargeted | Ending::Lost);
                if ended {
                    self.microscope.set_moving(self.axis, false);
                }
                self.ending = Some(ending);
            }
        }
    }

    /// What an event means for this motion; `None`: it goes on, as far as is known.
    async fn judge(&mut self, heard: Event) -> Option<Ending> {
        match heard {
            Event::Commanded { call, .. } if call == self.call => {
                self.commanded = true;
                None
            }
            Event::Commanded { frame, .. } if self.commanded => self.overruled(&frame),
            Event::Frame(event) if self.commanded => self.told(&event).await,
            Event::Lagged(_) => {
                // Its own command may be among what was lost.
                self.commanded = true;
                self.stands().await
            }
            Event::ConnectionLost => Some(Ending::Lost),
            _ => None,
        }
    }

    /// A later command of this client, in the order in which they reach the instrument.
    fn overruled(&self, frame: &Frame) -> Option<Ending> {
        let halt = frame.code == CommandCode::STAGE_HALT;
        match frame.selector() {
            selector if selector == self.axis.selector() => {
                Some(if halt { Ending::Halted } else { Ending::Retargeted })
            }
            ALL_AXES if halt => Some(Ending::Halted),
            _ => None,
        }
    }

    async fn told(&mut self, event: &EventFrame) -> Option<Ending> {
        let frame = &event.frame;
        let selector = frame.selector();
        if selector != self.axis.selector() && selector != ALL_AXES {
            return None;
        }
        if frame.code == CommandCode::STAGE_MOTION_STOPPED {
            // Somebody may have asked for it: it is true all the same.
            if frame.status == 1 {
                return self.completed(event).await;
            }
            self.status = Some(frame.status);
            self.look_soon();
            return None;
        }
        let Class::Unsolicited { ours } = event.class else { return None };
        match frame.code {
            // The echo of a command that nobody waits for, however late.
            code if ours || (code == self.code && is_long(code)) => {
                let refused = code == self.code && frame.status == 0;
                let reason = String::from_utf8_lossy(frame.buffer_bytes()).into_owned();
                refused.then_some(Ending::Refused { reason })
            }
            CommandCode::STAGE_HALT => {
                self.doubt = Doubt::Halt;
                self.look_soon();
                None
            }
            _ => {
                self.doubt = Doubt::Elsewhere;
                None
            }
        }
    }

    /// The instrument says that it arrived. That may be meant for an earlier motion.
    async fn completed(&mut self, event: &EventFrame) -> Option<Ending> {
        let arrived = Ending::Arrived { at: event.at, told_by: Some(event.frame) };
        if self.doubt == Doubt::None || self.target.is_none() {
            return Some(arrived);
        }
        // The next one is meant for this motion; if none comes, this one was.
        self.told = Some((event.at, event.frame));
        match self.position().await {
            Some(position) if !self.is_near(position) => {
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

    /// The instrument says something else: failed, halted, or not yet. A better message may
    /// follow; otherwise the position tells.
    fn look_soon(&mut self) {
        let soon =
            self.microscope.client().clock().now() + self.microscope.patience().stop_grace.into();
        self.look_at = Some(self.look_at.map_or(soon, |due| due.min(soon)));
    }

    /// Asks where the axis is, and again a moment later: if it stands still, the motion is over.
    async fn stands(&mut self) -> Option<Ending> {
        let first = self.position().await;
        Timer::after(self.microscope.patience().stop_grace).await;
        let position = self.position().await;
        match (first, position) {
            (Some(first), Some(now)) if !self.is_same(first, now) => return None,
            // The one that was not answered tells nothing: look again later.
            (Some(_), None) | (None, Some(_)) => return None,
            _ => {}
        }
        Some(match (self.doubt, position) {
            (_, Some(position)) if self.is_near(position) => {
                Ending::Arrived { at: Clock::wall(), told_by: None }
            }
            (Doubt::Halt, _) => Ending::Halted,
            (Doubt::Elsewhere, _) => Ending::Retargeted,
            _ => match self.told {
                Some((at, frame)) => Ending::Arrived { at, told_by: Some(frame) },
                None => Ending::NotCompleted { status: self.status, position },
            },
        })
    }

    async fn position(&self) -> Option<Position> {
        let position = self.stage().position(self.axis).await;
        position.ok().map(|reading| reading.value)
    }

    /// Whether the target is known, and this is it.
    fn is_near(&self, position: Position) -> bool {
        self.target.is_some_and(|target| self.is_same(target, position))
    }

    fn is_same(&self, a: Position, b: Position) -> bool {
        let patience = self.microscope.patience();
        let near = match self.axis {
            Axis::R => patience.arrival_degrees.0,
            Axis::X | Axis::Y | Axis::Z => patience.arrival_mm.0,
        };
        (a.value() - b.value()).abs() <= near
    }
}

/// Whether a command may be acknowledged only at the end of its motion.
fn is_long(code: CommandCode) -> bool {
    code.row().is_some_and(|row| row.timing == Timing::AtEnd)
}

/// The next event, if it comes within `span`. A connection that was closed is lost.
async fn heard(events: &mut Subscription, span: Duration) -> Option<Event> {
    let next = async { Some(events.next().await.unwrap_or(Event::ConnectionLost)) };
    let quiet = async {
        Timer::after(span).await;
        None
    };
    future::or(next, quiet).await
}
