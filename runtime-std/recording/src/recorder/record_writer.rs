//! Passes each event on to its connection, and begins the next file between two frames.
//!
//! How a connection becomes packets is `recorded_connection.rs`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::anonymizer::Anonymizer;
use super::files::Files;
use super::pcap_sink::PcapSink;
use super::recorded_connection::RecordedConnection;
use super::tap::TapEvent;
use super::{Entry, HostTime, RecorderOptions, RecorderStatus};

pub(super) struct RecordWriter {
    files: Files,
    options: RecorderOptions,
    sink: PcapSink,
    /// The open connections, by number.
    connections: BTreeMap<u64, RecordedConnection>,
    /// Bytes that were left out because a new file began in the middle of an image.
    lost: u64,
    anonymizer: Option<Anonymizer>,
}

impl RecordWriter {
    pub(super) fn begin(
        mut files: Files,
        options: RecorderOptions,
        now: HostTime,
    ) -> io::Result<Self> {
        let sink = PcapSink::begin(&mut files, &options, now)?;
        let anonymizer = options.anonymize.then(Anonymizer::default);
        Ok(Self { files, options, sink, connections: BTreeMap::new(), lost: 0, anonymizer })
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.sink.path()
    }

    pub(super) fn fill_in(&self, status: &mut RecorderStatus) {
        self.sink.fill_in(status);
        status.lost_bytes = self.lost;
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    pub(super) fn write(&mut self, entry: Entry) -> io::Result<()> {
        self.rotate(entry.time)?;
        match &mut self.anonymizer {
            None => self.put(entry),
            Some(anonymizer) => anonymizer.take(entry).into_iter().try_for_each(|it| self.put(it)),
        }
    }

    /// Writes what waits for its end. Nothing follows.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let rests = self.anonymizer.as_mut().map(Anonymizer::end).unwrap_or_default();
        rests.into_iter().try_for_each(|entry| self.put(entry))
    }

    fn put(&mut self, entry: Entry) -> io::Result<()> {
        let Entry { connection: number, time, event } = entry;
        let at = time.at;
        self.sink.set_clock(time.set);
        if let TapEvent::ClockSeen { step } = event {
            self.sink.note_seen_step(step);
        } else if let TapEvent::Opened { port, client, instrument, note } = event {
            let mut connection = RecordedConnection::new(port, client, instrument);
            if self.anonymizer.is_some() {
                connection.number_from(number);
            }
            connection.open(&mut self.sink, at, &note)?;
            self.connections.insert(number, connection);
        } else if let Some(connection) = self.connections.get_mut(&number)
            && connection.take(&mut self.sink, at, event)?
        {
            self.connections.remove(&number);
        }
        Ok(())
    }

    /// Begins the next file if it is due and no frame is half written. Open connections begin again
    /// in the new file, so that it can be read on its own.
    fn rotate(&mut self, now: HostTime) -> io::Result<()> {
        let at = now.at;
        let (length, age) = (self.sink.length(), self.sink.age(at));
        if !self.files.is_due(length, age) {
            return Ok(());
        }
        let between = self.connections.values().all(RecordedConnection::is_between);
        if !between && !self.files.is_due(length / 2, age / 2) {
            return Ok(());
        }
        self.sink.next(&mut self.files, &self.options, now)?;
        let at = self.anonymizer.as_mut().map_or(at, |anonymizer| anonymizer.time(at));
        for connection in self.connections.values_mut() {
            self.lost += connection.continue_in(&mut self.sink, at)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use flamingo_protocol_core::{CommandCode, Frame};
    use flamingo_runtime_std::ClockStep;
    use flamingo_runtime_testkit::folder::Folder;

    use super::super::super::capture::{Capture, CaptureEvent, EventKind};
    use super::super::super::{Port, Side};
    use super::super::files::Rotation;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const BEGIN: Duration = Duration::from_secs(1_700_000_000);

    /// A writer into that folder, which has opened a connection at `BEGIN`.
    fn writer(folder: &Path) -> RecordWriter {
        let rotation = Rotation::default().age(HOUR / 2);
        let files = Files::many(folder, rotation).unwrap();
        let begin = HostTime { at: BEGIN, set: None };
        let mut writer = RecordWriter::begin(files, RecorderOptions::default(), begin).unwrap();
        let ends = ["10.0.0.7:4000", "10.0.0.5:53717"].map(|end| end.parse().unwrap());
        let [client, instrument] = ends;
        let note = String::new();
        let event = TapEvent::Opened { port: Port::Control, client, instrument, note };
        writer.write(Entry { connection: 0, time: begin, event }).unwrap();
        writer
    }

    /// The client sends a frame so many seconds after `BEGIN`, while the host's clock is set.
    fn frame(writer: &mut RecordWriter, seconds: u64, set: Option<ClockStep>) {
        let frame = Frame::command(CommandCode::SYSTEM_STATE_GET).encode();
        let bytes = Bytes::copy_from_slice(&frame);
        let event = TapEvent::Bytes { from: Side::Client, bytes, missing: 0 };
        let time = HostTime { at: BEGIN + Duration::from_secs(seconds), set };
        writer.write(Entry { connection: 0, time, event }).unwrap();
    }

    fn events(file: &Path) -> Vec<CaptureEvent> {
        Capture::open(file).unwrap().map(Result::unwrap).collect()
    }

    /// The times of the frames, in seconds after `BEGIN`.
    fn times(events: &[CaptureEvent]) -> Vec<u64> {
        let frames = events.iter().filter(|it| matches!(it.kind, EventKind::Message { .. }));
        frames.map(|it| it.at.saturating_sub(BEGIN).as_secs()).collect()
    }

    fn steps(events: &[CaptureEvent]) -> Vec<(ClockStep, bool)> {
        let step = |it: &CaptureEvent| match it.kind {
            EventKind::ClockStep { step, noted } => Some((step, noted)),
            _ => None,
        };
        events.iter().filter_map(step).collect()
    }

    #[test]
    fn a_clock_that_is_set_is_noted_and_changes_no_time() {
        let folder = Folder::new("clock-note");
        let mut writer = writer(&folder.0);
        let back = Some(ClockStep::Back(HOUR));
        for (seconds, set) in [(1, None), (2, back), (3, back), (4, None)] {
            frame(&mut writer, seconds, set);
        }
        writer.flush().unwrap();
        let events = events(writer.file().unwrap());
        assert_eq!(times(&events), [1, 2, 3, 4]);
        let expected = [(ClockStep::Back(HOUR), true), (ClockStep::Forward(HOUR), true)];
        assert_eq!(steps(&events), expected);
        let second = events.iter().position(|it| times(std::slice::from_ref(it)) == [2]).unwrap();
        let before = &events[second - 1].kind;
        assert!(matches!(before, EventKind::ClockStep { .. }), "at its place: {before:?}");
    }

    #[test]
    fn the_next_file_begins_with_the_clock_of_the_host() {
        let folder = Folder::new("clock-next");
        let mut writer = writer(&folder.0);
        let ahead = Some(ClockStep::Forward(HOUR));
        frame(&mut writer, 1, ahead);
        let first = writer.file().unwrap().to_owned();
        frame(&mut writer, 2_000, ahead);
        frame(&mut writer, 2_001, ahead);
        writer.flush().unwrap();
        assert_eq!(times(&events(&first)), [1]);
        assert_eq!(steps(&events(&first)), [(ClockStep::Forward(HOUR), true)]);
        let second = writer.file().unwrap();
        assert_ne!(second, first);
        assert_eq!(times(&events(second)), [2_000 + 3_600, 2_001 + 3_600]);
        assert_eq!(steps(&events(second)), []);
        let continued = |file| events(file)[0].connection.began_before;
        assert_eq!([continued(&first), continued(second)], [false, true]);
        let name = second.file_name().unwrap().to_str().unwrap();
        assert!(name.contains("T23-46-40"), "the name has the same clock: {name}");
    }
}
