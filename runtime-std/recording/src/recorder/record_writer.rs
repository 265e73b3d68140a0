//! ConnectionInfo is connected: hands what happened to the connection where it did, and begins the next file
//! between two frames.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::files::Files;
use super::pcap_sink::PcapSink;
use super::recorded_connection::RecordedConnection;
use super::tap::TapEvent;
use super::{Entry, Options, Status};

pub(super) struct RecordWriter {
    files: Files,
    options: Options,
    sink: PcapSink,
    streams: BTreeMap<u64, RecordedConnection>,
    /// Bytes that were left out here.
    lost: u64,
}

impl RecordWriter {
    pub(super) fn begin(mut files: Files, options: Options, now: Duration) -> io::Result<Self> {
        let sink = PcapSink::begin(&mut files, &options, now)?;
        Ok(Self { files, options, sink, streams: BTreeMap::new(), lost: 0 })
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.sink.path()
    }

    pub(super) fn tell(&self, status: &mut Status) {
        self.sink.tell(status);
        status.lost_bytes = self.lost;
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    pub(super) fn write(&mut self, entry: Entry) -> io::Result<()> {
        let Entry { stream: id, at, what } = entry;
        self.rotate(at)?;
        if let TapEvent::Opened { port, client, instrument } = what {
            let mut stream = RecordedConnection::new(port, client, instrument);
            stream.open(&mut self.sink, at, "")?;
            self.streams.insert(id, stream);
        } else if let Some(stream) = self.streams.get_mut(&id)
            && stream.happened(&mut self.sink, at, what)?
        {
            self.streams.remove(&id);
        }
        Ok(())
    }

    /// Begins the next file if it is time and no frame is half out. Connections that are open
    /// begin in it as well, so that it stands for itself.
    fn rotate(&mut self, at: Duration) -> io::Result<()> {
        let (length, age) = (self.sink.length(), self.sink.age(at));
        if !self.files.is_due(length, age) {
            return Ok(());
        }
        let between = self.streams.values().all(RecordedConnection::is_between);
        if !between && !self.files.is_due(length / 2, age / 2) {
            return Ok(());
        }
        self.sink.next(&mut self.files, &self.options, at)?;
        for stream in self.streams.values_mut() {
            self.lost += stream.continue_in(&mut self.sink, at)?;
        }
        Ok(())
    }
}
