//! Plays one control connection: commands and time go in, bytes come out. No sockets, no clock.
//!
//! The client drives. When it sends a command, everything before that command in the recording is
//! sent first, so that the recorded order is kept. Between commands the recorded time runs. If a
//! command does not come, the player waits for it as long as the patience. If the command comes later,
//! its answer is still sent.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use flamingo_protocol_core::{
    Frame,
    connection::{Key, TokenField},
    time::Instant,
    wire::{FIELDS, Kind},
};

use super::Speed;
use super::script::Step;

/// Counts the commands of a client by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Commands that are in the recording.
    pub matched: u64,
    /// Recorded commands that did not come in time.
    pub missed: u64,
    /// Queries that are not in the recording at this place. They get the last recorded answer.
    pub repeated: u64,
    /// Commands that are not in the recording. They get no answer.
    pub unknown: u64,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    /// It is in the recording.
    Recorded,
    /// It is a query that is not in the recording at this place. It gets the last recorded answer.
    Repeated,
    /// It is not in the recording, and gets no answer.
    Unknown,
}

pub(super) struct Player<'a> {
    steps: &'a [Step],
    speed: Speed,
    patience: Duration,
    /// The next step.
    cursor: usize,
    /// For each step the command that the client really sent, if it has come.
    came: Vec<Option<Frame>>,
    /// The steps of commands that have not come yet, in order.
    open: HashMap<Key, VecDeque<usize>>,
    /// The steps that answer commands of a key, in order.
    answers: HashMap<Key, Vec<usize>>,
    /// A time of the recording, and the time at which it is played.
    anchor: (Duration, Instant),
    /// Steps before this one do not wait for their time.
    hurry: usize,
    /// Answers that are sent out of their place, with the time at which each is due.
    extra: VecDeque<(Instant, Vec<u8>)>,
    tally: Tally,
}

impl<'a> Player<'a> {
    pub(super) fn new(steps: &'a [Step], speed: Speed, patience: Duration, now: Instant) -> Self {
        let began = steps.first().map_or(Duration::ZERO, Step::at);
        let mut open: HashMap<Key, VecDeque<usize>> = HashMap::new();
        let mut answers: HashMap<Key, Vec<usize>> = HashMap::new();
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Expect { command, .. } => {
                    open.entry(Key::of(command)).or_default().push_back(at);
                }
                Step::Send { frame, answers: Some(_), .. } => {
                    answers.entry(Key::of(frame)).or_default().push(at);
                }
                _ => {}
            }
        }
        Self {
            steps,
            speed,
            patience,
            cursor: 0,
            came: vec![None; steps.len()],
            open,
            answers,
            anchor: (began, now),
            hurry: 0,
            extra: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether the recorded instrument has closed the connection here.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.steps[..self.cursor].last(), Some(Step::End { .. }))
    }

    /// The client has sent a command.
    pub(super) fn command(&mut self, now: Instant, command: &Frame) -> Met {
        let Some(step) = self.find(command) else { return self.not_recorded(now, command) };
        self.tally.matched += 1;
        self.came[step] = Some(*command);
        // The player has already passed this command.
        if step < self.cursor {
            self.tally.missed -= 1;
            if matches!(self.steps[step], Step::Expect { answer: Some(answer), .. } if answer < self.cursor)
            {
                self.answer_late(now, step);
            }
            return Met::Recorded;
        }
        // The steps before it are played at once. Commands among them that the client left out are
        // passed.
        self.hurry = self.hurry.max(step);
        let at = self.steps[step].at();
        if at >= self.anchor.0 {
            self.anchor = (at, now);
        }
        Met::Recorded
    }

    /// The next bytes that are due.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.extra.front().is_some_and(|(due, _)| *due <= now) {
            return self.extra.pop_front().map(|(_, bytes)| bytes);
        }
        while let Some(step) = self.steps.get(self.cursor) {
            let hurries = self.cursor < self.hurry;
            match step {
                Step::Expect { .. } if self.came[self.cursor].is_some() => {}
                Step::Expect { at, .. } => {
                    if !hurries && now < self.due(*at) + self.patience.into() {
                        return None;
                    }
                    self.tally.missed += 1;
                }
                Step::Send { answers: Some(command), .. } if self.came[*command].is_none() => {
                    // Its command was passed. It is sent if the command comes later.
                }
                _ if !hurries && now < self.due(step.at()) => return None,
                Step::Send { answers, .. } => {
                    let asked = answers.and_then(|command| self.came[command]);
                    let bytes = self.bytes(step, answers.zip(asked));
                    self.cursor += 1;
                    return Some(bytes);
                }
                Step::Raw { bytes, .. } => {
                    self.cursor += 1;
                    return Some(bytes.clone());
                }
                Step::End { .. } => {}
            }
            self.cursor += 1;
        }
        None
    }

    /// When [`Self::poll`] may have bytes, if no command comes before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let step = self.steps.get(self.cursor).map(|step| match step {
            Step::Expect { at, .. } => self.due(*at) + self.patience.into(),
            step => self.due(step.at()),
        });
        let extra = self.extra.front().map(|(due, _)| *due);
        step.into_iter().chain(extra).min()
    }

    fn due(&self, at: Duration) -> Instant {
        let (recorded, played) = self.anchor;
        played + self.speed.span(at.saturating_sub(recorded)).into()
    }

    /// The next recorded command like this one that has not come yet. Commands that were passed are
    /// taken only if no other is left.
    fn find(&mut self, command: &Frame) -> Option<usize> {
        let open = self.open.get_mut(&Key::of(command))?;
        let next = open.partition_point(|step| *step < self.cursor);
        open.remove(if next < open.len() { next } else { open.len().checked_sub(1)? })
    }

    /// Sends the answer to a command that came after its place.
    fn answer_late(&mut self, now: Instant, command: usize) {
        let Step::Expect { at, answer: Some(answer), .. } = &self.steps[command] else { return };
        let answer = &self.steps[*answer];
        let after = answer.at().saturating_sub(*at);
        let asked = self.came[command].map(|asked| (command, asked));
        let bytes = self.bytes(answer, asked);
        self.put(now + self.speed.span(after).into(), bytes);
    }

    /// Answers a query with the last recorded answer to a query like it. Other commands get no answer.
    fn not_recorded(&mut self, now: Instant, command: &Frame) -> Met {
        let is_query = command.code.row().is_some_and(|row| row.kind == Kind::Query);
        let recorded = self.answers.get(&Key::of(command)).filter(|_| is_query);
        let answer = recorded.and_then(|steps| {
            let before = steps.partition_point(|step| *step < self.cursor);
            steps.get(before.saturating_sub(1))
        });
        let Some(step @ Step::Send { answers: Some(to), .. }) =
            answer.map(|step| &self.steps[*step])
        else {
            self.tally.unknown += 1;
            return Met::Unknown;
        };
        self.tally.repeated += 1;
        tracing::debug!(code = %command.code, "a query is not recorded here; it gets the last recorded answer");
        let bytes = self.bytes(step, Some((*to, *command)));
        self.put(now, bytes);
        Met::Repeated
    }

    fn put(&mut self, due: Instant, bytes: Vec<u8>) {
        let at = self.extra.partition_point(|(other, _)| *other <= due);
        self.extra.insert(at, (due, bytes));
    }

    /// The recorded bytes. Fields that the instrument echoed get the values of the command that the
    /// client really sent.
    fn bytes(&self, step: &Step, asked: Option<(usize, Frame)>) -> Vec<u8> {
        let Step::Send { bytes, frame_at, frame, .. } = step else { return Vec::new() };
        let mut bytes = bytes.clone();
        let recorded = asked.and_then(|(command, asked)| match &self.steps[command] {
            Step::Expect { command, .. } => Some((command, asked)),
            _ => None,
        });
        let Some((recorded, asked)) = recorded else { return bytes };
        for (token, name) in
            [(TokenField::ClientId, "clientID"), (TokenField::Int32Data2, "int32Data2")]
        {
            let (was, is) = (token.get(recorded), token.get(&asked));
            let place = FIELDS.iter().find(|field| field.name == name);
            if let Some(place) = place.filter(|_| was == token.get(frame) && was != is) {
                let at = frame_at + place.offset;
                bytes[at..at + place.len].copy_from_slice(&is.to_le_bytes());
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests;
