//! Tests of the bridge with ports in memory and a clock that the test sets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::boxed::Box;
use std::vec::Vec;

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    time::{Duration, Instant},
    wire::{Assembler, Piece},
};

use crate::{Bridge, Counters, LINE_SILENCE, MAX_UPLOAD, PAYLOAD_BUFFER, Ports, REQUEST_TIMEOUT};

/// A port in memory. It accepts `room` more bytes.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) to_read: Vec<u8>,
    pub(crate) written: Vec<u8>,
    pub(crate) room: usize,
}

impl ErrorType for Memory {
    type Error = ErrorKind;
}

impl ReadReady for Memory {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(!self.to_read.is_empty())
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let count = buffer.len().min(self.to_read.len());
        for (to, from) in buffer.iter_mut().zip(self.to_read.drain(..count)) {
            *to = from;
        }
        if count == 0 { Err(ErrorKind::Other) } else { Ok(count) }
    }
}

impl WriteReady for Memory {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.room > 0)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let count = self.room.min(bytes.len());
        self.room -= count;
        self.written.extend(bytes.iter().take(count));
        if count == 0 { Err(ErrorKind::Other) } else { Ok(count) }
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// The bridge and its three ports. A port accepts everything unless a test limits its room.
pub(crate) struct Bench {
    pub(crate) bridge: Bridge<'static>,
    pub(crate) ports: Ports<Memory, Memory>,
    pub(crate) now: Instant,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let port = || Memory { room: usize::MAX, ..Memory::default() };
        let ports = Ports { instrument: port(), host: port(), push: port() };
        let bridge = Bridge::new(Box::leak(Box::default()));
        Self { bridge, ports, now: Instant::from_micros(0) }
    }

    pub(crate) fn run(&mut self) {
        while self.bridge.poll(self.now, &mut self.ports) {}
    }

    /// Lets time pass in steps of 10 ms, as on the board.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now = self.now + Duration::from_millis(10);
            self.run();
        }
    }

    pub(crate) fn host_sends(&mut self, frame: &Frame) {
        self.ports.host.to_read.extend(frame.encode());
        self.run();
    }

    pub(crate) fn instrument_sends(&mut self, frame: &Frame, payload: &[u8]) {
        self.ports.instrument.to_read.extend(frame.encode());
        self.ports.instrument.to_read.extend(payload);
        self.run();
    }

    pub(crate) fn counters(&self) -> Counters {
        self.bridge.counters()
    }
}

/// The messages that were written since the last call. All must be complete.
pub(crate) fn messages(port: &mut Memory) -> Vec<(Frame, Vec<u8>)> {
    let mut found: Vec<(Frame, Vec<u8>)> = Vec::new();
    let mut assembler = Assembler::default();
    let bytes = core::mem::take(&mut port.written);
    let mut rest = &bytes[..];
    while let (consumed, Some(piece)) = assembler.push(rest) {
        rest = &rest[consumed..];
        match piece {
            Piece::Frame { frame, skipped: 0 } => found.push((frame, Vec::new())),
            Piece::Payload { bytes, .. } => found.last_mut().unwrap().1.extend(bytes),
            Piece::Frame { skipped, .. } => panic!("{skipped} bytes of noise"),
        }
    }
    assert_eq!(
        (assembler.held(), assembler.payload_remaining()),
        (0, 0),
        "a message is incomplete"
    );
    found
}

pub(crate) fn frames(port: &mut Memory) -> Vec<Frame> {
    messages(port).into_iter().map(|(frame, _)| frame).collect()
}

pub(crate) fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

pub(crate) fn answer(command: &Frame, value: f64) -> Frame {
    Frame { status: 1, ..command.with_value(value) }
}

pub(crate) fn load() -> Frame {
    Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD)
}

pub(crate) fn halt(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_HALT).with_selector(axis)
}

/// 3 KiB of text.
pub(crate) fn settings() -> Vec<u8> {
    (0..3072_u32).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect()
}

#[test]
fn answers_go_to_the_host_only_pushes_to_the_push_port_only() {
    let mut bench = Bench::new();
    bench.host_sends(&position(1));
    assert_eq!(frames(&mut bench.ports.instrument), [position(1)]);
    let mut push = answer(&position(1), 1.0);
    push.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    bench.instrument_sends(&push, &[]);
    bench.instrument_sends(&answer(&position(1), 2.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&position(1), 2.0)]);
    assert_eq!(frames(&mut bench.ports.push), [push]);
}

#[test]
fn an_answer_that_may_have_been_a_push_goes_to_both() {
    let mut bench = Bench::new();
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(1);
    bench.host_sends(&level);
    bench.instrument_sends(&answer(&level, 0.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&level, 0.0)]);
    assert_eq!(frames(&mut bench.ports.push), [answer(&level, 0.0)]);
}

#[test]
fn a_payload_for_a_slow_host_waits_and_arrives_whole() {
    let mut bench = Bench::new();
    bench.host_sends(&load());
    bench.ports.host.room = 0;
    let reply = answer(&load(), 0.0).with_payload_len(3072);
    bench.instrument_sends(&reply, &settings());
    let waiting = bench.ports.instrument.to_read.len();
    assert!(
        waiting >= 3072 - PAYLOAD_BUFFER,
        "the bridge read more than it has room for: {waiting}"
    );
    for _ in 0..400 {
        bench.ports.host.room = 10;
        bench.pass(Duration::from_millis(10));
    }
    assert_eq!(messages(&mut bench.ports.host), [(reply, settings())]);
    assert_eq!((bench.counters().filler, bench.counters().host_dropped), (0, 0));
}

#[test]
fn a_host_that_reads_nothing_delays_neither_pushes_nor_a_halt() {
    let mut bench = Bench::new();
    bench.host_sends(&load());
    bench.ports.host.room = 0;
    let reply = answer(&load(), 0.0).with_payload_len(3072);
    bench.instrument_sends(&reply, &settings());
    bench.pass(Duration::from_millis(600));
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
    bench.instrument_sends(&idle, &[]);
    assert_eq!(frames(&mut bench.ports.push), [idle]);
    bench.ports.instrument.written.clear();
    bench.host_sends(&halt(2));
    assert_eq!(frames(&mut bench.ports.instrument), [halt(2)]);

    // The host is plugged in again. It finds the frame after the payload that it missed.
    bench.instrument_sends(&answer(&halt(2), 0.0), &[]);
    bench.ports.host.room = usize::MAX;
    bench.run();
    let received = messages(&mut bench.ports.host);
    assert_eq!(received.len(), 2);
    assert!(received[0].1.starts_with(&settings()[..PAYLOAD_BUFFER / 2]));
    assert_eq!(received[0].1[3000..], [0xFF; 72]);
    assert_eq!(received[1].0, answer(&halt(2), 0.0));
    assert!(bench.counters().filler > 0);
}

#[test]
fn a_payload_that_breaks_off_is_filled_with_non_text_bytes() {
    let mut bench = Bench::new();
    bench.host_sends(&load());
    let reply = answer(&load(), 0.0).with_payload_len(3072);
    bench.instrument_sends(&reply, &settings()[..100]);
    bench.pass(LINE_SILENCE);
    let received = messages(&mut bench.ports.host);
    assert_eq!(received[0].1, [&settings()[..100], &[0xFF; 2972]].concat());
    bench.host_sends(&position(3));
    bench.instrument_sends(&answer(&position(3), 3.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&position(3), 3.0)]);
    assert_eq!(bench.counters().instrument_broke_off, 1);
}

#[test]
fn a_late_answer_does_not_answer_the_next_request() {
    let mut bench = Bench::new();
    bench.host_sends(&position(1));
    bench.pass(REQUEST_TIMEOUT);
    assert_eq!(bench.counters().unanswered, 1);
    assert_eq!(frames(&mut bench.ports.host), [], "the bridge does not answer for the instrument");
    bench.host_sends(&position(1));
    bench.instrument_sends(&answer(&position(1), 1.0), &[]);
    assert_eq!(bench.counters().late, 1);
    // The connection has sent a fence meanwhile. Its answer goes to neither port.
    let sent = frames(&mut bench.ports.instrument);
    assert_eq!(sent, [position(1), position(2), position(1)]);
    bench.instrument_sends(&answer(&position(2), 2.0), &[]);
    bench.instrument_sends(&answer(&position(1), 3.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&position(1), 3.0)]);
    assert_eq!(frames(&mut bench.ports.push), []);
}

#[test]
fn only_a_whole_upload_of_allowed_length_is_sent() {
    let mut bench = Bench::new();
    let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE);
    let payload = settings();
    let fits = save.with_payload_len(3072);
    bench.ports.host.to_read.extend(fits.encode());
    bench.ports.host.to_read.extend(&payload);
    bench.run();
    assert_eq!(messages(&mut bench.ports.instrument), [(fits, payload)]);
    bench.instrument_sends(&answer(&save, 0.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&save, 0.0)]);

    let too_long = u32::try_from(MAX_UPLOAD).unwrap() + 1;
    bench.ports.host.to_read.extend(save.with_payload_len(too_long).encode());
    bench.ports.host.to_read.extend(std::vec![7; MAX_UPLOAD + 1]);
    bench.host_sends(&position(1));
    let received = frames(&mut bench.ports.host);
    assert_eq!((received[0].code, received[0].status, received[0].payload_len), (save.code, 0, 0));
    assert_eq!(
        frames(&mut bench.ports.instrument),
        [position(1)],
        "the payload was read as commands"
    );

    bench.host_sends(&save.with_payload_len(500));
    bench.pass(LINE_SILENCE);
    assert_eq!(frames(&mut bench.ports.host)[0].text(), Ok("upload refused: it broke off"));
    bench.host_sends(&halt(1));
    assert_eq!(frames(&mut bench.ports.instrument), [halt(1)]);
}

#[test]
fn a_stop_is_sent_even_without_room_for_its_answer() {
    let mut bench = Bench::new();
    for number in 0..12 {
        bench.host_sends(&halt(1 + number % 4));
    }
    assert_eq!(frames(&mut bench.ports.instrument).len(), 12);
    assert_eq!(bench.counters().refused, 0);
}

#[test]
fn the_stop_of_a_workflow_passes_a_full_window() {
    let mut bench = Bench::new();
    for number in 0..8 {
        bench.host_sends(&position(1 + number % 4));
    }
    let before = frames(&mut bench.ports.instrument);
    assert!(before.len() < 8, "the others wait");
    let stop = Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP);
    bench.host_sends(&stop);
    assert_eq!(frames(&mut bench.ports.instrument), [stop]);
    bench.instrument_sends(&answer(&stop, 0.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&stop, 0.0)]);
}
