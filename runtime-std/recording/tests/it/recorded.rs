//! What the tests share: recorders, a relay, and the events in a file.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, image::ImageHeader};
use flamingo_recording::capture::{Capture, CaptureEvent, EventKind};
use flamingo_recording::relay::{Relay, RelayOptions};
use flamingo_recording::{Port, Recorder, RecorderOptions, Side, Tap};

/// A relay in front of an instrument.
pub(crate) fn relay(instrument: SocketAddr, recorder: Recorder) -> Relay {
    let options = RelayOptions::new(([127, 0, 0, 1], 0).into(), instrument.to_string())
        .connect_timeout(Duration::from_secs(10));
    Relay::start(&options, || Ok(recorder)).unwrap()
}

pub(crate) fn recorder(file: &Path, pixels: bool) -> Recorder {
    Recorder::to_file(file, RecorderOptions::default().pixels(pixels)).unwrap()
}

pub(crate) fn events(file: &Path) -> Vec<CaptureEvent> {
    Capture::open(file).unwrap().map(Result::unwrap).collect()
}

/// The events of that side on the connections of that port, without their times.
pub(crate) fn kinds(file: &Path, port: Port, from: Side) -> Vec<EventKind> {
    let events = events(file).into_iter();
    let of_it = events.filter(|event| event.connection.port == port && event.from == from);
    of_it.map(|event| event.kind).collect()
}

pub(crate) fn frames(kinds: &[EventKind]) -> Vec<(Frame, Vec<u8>)> {
    let frame = |kind: &EventKind| match kind {
        EventKind::Message { message, .. } => Some((message.frame, message.payload.clone())),
        _ => None,
    };
    kinds.iter().filter_map(frame).collect()
}

/// A connection, without sockets.
pub(crate) fn open(recorder: &Recorder, port: Port) -> [Tap; 2] {
    recorder.open(port, "10.0.0.7:4000".parse().unwrap(), "10.0.0.5:53717".parse().unwrap())
}

/// Frames that differ in one field.
pub(crate) fn numbered(number: i32) -> Frame {
    let mut frame = Frame::new(CommandCode::UI_SET_GAUGE_VALUE);
    frame.int32_data = [number, 7, 0];
    frame
}

pub(crate) fn image(number: i32, side: u32) -> Vec<u8> {
    let size = 2 * side * side;
    let (index_start, index_stop) = (number, number);
    let header = ImageHeader {
        size,
        width: side,
        height: side,
        index_start,
        index_stop,
        ..ImageHeader::default()
    };
    let pixel = number.to_le_bytes()[0];
    header.encode().into_iter().chain(std::iter::repeat_n(pixel, size as usize)).collect()
}

/// How many bytes are missing in the recording by this event.
pub(crate) fn hole(kind: &EventKind) -> u64 {
    if let EventKind::Hole { bytes } = kind { *bytes } else { 0 }
}
