//! The bridge between ports in memory, on a clock that the test sets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::boxed::Box;
use std::vec::Vec;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    time::{Duration, Instant},
    wire::{Assembler, Piece},
};

use crate::{Bridge, Counters, LINE_SILENCE, NotNow, PAYLOAD, Ports, REQUEST_TIMEOUT, UPLOAD};

/// Takes as many bytes as it is told to.
#[derive(Default)]
struct Memory {
    to_read: Vec<u8>,
    written: Vec<u8>,
    room: usize,
}

impl ErrorType for Memory {
    type Error = NotNow;
}

impl ReadReady for Memory {
    fn read_ready(&mut self) -> Result<bool, NotNow> {
        Ok(!self.to_read.is_empty())
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NotNow> {
        let count = buffer.len().min(self.to_read.len());
        for (to, from) in buffer.iter_mut().zip(self.to_read.drain(..count)) {
            *to = from;
        }
        if count == 0 { Err(NotNow) } else { Ok(count) }
    }
}

impl WriteReady for Memory {
    fn write_ready(&mut self) -> Result<bool, NotNow> {
        Ok(self.room > 0)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, NotNow> {
        let count = self.room.min(bytes.len());
        self.room -= count;
        self.written.extend(bytes.iter().take(count));
        if count == 0 { Err(NotNow) } else { Ok(count) }
    }

    fn flush(&mut self) -> Result<(), NotNow> {
        Ok(())
    }
}

/// The bridge and its three ports, which take everything unless they are told not to.
struct Bench {
    bridge: Bridge<'static>,
    ports: Ports<Memory>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let port = || Memory { room: usize::MAX, ..Memory::default() };
        let ports = Ports { instrument: port(), host: port(), push: port() };
        let bridge = Bridge::new(Box::leak(Box::default()));
        Self { bridge, ports, now: Instant::from_micros(0) }
    }

    fn run(&mut self) {
        while self.bridge.poll(self.now, &mut self.ports) {}
    }

    /// Time passes as the board tells it.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now = self.now + Duration::from_millis(10);
            self.run();
        }
    }

    fn host_sends(&mut self, frame: &Frame) {
        self.ports.host.to_read.extend(frame.encode());
        self.run();
    }

    fn instrument_sends(&mut self, frame: &Frame, payload: &[u8]) {
        self.ports.instrument.to_read.extend(frame.encode());
        self.ports.instrument.to_read.extend(payload);
        self.run();
    }

    fn counters(&self) -> Counters {
        self.bridge.counters()
    }
}

/// Whole messages that were written since it was last asked.
fn messages(port: &mut Memory) -> Vec<(Frame, Vec<u8>)> {
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
    assert_eq!((assembler.held(), assembler.payload_remaining()), (0, 0), "all of them are whole");
    found
}

fn frames(port: &mut Memory) -> Vec<Frame> {
    messages(port).into_iter().map(|(frame, _)| frame).collect()
}

fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

fn answer(command: &Frame, value: f64) -> Frame {
    Frame { status: 1, ..command.with_value(value) }
}

fn load() -> Frame {
    Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD)
}

fn halt(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_HALT).with_selector(axis)
}

/// 3 KiB of text.
fn settings() -> Vec<u8> {
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
    let waits = bench.ports.instrument.to_read.len();
    assert!(waits >= 3072 - PAYLOAD, "no more is taken than fits: {waits}");
    for _ in 0..400 {
        bench.ports.host.room = 10;
        bench.pass(Duration::from_millis(10));
    }
    assert_eq!(messages(&mut bench.ports.host), [(reply, settings())]);
    assert_eq!((bench.counters().filler, bench.counters().host_dropped), (0, 0));
}

#[test]
fn a_host_that_takes_nothing_holds_up_neither_pushes_nor_a_halt() {
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

    // It is plugged in again: the frame behind the payload that it missed is found.
    bench.instrument_sends(&answer(&halt(2), 0.0), &[]);
    bench.ports.host.room = usize::MAX;
    bench.run();
    let told = messages(&mut bench.ports.host);
    assert_eq!(told.len(), 2);
    assert!(told[0].1.starts_with(&settings()[..PAYLOAD / 2]));
    assert_eq!(told[0].1[3000..], [0xFF; 72]);
    assert_eq!(told[1].0, answer(&halt(2), 0.0));
    assert!(bench.counters().filler > 0);
}

#[test]
fn a_payload_that_breaks_off_is_filled_with_non_text_bytes() {
    let mut bench = Bench::new();
    bench.host_sends(&load());
    let reply = answer(&load(), 0.0).with_payload_len(3072);
    bench.instrument_sends(&reply, &settings()[..100]);
    bench.pass(LINE_SILENCE);
    let told = messages(&mut bench.ports.host);
    assert_eq!(told[0].1, [&settings()[..100], &[0xFF; 2972]].concat());
    bench.host_sends(&position(3));
    bench.instrument_sends(&answer(&position(3), 3.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&position(3), 3.0)]);
    assert_eq!(bench.counters().instrument_broke_off, 1);
}

#[test]
fn a_late_answer_is_not_the_next_requests_answer() {
    let mut bench = Bench::new();
    bench.host_sends(&position(1));
    bench.pass(REQUEST_TIMEOUT);
    assert_eq!(bench.counters().unanswered, 1);
    assert_eq!(frames(&mut bench.ports.host), [], "what is not answered, is not answered");
    bench.host_sends(&position(1));
    bench.instrument_sends(&answer(&position(1), 1.0), &[]);
    assert_eq!(bench.counters().late, 1);
    // A harmless question was asked meanwhile; its answer is for neither port.
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

    let too_long = u32::try_from(UPLOAD).unwrap() + 1;
    bench.ports.host.to_read.extend(save.with_payload_len(too_long).encode());
    bench.ports.host.to_read.extend(std::vec![7; UPLOAD + 1]);
    bench.host_sends(&position(1));
    let told = frames(&mut bench.ports.host);
    assert_eq!((told[0].code, told[0].status, told[0].payload_len), (save.code, 0, 0));
    assert_eq!(frames(&mut bench.ports.instrument), [position(1)], "its bytes are no commands");

    bench.host_sends(&save.with_payload_len(500));
    bench.pass(LINE_SILENCE);
    assert_eq!(frames(&mut bench.ports.host)[0].text(), Ok("upload refused: it broke off"));
    bench.host_sends(&halt(1));
    assert_eq!(frames(&mut bench.ports.instrument), [halt(1)]);
}

#[test]
fn a_stop_is_sent_even_when_nobody_can_be_told_its_answer() {
    let mut bench = Bench::new();
    for number in 0..12 {
        bench.host_sends(&halt(1 + number % 4));
    }
    assert_eq!(frames(&mut bench.ports.instrument).len(), 12);
    assert_eq!(bench.counters().refused, 0);
}
