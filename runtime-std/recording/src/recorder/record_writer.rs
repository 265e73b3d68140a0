//! Passes each event on to its connection, and begins the next file between two frames.
//!
//! How a connection becomes packets is `recorded_connection.rs`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::files::Files;
use super::pcap_sink::PcapSink;
use super::recorded_connection::RecordedConnection;
use super::tap::TapEvent;
use super::{Entry, RecorderOptions, RecorderStatus};

pub(super) struct RecordWriter {
    files: Files,
    options: RecorderOptions,
    sink: PcapSink,
    /// The open connections, by number.
    connections: BTreeMap<u64, RecordedConnection>,
    /// Bytes that were left out because a new file began in the middle of an image.
    lost: u64,
}

impl RecordWriter {
    pub(super) fn begin(
        mut files: Files,
        options: RecorderOptions,
        now: Duration,
    ) -> io::Result<Self> {
        let sink = PcapSink::begin(&mut files, &options, now)?;
        Ok(Self { files, options, sink, connections: BTreeMap::new(), lost: 0 })
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
        let Entry { connection: number, at, event } = entry;
        self.rotate(at)?;
        if let TapEvent::Opened { port, client, instrument } = event {
            let mut connection = RecordedConnection::new(port, client, instrument);
            connection.open(&mut self.sink, at, "")?;
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
    fn rotate(&mut self, at: Duration) -> io::Result<()> {
        let (length, age) = (self.sink.length(), self.sink.age(at));
        if !self.files.is_due(length, age) {
            return Ok(());
        }
        let between = self.connections.values().all(RecordedConnection::is_between);
        if !between && !self.files.is_due(length / 2, age / 2) {
            return Ok(());
        }
        self.sink.next(&mut self.files, &self.options, at)?;
        for connection in self.connections.values_mut() {
            self.lost += connection.continue_in(&mut self.sink, at)?;
        }
        Ok(())
    }
}
