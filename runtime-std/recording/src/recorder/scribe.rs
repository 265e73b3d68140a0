//! Who is connected: hands what happened to the connection where it did, and begins the next file
//! between two frames.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::files::Files;
use super::stream::Stream;
use super::tap::What;
use super::tape::Tape;
use super::{Entry, Options, Status};

pub(super) struct Scribe {
    files: Files,
    options: Options,
    tape: Tape,
    streams: BTreeMap<u64, Stream>,
    /// Bytes that were left out here.
    lost: u64,
}

impl Scribe {
    pub(super) fn begin(mut files: Files, options: Options, now: Duration) -> io::Result<Self> {
        let tape = Tape::begin(&mut files, &options, now)?;
        Ok(Self { files, options, tape, streams: BTreeMap::new(), lost: 0 })
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.tape.path()
    }

    pub(super) fn tell(&self, status: &mut Status) {
        self.tape.tell(status);
        status.lost_bytes = self.lost;
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.tape.flush()
    }

    pub(super) fn write(&mut self, entry: Entry) -> io::Result<()> {
        let Entry { stream: id, at, what } = entry;
        self.rotate(at)?;
        if let What::Opened { port, client, instrument } = what {
            let mut stream = Stream::new(port, client, instrument);
            stream.open(&mut self.tape, at, "")?;
            self.streams.insert(id, stream);
        } else if let Some(stream) = self.streams.get_mut(&id)
            && stream.happened(&mut self.tape, at, what)?
        {
            self.streams.remove(&id);
        }
        Ok(())
    }

    /// Begins the next file if it is time and no frame is half out. Connections that are open
    /// begin in it as well, so that it stands for itself.
    fn rotate(&mut self, at: Duration) -> io::Result<()> {
        let (length, age) = (self.tape.length(), self.tape.age(at));
        if !self.files.is_due(length, age) {
            return Ok(());
        }
        let between = self.streams.values().all(Stream::is_between);
        if !between && !self.files.is_due(length / 2, age / 2) {
            return Ok(());
        }
        self.tape.next(&mut self.files, &self.options, at)?;
        for stream in self.streams.values_mut() {
            self.lost += stream.continue_in(&mut self.tape, at)?;
        }
        Ok(())
    }
}
