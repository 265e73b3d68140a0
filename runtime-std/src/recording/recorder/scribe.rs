//! What happened on the connections → packets in a file. Begins the next file between two frames.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::super::annotate::{self, ControlNotes, Part};
use super::super::packets::{Does, Flow, MOST};
use super::super::pcapng::PcapNg;
use super::super::{Port, Side};
use super::files::Files;
use super::tap::What;
use super::{Entry, Options, Status};

/// A hole that sequence numbers can say: less than half of them.
const LONGEST_HOLE: u64 = 1 << 30;
/// The payload of packets that carry none.
static NOTHING: Bytes = Bytes::new();

type File = PcapNg<Box<dyn Write + Send>>;

/// A connection that is being recorded.
struct Stream {
    port: Port,
    client: SocketAddr,
    instrument: SocketAddr,
    flow: Flow,
    control: Option<ControlNotes>,
    /// Pixels of the last image that are still to come.
    pixels: u64,
    /// Those that come first are not written any more: the file changed in the middle of them.
    dropped: u64,
    finished: [bool; 2],
}

impl Stream {
    /// The rest of an image that is not written any more comes off. Gives what is missing then.
    fn drop_rest(&mut self, bytes: &mut Bytes, missing: u64) -> u64 {
        self.pixels = self.pixels.saturating_sub(missing + bytes.len() as u64);
        let of_missing = missing.min(self.dropped);
        self.dropped -= of_missing;
        let of_bytes = bytes.len().min(usize::try_from(self.dropped).unwrap_or(usize::MAX));
        bytes.advance(of_bytes);
        self.dropped -= of_bytes as u64;
        missing - of_missing
    }

    /// Whether a file may begin here.
    fn is_between(&self) -> bool {
        self.pixels == 0 && self.control.as_ref().is_none_or(ControlNotes::is_between)
    }
}

pub(super) struct Scribe {
    files: Files,
    options: Options,
    file: File,
    path: Option<PathBuf>,
    streams: BTreeMap<u64, Stream>,
    /// When the file was begun, and how long it is.
    began: Duration,
    length: u64,
    /// Of all files together.
    begun: u64,
    packets: u64,
    bytes: u64,
    /// Bytes that were left out here.
    lost: u64,
    /// Those of the last packet; the next one's go here.
    headers: Vec<u8>,
}

impl Scribe {
    pub(super) fn begin(mut files: Files, options: Options, now: Duration) -> io::Result<Self> {
        let (path, file) = begin(&mut files, &options, now)?;
        Ok(Self {
            files,
            options,
            file,
            path,
            streams: BTreeMap::new(),
            began: now,
            length: 0,
            begun: 1,
            packets: 0,
            bytes: 0,
            lost: 0,
            headers: Vec::new(),
        })
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn tell(&self, status: &mut Status) {
        status.file.clone_from(&self.path);
        (status.files, status.packets, status.bytes) = (self.begun, self.packets, self.bytes);
        status.lost_bytes = self.lost;
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    pub(super) fn write(&mut self, entry: Entry) -> io::Result<()> {
        let Entry { stream: id, at, what } = entry;
        self.rotate(at)?;
        if let What::Opened { port, client, instrument } = what {
            let control = (port == Port::Control).then(ControlNotes::new);
            let flow = Flow::new(client, instrument);
            let mut stream = Stream {
                port,
                client,
                instrument,
                flow,
                control,
                pixels: 0,
                dropped: 0,
                finished: [false; 2],
            };
            self.open(&mut stream, at, "")?;
            self.streams.insert(id, stream);
            return Ok(());
        }
        // It is over.
        let Some(mut stream) = self.streams.remove(&id) else { return Ok(()) };
        let over = self.happened(&mut stream, at, what)?;
        if !over {
            self.streams.insert(id, stream);
        }
        Ok(())
    }

    /// Gives whether the connection is over.
    fn happened(&mut self, stream: &mut Stream, at: Duration, what: What) -> io::Result<bool> {
        match what {
            What::Opened { .. } => {}
            What::Bytes { from, mut bytes, missing } => {
                let missing = stream.drop_rest(&mut bytes, missing);
                self.skip(stream, at, from, missing)?;
                let mut parts = match &mut stream.control {
                    Some(notes) => notes.cut(from, at, &bytes),
                    None => vec![Part { length: bytes.len(), comment: String::new() }],
                };
                if let Some(first) = parts.first_mut() {
                    first.comment = with_hole(missing, &first.comment);
                }
                let mut rest = bytes;
                for Part { length, comment } in parts {
                    let part = rest.split_to(length.min(rest.len()));
                    self.carry(stream, at, from, part, &comment)?;
                }
            }
            What::Image { header, left_out, missing } => {
                self.skip(stream, at, Side::Instrument, missing)?;
                let comment = with_hole(missing, &annotate::image(&header, left_out));
                stream.pixels = if left_out.is_some() { 0 } else { u64::from(header.size) };
                let header = Bytes::copy_from_slice(&header.encode());
                self.carry(stream, at, Side::Instrument, header, &comment)?;
            }
            What::NoImage { bytes, why, missing } => {
                self.skip(stream, at, Side::Instrument, missing)?;
                let comment = with_hole(missing, &format!("no image: {why}"));
                self.carry(stream, at, Side::Instrument, bytes, &comment)?;
            }
            What::Finished { from, missing, note } => {
                self.skip(stream, at, from, missing)?;
                stream.finished[from as usize] = true;
                self.packet(stream, at, from, Does::Finish, &NOTHING, &with_hole(missing, &note))?;
                if stream.finished == [true; 2] {
                    self.packet(stream, at, from.other(), Does::Carry, &NOTHING, "")?;
                }
            }
            What::Reset { by, missing, note } => {
                self.skip(stream, at, by, missing)?;
                self.packet(stream, at, by, Does::Reset, &NOTHING, &with_hole(missing, &note))?;
                return Ok(true);
            }
        }
        Ok(stream.finished == [true; 2])
    }

    /// Bytes of that side that are missing leave a hole in the numbers.
    fn skip(
        &mut self,
        stream: &mut Stream,
        at: Duration,
        from: Side,
        missing: u64,
    ) -> io::Result<()> {
        if missing == 0 {
            return Ok(());
        }
        if let Some(notes) = &mut stream.control {
            notes.skip(from);
        }
        if missing < LONGEST_HOLE {
            stream.flow.skip(from, missing);
            return Ok(());
        }
        // The numbers cannot say so much: it begins anew.
        self.packet(stream, at, from, Does::Reset, &NOTHING, "")?;
        stream.flow = Flow::new(stream.client, stream.instrument);
        self.open(stream, at, "continued behind a hole")
    }

    /// The three packets that begin a connection.
    fn open(&mut self, stream: &mut Stream, at: Duration, comment: &str) -> io::Result<()> {
        self.packet(stream, at, Side::Client, Does::Open, &NOTHING, comment)?;
        self.packet(stream, at, Side::Instrument, Does::Open, &NOTHING, "")?;
        self.packet(stream, at, Side::Client, Does::Carry, &NOTHING, "")
    }

    /// Bytes in as many packets as they need; the comment is the first one's.
    fn carry(
        &mut self,
        stream: &mut Stream,
        at: Duration,
        from: Side,
        mut bytes: Bytes,
        comment: &str,
    ) -> io::Result<()> {
        let mut comment = comment;
        while !bytes.is_empty() {
            let part = bytes.split_to(MOST.min(bytes.len()));
            self.packet(stream, at, from, Does::Carry, &part, comment)?;
            comment = "";
        }
        Ok(())
    }

    fn packet(
        &mut self,
        stream: &mut Stream,
        at: Duration,
        from: Side,
        does: Does,
        payload: &Bytes,
        comment: &str,
    ) -> io::Result<()> {
        stream.flow.headers(from, does, payload, &mut self.headers);
        let length = self.file.packet(stream.port, at, &self.headers, payload, comment)? as u64;
        self.packets += 1;
        self.length += length;
        self.bytes += length;
        Ok(())
    }

    /// Begins the next file if it is time and no frame is half out. Connections that are open
    /// begin in it as well, so that it stands for itself.
    fn rotate(&mut self, at: Duration) -> io::Result<()> {
        let age = at.saturating_sub(self.began);
        if !self.files.is_due(self.length, age) {
            return Ok(());
        }
        let between = self.streams.values().all(Stream::is_between);
        if !between && !self.files.is_due(self.length / 2, age / 2) {
            return Ok(());
        }
        self.file.flush()?;
        let (path, file) = begin(&mut self.files, &self.options, at)?;
        (self.path, self.file) = (path, file);
        (self.began, self.length) = (at, 0);
        self.begun += 1;
        let mut streams = std::mem::take(&mut self.streams);
        for stream in streams.values_mut() {
            stream.flow = Flow::new(stream.client, stream.instrument);
            self.open(stream, at, "continued from the file before")?;
            // Without its header the rest of an image says nothing: the next one is found behind it.
            stream.dropped += std::mem::take(&mut stream.pixels);
            stream.flow.skip(Side::Instrument, stream.dropped);
            self.lost += stream.dropped;
            for from in [Side::Client, Side::Instrument] {
                if stream.finished[from as usize] {
                    self.packet(stream, at, from, Does::Finish, &NOTHING, "")?;
                }
            }
        }
        self.streams = streams;
        Ok(())
    }
}

fn begin(
    files: &mut Files,
    options: &Options,
    now: Duration,
) -> io::Result<(Option<PathBuf>, File)> {
    let (path, writer) = files.next(now)?;
    let mut file = PcapNg::begin(writer, options.pixels, &options.about)?;
    // Also a recording of nothing is one.
    file.flush()?;
    Ok((path, file))
}

/// Says of what is missing how much it is.
fn with_hole(missing: u64, comment: &str) -> String {
    match (missing, comment) {
        (0, _) => comment.to_owned(),
        (_, "") => format!("{missing} bytes before this were not recorded"),
        _ => format!("{comment}; {missing} bytes before this were not recorded"),
    }
}
