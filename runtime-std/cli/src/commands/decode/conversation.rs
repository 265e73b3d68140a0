//! Turns the contents of a capture into rows of a conversation. A command and its answer are one row,
//! which is complete when the answer has come or is no longer expected.
//!
//! The rows are in `row.rs`. The library assigns answers to commands.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use flamingo_protocol_core::{Flags, Frame, wire::Kind};
use flamingo_recording::Side;
use flamingo_recording::capture::{CaptureEvent, ConnectionInfo, EventKind};
use flamingo_recording::conversation::{Conversation, FrameClass, Unanswered, patience};
use flamingo_runtime_std::Message;

use super::row::{CommandOutcome, Cut, Note, Row, RowContent, TimedFrame};

/// At most this many rows wait until an earlier row is complete.
const MAX_WAITING: usize = 10_000;

/// How many ticks of a live capture a complete row waits for the answers to earlier commands, and an open
/// command for its own.
const TICKS_OF_COMPLETE: u64 = 2;
const TICKS_OF_OPEN: u64 = 30;
/// The length of a tick.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// A control connection.
#[derive(Default)]
struct Watched {
    conversation: Conversation,
    /// The place of each open command, by the number of the command.
    open: BTreeMap<u64, u64>,
    /// When to look for commands without an answer: not later than the first of them is due.
    due: Option<Duration>,
    /// The last time at which bytes of the instrument were missing, and bytes of the client.
    lost_answers: Option<Duration>,
    lost_commands: Option<Duration>,
    /// Whether the next bytes of the client, and of the instrument, may be the end of a frame.
    in_the_middle: [bool; 2],
    /// The number of the last command that is answered.
    last: u64,
    /// How often the clock had been set when that was looked at last, and the last command before it.
    clock_steps: u64,
    last_before_step: u64,
}

impl Watched {
    /// Before anything happens on the connection: how often the clock was set so far.
    fn note_steps(&mut self, clock_steps: u64) {
        if self.clock_steps != clock_steps {
            (self.clock_steps, self.last_before_step) = (clock_steps, self.last);
        }
    }

    /// Whether the clock was set after that command.
    const fn is_clock_set_since(&self, command: u64) -> bool {
        command <= self.last_before_step
    }

    /// Whether a frame that nobody seems to have asked for may answer a command that the recording lacks.
    fn maybe_asked(&self, at: Duration, frame: &Frame) -> bool {
        let row = frame.code.row();
        let patience = patience(frame.code);
        let is_push = frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER)
            || row.is_some_and(|row| matches!(row.kind, Kind::Event | Kind::FireAndForget));
        !is_push && self.lost_commands.is_some_and(|lost| at.saturating_sub(lost) <= patience)
    }
}

/// A place in the order of the rows.
struct Place {
    /// `None` if the row was shown before the rows in front of it.
    row: Option<Row>,
    /// The tick at which it came.
    came: u64,
}

/// Builds rows, and returns them in the order in which they began. On a live capture, [`RowBuilder::tick`]
/// lets them wait for each other only for a short time.
#[derive(Default)]
pub(super) struct RowBuilder {
    waiting: VecDeque<Place>,
    released: VecDeque<Row>,
    /// The number of places that were before `waiting`.
    returned: u64,
    ticks: u64,
    /// A part of a message. The next event tells why it is not complete.
    part: Option<Row>,
    note: Option<Note>,
    /// The capture was read to its end.
    recording_ends: bool,
    connections: BTreeMap<u64, Watched>,
    /// When to look at which connection for commands without an answer.
    due: BTreeSet<(Duration, u64)>,
    /// The open commands that were shown, by their places.
    shown: BTreeMap<u64, (ConnectionInfo, TimedFrame)>,
    /// How often the clock was set, so that the times do not show how much time passed.
    clock_steps: u64,
}

impl RowBuilder {
    /// The next row, if it is complete.
    pub(super) fn next(&mut self) -> Option<Row> {
        loop {
            if let Some(row) = self.released.pop_front() {
                return Some(row);
            }
            let is_open = self.waiting.front()?.row.as_ref().is_some_and(Row::is_open);
            // Without the limit, a capture without times would keep every row.
            if is_open && self.waiting.len() < MAX_WAITING {
                return None;
            }
            let place = self.returned;
            self.returned += 1;
            if let Some(row) = self.waiting.pop_front()?.row {
                self.remember_open(place, &row);
                return Some(row);
            }
        }
    }

    /// How many connections have a time at which to look at them.
    #[cfg(test)]
    pub(super) fn due_count(&self) -> usize {
        self.due.len()
    }

    /// Whether rows wait for an answer.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// So much time has passed on a live capture. Rows that have waited long enough are returned next.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        for index in 0..self.waiting.len() {
            let Place { row, came } = &mut self.waiting[index];
            let waited = self.ticks - *came;
            let is_due = |row: &mut Row| {
                waited >= if row.is_open() { TICKS_OF_OPEN } else { TICKS_OF_COMPLETE }
            };
            if let Some(row) = row.take_if(is_due) {
                self.remember_open(self.returned + index as u64, &row);
                self.released.push_back(row);
            }
        }
    }

    /// A row is shown that may be an open command.
    fn remember_open(&mut self, place: u64, row: &Row) {
        if let RowContent::Command { command, outcome: CommandOutcome::Open, .. } = &row.content {
            self.shown.insert(place, (row.who, command.clone()));
        }
    }

    /// The capture was read to its end. The events after that tell what does not end in it.
    pub(super) fn recording_ends(&mut self) {
        self.push_part(Cut::Connection);
        self.recording_ends = true;
    }

    pub(super) fn take(&mut self, event: CaptureEvent) {
        let CaptureEvent { connection: who, at, from, kind } = event;
        let is_hole = matches!(kind, EventKind::Hole { .. });
        self.push_part(if is_hole { Cut::Hole } else { Cut::Connection });
        self.mark_due(at);
        let note = self.note.take();
        match kind {
            EventKind::Note { text, by_recorder } => {
                self.note = Some(Note { text, by_recorder });
                return;
            }
            EventKind::Opened => {
                let lost_commands = who.began_before.then_some(at);
                let in_the_middle = [who.began_before; 2];
                let watched = Watched { lost_commands, in_the_middle, ..Watched::default() };
                self.connections.insert(who.number, watched);
            }
            EventKind::Message { message, noise, .. } => {
                let Message { frame, payload } = message;
                let maybe_frame = self.begins_in_the_middle(who.number, from);
                if !noise.is_empty() {
                    let bytes = noise.len();
                    self.push(who, at, RowContent::Noise { from, bytes, maybe_frame });
                }
                return self.frame(who, from, TimedFrame { at, frame, payload });
            }
            EventKind::Hole { .. } => self.hole(who.number, at, from),
            EventKind::Noise { ref bytes } => {
                let maybe_frame = self.begins_in_the_middle(who.number, from);
                let bytes = bytes.len();
                return self.push(who, at, RowContent::Noise { from, bytes, maybe_frame });
            }
            EventKind::Rest { bytes } => {
                let (bytes, cut) = (bytes.len(), Cut::Recording);
                let content = RowContent::Incomplete { from, bytes, cut };
                self.part = Some(Row { who, at, content });
                if self.recording_ends {
                    self.push_part(Cut::Recording);
                }
                return;
            }
            EventKind::Finished if from == Side::Instrument => self.end_connection(who.number, at),
            EventKind::Reset => self.end_connection(who.number, at),
            EventKind::ClockStep { noted: false, .. } => self.clock_steps += 1,
            _ => {}
        }
        if let Some(content) = content(from, kind, note) {
            self.push(who, at, content);
        }
    }

    /// Whether the capture contained nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.returned == 0 && self.waiting.is_empty()
    }

    /// The capture ends at that time. Commands whose answer is not due yet have neither an answer nor none.
    pub(super) fn end(&mut self, at: Duration) {
        self.push_part(Cut::Connection);
        self.mark_due(at);
        let mut open = Vec::new();
        for mut watched in std::mem::take(&mut self.connections).into_values() {
            watched.note_steps(self.clock_steps);
            let is_set =
                |(number, place): (&u64, &u64)| (*place, watched.is_clock_set_since(*number));
            open.extend(watched.open.iter().map(is_set));
        }
        open.sort_unstable();
        for (place, clock_set) in open {
            if let Some(sent) = self.command(place).map(|command| command.at) {
                let after = at.saturating_sub(sent);
                self.resolve(place, at, CommandOutcome::RecordingEnds { after }, clock_set);
            }
        }
        self.due.clear();
    }

    fn push(&mut self, who: ConnectionInfo, at: Duration, content: RowContent) {
        let row = Some(Row { who, at, content });
        self.waiting.push_back(Place { row, came: self.ticks });
    }

    fn push_part(&mut self, ended_by: Cut) {
        if let Some(Row { who, at, mut content }) = self.part.take() {
            if let RowContent::Incomplete { cut, .. } = &mut content {
                *cut = ended_by;
            }
            self.push(who, at, content);
        }
    }

    fn hole(&mut self, connection: u64, at: Duration, from: Side) {
        let watched = self.connections.entry(connection).or_default();
        watched.in_the_middle[from as usize] = true;
        match from {
            Side::Client => watched.lost_commands = Some(at),
            Side::Instrument => {
                watched.lost_answers = Some(at);
                watched.conversation.bytes_missing();
            }
        }
    }

    /// Whether the bytes of that side from here to the next frame may be the end of a frame.
    fn begins_in_the_middle(&mut self, connection: u64, from: Side) -> bool {
        let watched = self.connections.get_mut(&connection);
        watched.is_some_and(|it| std::mem::take(&mut it.in_the_middle[from as usize]))
    }

    fn frame(&mut self, who: ConnectionInfo, from: Side, timed: TimedFrame) {
        let at = timed.at;
        let watched = self.connections.entry(who.number).or_default();
        watched.note_steps(self.clock_steps);
        if from == Side::Client {
            let number = watched.conversation.client_sent(at, &timed.frame);
            let outcome =
                if number.is_some() { CommandOutcome::Open } else { CommandOutcome::NoneExpected };
            if let Some(number) = number {
                watched.last = number;
                watched.open.insert(number, self.returned + self.waiting.len() as u64);
                let due = at + patience(timed.frame.code);
                self.look_at(who.number, due);
            }
            let (command, clock_set, again) = (timed, false, false);
            self.push(who, at, RowContent::Command { command, outcome, clock_set, again });
            return;
        }
        let class = watched.conversation.instrument_sent(at, &timed.frame);
        let maybe_asked = matches!(class, FrameClass::Unsolicited { .. })
            && watched.maybe_asked(at, &timed.frame);
        let to = class.answers().map(|(to, _)| to);
        let clock_set = to.is_some_and(|to| watched.is_clock_set_since(to));
        let place = to.and_then(|to| watched.open.remove(&to));
        if let Some(place) = place
            && self.shown.remove(&place).is_none()
        {
            let answered = CommandOutcome::Answered { answer: timed, class };
            self.resolve(place, at, answered, clock_set);
        } else {
            self.push(who, at, RowContent::Other { frame: timed, class, clock_set, maybe_asked });
        }
        // The frame may have settled earlier commands.
        self.mark_unanswered(who.number, at, false);
    }

    /// The row of a command that waits.
    fn row(&mut self, place: u64) -> Option<&mut Row> {
        let index = usize::try_from(place.checked_sub(self.returned)?).ok()?;
        self.waiting.get_mut(index)?.row.as_mut()
    }

    /// The command in that place, whether it was shown or not.
    fn command(&mut self, place: u64) -> Option<&TimedFrame> {
        if self.shown.contains_key(&place) {
            return self.shown.get(&place).map(|(_, command)| command);
        }
        match &self.row(place)?.content {
            RowContent::Command { command, .. } => Some(command),
            _ => None,
        }
    }

    /// Says what has become of a command; again, if it was shown before.
    fn resolve(&mut self, place: u64, at: Duration, new: CommandOutcome, is_set: bool) {
        if let Some((who, command)) = self.shown.remove(&place) {
            let (outcome, clock_set, again) = (new, is_set, true);
            self.push(who, at, RowContent::Command { command, outcome, clock_set, again });
        } else if let Some(row) = self.row(place)
            && let RowContent::Command { outcome, clock_set, .. } = &mut row.content
        {
            (*outcome, *clock_set) = (new, is_set);
        }
    }

    /// Looks at that connection at that time, or earlier if that is known already.
    fn look_at(&mut self, connection: u64, at: Duration) {
        let Some(watched) = self.connections.get_mut(&connection) else { return };
        if watched.due.is_none_or(|due| at < due) {
            if let Some(due) = watched.due.replace(at) {
                self.due.remove(&(due, connection));
            }
            self.due.insert((at, connection));
        }
    }

    /// Says which commands got no answer in time. Looks only at the connections that may have one.
    fn mark_due(&mut self, now: Duration) {
        while let Some((due, connection)) = self.due.first().copied()
            && due <= now
        {
            self.due.pop_first();
            if let Some(watched) = self.connections.get_mut(&connection) {
                watched.due = None;
            }
            self.mark_unanswered(connection, now, false);
            let watched = self.connections.get(&connection);
            if let Some(next) = watched.and_then(|watched| watched.conversation.next_due()) {
                self.look_at(connection, next);
            }
        }
    }

    /// `is_over`: the connection has ended, and what is unanswered is so for that reason.
    fn mark_unanswered(&mut self, connection: u64, now: Duration, is_over: bool) {
        while let Some(watched) = self.connections.get_mut(&connection)
            && let Some(Unanswered { to, after }) = watched.conversation.next_unanswered(now)
        {
            watched.note_steps(self.clock_steps);
            let (lost, clock_set) = (watched.lost_answers, watched.is_clock_set_since(to));
            let Some(place) = watched.open.remove(&to) else { continue };
            let sent = self.command(place).map_or(now, |command| command.at);
            let outcome = if is_over {
                CommandOutcome::ConnectionEnds { after }
            } else {
                CommandOutcome::Unanswered { after, maybe_lost: lost >= Some(sent) }
            };
            self.resolve(place, sent.saturating_add(after), outcome, clock_set);
        }
    }

    fn end_connection(&mut self, connection: u64, at: Duration) {
        if let Some(watched) = self.connections.get_mut(&connection) {
            watched.conversation.end(at);
        }
        self.mark_unanswered(connection, at, true);
        let over = self.connections.remove(&connection);
        if let Some(due) = over.and_then(|watched| watched.due) {
            self.due.remove(&(due, connection));
        }
    }
}

/// The content of a row for an event that becomes one as it is.
fn content(from: Side, kind: EventKind, note: Option<Note>) -> Option<RowContent> {
    Some(match kind {
        EventKind::Opened => RowContent::Opened,
        EventKind::Image { header, pixels, checksum } => {
            RowContent::Image { header, checksum, pixels: pixels.is_some() }
        }
        EventKind::NoImage(error) => RowContent::NoImage(error),
        EventKind::Hole { bytes } => RowContent::Missing { from, bytes },
        EventKind::Finished => RowContent::Finished { from, note },
        EventKind::Reset => RowContent::Reset { from, note },
        EventKind::ClockStep { step, noted } => RowContent::ClockStep { step, noted },
        // The kinds above are all that the library knows now, beside messages and bytes that are none.
        _ => return None,
    })
}
