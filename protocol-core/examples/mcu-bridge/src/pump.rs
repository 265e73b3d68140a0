//! Bytes between the ports and the protocol core. It does what can be done now and never waits.
//!
//! A UART has no connection: nobody says that a cable was pulled in the middle of a frame. So what
//! has begun and falls silent is given up after [`LINE_SILENCE`].

use core::fmt;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use flamingo_protocol_core::{
    Incoming, Output, Responder,
    pump::blocking,
    time::{Duration, Instant},
};

use crate::application::{Application, Desk};
use crate::counters::{Counters, count};

/// After so long a silence the rest of a frame or a payload is not expected any more.
pub const LINE_SILENCE: Duration = Duration::from_millis(1000);
/// Bytes that are read at once. Fewer than a frame: then at most one frame ends in them.
const PIECE: usize = 64;

/// A port has nothing to read, or no room to write. Ask whether it is ready first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotNow;

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the port is not ready")
    }
}

impl core::error::Error for NotNow {}

impl embedded_io::Error for NotNow {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}

/// A port that reads and writes what it can and tells whether it can.
pub trait Port: Read<Error = NotNow> + ReadReady + Write + WriteReady {}
impl<P: Read<Error = NotNow> + ReadReady + Write + WriteReady> Port for P {}

/// The three ports.
#[derive(Debug)]
pub struct Ports<P> {
    /// To the instrument.
    pub instrument: P,
    /// From the host: its commands, and their answers.
    pub host: P,
    /// What nobody asked for. Nothing is expected to come in.
    pub push: P,
}

/// The application at its ports.
#[derive(Debug)]
pub struct Bridge<'a> {
    application: &'a mut Application,
    /// What the host's bytes turn out to be. Its answers go out elsewhere.
    ears: Responder<1>,
    instrument_heard: Instant,
    host_heard: Instant,
}

impl<'a> Bridge<'a> {
    /// Nothing has come in yet.
    pub fn new(application: &'a mut Application) -> Self {
        Self {
            application,
            ears: Responder::default(),
            instrument_heard: Instant::from_micros(0),
            host_heard: Instant::from_micros(0),
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        let host_noise = u32::try_from(self.ears.noise_bytes()).unwrap_or(u32::MAX);
        Counters { host_noise, ..self.application.counters() }
    }

    /// Does what can be done now. Gives whether it is worth while to call it again at once.
    pub fn poll<P: Port>(&mut self, now: Instant, ports: &mut Ports<P>) -> bool {
        self.keep_time(now);
        let heard_host = self.hear_host(now, &mut ports.host);
        self.application.take_events(now);
        self.tell_instrument(now, &mut ports.instrument);
        let heard_instrument = self.hear_instrument(now, &mut ports.instrument);
        self.application.take_events(now);
        let Desk { host, push, .. } = &mut self.application.desk;
        let told_host = host.transmit(now, &mut ports.host);
        let told_push = push.transmit(now, &mut ports.push);
        let ignored = self.ignore(&mut ports.push);
        heard_host || heard_instrument || told_host || told_push || ignored
    }

    /// Always, whatever waits: a HALT may be in it.
    fn hear_host<P: Port>(&mut self, now: Instant, port: &mut P) -> bool {
        if !port.read_ready().unwrap_or(false) {
            return false;
        }
        self.host_heard = now;
        let Application { core, desk } = &mut *self.application;
        let each = |incoming: Incoming<'_>| desk.host_said(core, now, incoming);
        blocking::receive(port, &mut self.ears, || now, &mut [0; PIECE], each).is_ok()
    }

    /// Only as much as there is room for where it goes.
    fn hear_instrument<P: Port>(&mut self, now: Instant, port: &mut P) -> bool {
        let Application { core, desk } = &mut *self.application;
        let room = desk.host.takes(now, PIECE) && desk.push.takes(now, PIECE);
        if !room || !port.read_ready().unwrap_or(false) {
            return false;
        }
        self.instrument_heard = now;
        let each = |output: Output<'_>| desk.instrument_said(output);
        blocking::receive(port, core, || now, &mut [0; PIECE], each).is_ok()
    }

    fn tell_instrument<P: Port>(&mut self, now: Instant, port: &mut P) {
        let Application { core, desk } = &mut *self.application;
        while port.write_ready().unwrap_or(false) {
            let payload = |_, offset| desk.upload.from(offset);
            match blocking::transmit(port, core, || now, payload) {
                Ok(Some(ticket)) => desk.upload.is_out(ticket),
                // Nothing waits; or the port is full, and goes on where it stopped.
                Ok(None) | Err(_) => break,
            }
        }
    }

    fn ignore<P: Port>(&mut self, port: &mut P) -> bool {
        if !port.read_ready().unwrap_or(false) {
            return false;
        }
        let read = port.read(&mut [0; PIECE]).unwrap_or(0);
        count(&mut self.application.desk.counters.push_ignored, read);
        read > 0
    }

    fn keep_time(&mut self, now: Instant) {
        let Application { core, desk } = &mut *self.application;
        if core.poll_timeout().is_some_and(|(at, _)| at <= now) {
            core.handle_timeout(now);
        }
        let nothing = (0, 0);
        if now.since(self.instrument_heard) >= LINE_SILENCE {
            let (held, missing) = core.abandon_input(now);
            if (held, missing) != nothing {
                desk.instrument_broke_off(missing);
            }
        }
        if now.since(self.host_heard) >= LINE_SILENCE && self.ears.abandon_input() != nothing {
            desk.host_broke_off(core, now);
        }
    }
}
