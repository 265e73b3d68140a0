//! Anonymizes the events of connections before they become packets. What is kept, and what stands in the
//! place of the rest, is decided by `scrub.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use flamingo_protocol_core::image::HEADER_LEN;

use super::super::comments::assemblers;
use super::super::scrub::{FILLER, Hosts, StreamScrubber, Times, note_of_end};
use super::super::{Port, Side};
use super::tap::TapEvent;
use super::{Entry, HostTime};

/// Anonymizes all connections of a recording.
#[derive(Debug, Default)]
pub(super) struct Anonymizer {
    times: Times,
    hosts: Hosts,
    connections: BTreeMap<u64, Connection>,
    last: Option<HostTime>,
}

#[derive(Debug)]
struct Connection {
    port: Port,
    scrubbers: [StreamScrubber; 2],
    /// Bytes that were left out before the next bytes of each side.
    missing: [u64; 2],
    finished: [bool; 2],
}

impl Connection {
    fn new(port: Port) -> Self {
        Self {
            port,
            scrubbers: assemblers().map(StreamScrubber::new),
            missing: [0; 2],
            finished: [false; 2],
        }
    }

    /// The header of an image is written unchanged. Other bytes of an image stream are a part of a
    /// header, or of an image without its pixels: they must not look like a header.
    fn is_image_stream(&self, from: Side) -> bool {
        self.port != Port::Control && from == Side::Instrument
    }

    /// Gives up a frame that has begun. Returns the bytes that stand for it.
    fn give_up(&mut self, from: Side) -> Option<TapEvent> {
        let [client, instrument] = assemblers();
        let fresh = if from == Side::Client { client } else { instrument };
        let bytes = self.scrubbers[from as usize].give_up(fresh);
        self.as_event(from, bytes)
    }

    fn take(&mut self, from: Side, bytes: &[u8]) -> Option<TapEvent> {
        let bytes = if self.is_image_stream(from) {
            vec![FILLER; bytes.len().min(HEADER_LEN - 1)]
        } else {
            self.scrubbers[from as usize].push(bytes)
        };
        self.as_event(from, bytes)
    }

    fn as_event(&mut self, from: Side, bytes: Vec<u8>) -> Option<TapEvent> {
        if bytes.is_empty() {
            return None;
        }
        let missing = std::mem::take(&mut self.missing[from as usize]);
        Some(TapEvent::Bytes { from, bytes: Bytes::from(bytes), missing })
    }

    /// Counts missing bytes. A frame that has begun is given up.
    fn skip(&mut self, from: Side, missing: u64) -> Option<TapEvent> {
        if missing == 0 {
            return None;
        }
        let rest = self.give_up(from);
        self.missing[from as usize] += missing;
        rest
    }
}

impl Anonymizer {
    /// The time that stands for a time of the recording.
    pub(super) fn time(&mut self, at: Duration) -> Duration {
        self.times.moved(at)
    }

    /// The events that stand for an event. Comments are left out: those about frames are written
    /// again, from the frames that are kept.
    pub(super) fn take(&mut self, entry: Entry) -> Vec<Entry> {
        let Entry { connection: number, time, event } = entry;
        let time = HostTime { at: self.time(time.at), ..time };
        self.last = Some(time);
        if let TapEvent::Opened { port, client, instrument, note } = event {
            self.connections.insert(number, Connection::new(port));
            let [client, instrument] = [client, instrument].map(|end| self.hosts.address(end));
            let event = TapEvent::Opened { port, client, instrument, note };
            return vec![Entry { connection: number, time, event }];
        }
        if let TapEvent::ClockSeen { .. } = event {
            return vec![Entry { connection: number, time, event }];
        }
        let Some(connection) = self.connections.get_mut(&number) else { return Vec::new() };
        let events = match event {
            TapEvent::Opened { .. } | TapEvent::ClockSeen { .. } => [None, None, None],
            TapEvent::Hole { from, missing } => {
                let rest = connection.give_up(from);
                let missing = missing + std::mem::take(&mut connection.missing[from as usize]);
                let hole = (missing > 0).then_some(TapEvent::Hole { from, missing });
                [rest, hole, None]
            }
            TapEvent::Bytes { from, bytes, missing } => {
                [connection.skip(from, missing), connection.take(from, &bytes), None]
            }
            TapEvent::Image { header, missing, .. } => {
                let before = connection.skip(Side::Instrument, missing);
                [before, connection.as_event(Side::Instrument, header.encode().into()), None]
            }
            TapEvent::NoImage { missing, .. } => {
                let before = connection.skip(Side::Instrument, missing);
                [before, connection.as_event(Side::Instrument, vec![FILLER; HEADER_LEN]), None]
            }
            TapEvent::Finished { from, missing, note } => {
                let rest = connection.skip(from, missing);
                let rest = rest.or_else(|| connection.give_up(from));
                let missing = std::mem::take(&mut connection.missing[from as usize]);
                connection.finished[from as usize] = true;
                if connection.finished == [true; 2] {
                    self.connections.remove(&number);
                }
                [rest, None, Some(TapEvent::Finished { from, missing, note: note_of_end(&note) })]
            }
            TapEvent::Reset { by, missing, note } => {
                let other = connection.give_up(by.other());
                let rest = connection.skip(by, missing).or_else(|| connection.give_up(by));
                let missing = std::mem::take(&mut connection.missing[by as usize]);
                self.connections.remove(&number);
                [other, rest, Some(TapEvent::Reset { by, missing, note: note_of_end(&note) })]
            }
        };
        let entry = |event| Entry { connection: number, time, event };
        events.into_iter().flatten().map(entry).collect()
    }

    /// The recording is over: the frames that have begun are given up.
    pub(super) fn end(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let Some(time) = self.last else { return entries };
        for (number, connection) in &mut self.connections {
            let rests = [Side::Client, Side::Instrument].map(|side| connection.give_up(side));
            let entry = |event| Entry { connection: *number, time, event };
            entries.extend(rests.into_iter().flatten().map(entry));
        }
        self.connections.clear();
        entries
    }
}
