//! What the tests of recordings have in common: recorders, a relay, and what a file says.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, ImageHeader};
use flamingo_runtime_std::recording::capture::{Capture, Happening, Said};
use flamingo_runtime_std::recording::relay::{Relay, RelayOptions};
use flamingo_runtime_std::recording::{Options, Port, Recorder, Side, Tap};

/// A relay in front of an instrument.
pub fn relay(instrument: SocketAddr, recorder: Recorder) -> Relay {
    let options = RelayOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        instrument: instrument.to_string(),
        connect_timeout: Duration::from_secs(10),
    };
    Relay::start(&options, || Ok(recorder)).unwrap()
}

pub fn recorder(file: &Path, pixels: bool) -> Recorder {
    Recorder::to_file(file, Options { pixels, ..Options::default() }).unwrap()
}

pub fn happenings(file: &Path) -> Vec<Happening> {
    Capture::open(file).unwrap().map(Result::unwrap).collect()
}

/// What that side said on the connections of that port, one after the other; not when.
pub fn said(file: &Path, port: Port, from: Side) -> Vec<Said> {
    let happenings = happenings(file).into_iter();
    let of_it = happenings.filter(|happening| happening.who.port == port && happening.from == from);
    of_it.map(|happening| happening.said).collect()
}

pub fn frames(said: &[Said]) -> Vec<(Frame, Vec<u8>)> {
    let frame = |said: &Said| match said {
        Said::Frame { frame, payload, .. } => Some((*frame, payload.clone())),
        _ => None,
    };
    said.iter().filter_map(frame).collect()
}

/// A connection, without sockets.
pub fn open(recorder: &Recorder, port: Port) -> [Tap; 2] {
    recorder.open(port, "10.0.0.7:4000".parse().unwrap(), "10.0.0.5:53717".parse().unwrap())
}

/// Frames that differ in one field.
pub fn numbered(number: i32) -> Frame {
    let mut frame = Frame::new(CommandCode::UI_SET_GAUGE_VALUE);
    frame.int32_data = [number, 7, 0];
    frame
}

pub fn image(number: i32, side: u32) -> Vec<u8> {
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

/// How many bytes are missing there.
pub fn hole(said: &Said) -> u64 {
    if let Said::Hole { bytes } = said { *bytes } else { 0 }
}
