//! Moves bytes between the ports and the protocol core. It does what is possible now and never waits.
//!
//! A UART does not report that its cable was unplugged, not even in the middle of a frame. So an
//! incomplete frame or payload is abandoned when the line was silent for [`LINE_SILENCE`].

use embedded_io::{Read, ReadReady, Write, WriteReady};
use flamingo_protocol_core::{
    Incoming, Output, Responder,
    pump::blocking,
    time::{Duration, Instant},
};

use crate::application::{Application, Relay};
use crate::counters::{Counters, count};

/// After this silence the bridge does not wait for the rest of a frame or a payload.
pub const LINE_SILENCE: Duration = Duration::from_millis(1000);
/// How many bytes are read at once. They are fewer than a frame, so at most one frame ends in them.
const READ_SIZE: usize = 64;

/// A port that does not block: it transfers what is possible now, reports whether it is ready, and reading
/// or writing when it is not is an error.
pub trait Port: Read + ReadReady + Write + WriteReady {}
impl<P: Read + ReadReady + Write + WriteReady> Port for P {}

/// The three ports.
#[derive(Debug)]
pub struct Ports<I, N> {
    /// To the instrument.
    pub instrument: I,
    /// To the host: its commands come in, their answers go out.
    pub host: N,
    /// Unsolicited frames. Input at this port is ignored.
    pub push: N,
}

/// A port whose peer may come and go, and that reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The host.
    Host,
    /// The subscriber at the push port.
    Push,
}

/// The application connected to its ports.
#[derive(Debug)]
pub struct Bridge<'a> {
    application: &'a mut Application,
    /// Decodes the input of the host. The answers go out through an output queue instead.
    host_input: Responder<1>,
    /// When bytes of the instrument were last read.
    instrument_read: Instant,
    /// When bytes of the host were last read.
    host_read: Instant,
}

impl<'a> Bridge<'a> {
    /// Creates a bridge that has read nothing yet.
    pub fn new(application: &'a mut Application) -> Self {
        Self {
            application,
            host_input: Responder::default(),
            instrument_read: Instant::from_micros(0),
            host_read: Instant::from_micros(0),
        }
    }

    /// The counters so far.
    pub fn counters(&self) -> Counters {
        let host_noise = u32::try_from(self.host_input.noise_bytes()).unwrap_or(u32::MAX);
        Counters { host_noise, ..self.application.counters() }
    }

    /// Does what is possible now. Returns whether it moved bytes, so that another call may move more.
    pub fn poll<I: Port, N: Port>(&mut self, now: Instant, ports: &mut Ports<I, N>) -> bool {
        self.handle_timeouts(now);
        let read_host = self.read_host(now, &mut ports.host);
        self.application.take_events(now);
        self.write_instrument(now, &mut ports.instrument);
        let read_instrument = self.read_instrument(now, &mut ports.instrument);
        self.application.take_events(now);
        let Relay { host, push, .. } = &mut self.application.relay;
        let wrote_host = host.transmit(now, &mut ports.host);
        let wrote_push = push.transmit(now, &mut ports.push);
        let discarded = self.discard(&mut ports.push);
        read_host || read_instrument || wrote_host || wrote_push || discarded
    }

    /// A new host or subscriber is connected. Ports that cannot know, such as UARTs, need no call: at the
    /// start, both count as connected.
    pub fn connected(&mut self, now: Instant, side: Side) {
        let Relay { host, push, .. } = &mut self.application.relay;
        match side {
            Side::Host => host.attach(now),
            Side::Push => push.attach(now),
        }
    }

    /// The host or the subscriber has gone. What waits for it is discarded and counted. An incomplete
    /// command or upload of the host is discarded, too, and no answer to it goes to the next host. Call it
    /// when all that came from the host was read: then its last stop still goes to the instrument.
    pub fn disconnected(&mut self, now: Instant, side: Side) {
        let Application { core, relay } = &mut *self.application;
        match side {
            Side::Host => {
                relay.host.detach();
                if self.host_input.abandon_input() != (0, 0) {
                    relay.on_host_abandoned(core, now);
                }
                relay.forget_requests(core, now);
            }
            Side::Push => relay.push.detach(),
        }
    }

    /// Reads the host even if other ports are full, because its input may contain a HALT.
    fn read_host<P: Port>(&mut self, now: Instant, port: &mut P) -> bool {
        if !port.read_ready().unwrap_or(false) {
            return false;
        }
        self.host_read = now;
        let Application { core, relay } = &mut *self.application;
        let each = |incoming: Incoming<'_>| relay.on_host_input(core, now, incoming);
        blocking::receive(port, &mut self.host_input, || now, &mut [0; READ_SIZE], each).is_ok()
    }

    /// Reads the instrument only if both output queues have room.
    fn read_instrument<P: Port>(&mut self, now: Instant, port: &mut P) -> bool {
        let Application { core, relay } = &mut *self.application;
        let room = relay.host.has_room(now, READ_SIZE) && relay.push.has_room(now, READ_SIZE);
        if !room || !port.read_ready().unwrap_or(false) {
            return false;
        }
        self.instrument_read = now;
        let each = |output: Output<'_>| relay.on_instrument_output(output);
        blocking::receive(port, core, || now, &mut [0; READ_SIZE], each).is_ok()
    }

    fn write_instrument<P: Port>(&mut self, now: Instant, port: &mut P) {
        let Application { core, relay } = &mut *self.application;
        while port.write_ready().unwrap_or(false) {
            let payload = |_, offset| relay.upload.bytes_from(offset);
            match blocking::transmit(port, core, || now, payload) {
                Ok(Some(ticket)) => relay.upload.end_sending(ticket),
                // Nothing waits, or the port is full. The next call continues at the same byte.
                Ok(None) | Err(_) => break,
            }
        }
    }

    fn discard<P: Port>(&mut self, port: &mut P) -> bool {
        if !port.read_ready().unwrap_or(false) {
            return false;
        }
        let read = port.read(&mut [0; READ_SIZE]).unwrap_or(0);
        count(&mut self.application.relay.counters.push_ignored, read);
        read > 0
    }

    fn handle_timeouts(&mut self, now: Instant) {
        let Application { core, relay } = &mut *self.application;
        if core.poll_timeout().is_some_and(|(at, _)| at <= now) {
            core.handle_timeout(now);
        }
        let nothing = (0, 0);
        if now.since(self.instrument_read) >= LINE_SILENCE {
            let (held, missing) = core.abandon_input(now);
            if (held, missing) != nothing {
                relay.on_instrument_abandoned(missing);
            }
        }
        if now.since(self.host_read) >= LINE_SILENCE && self.host_input.abandon_input() != nothing {
            relay.on_host_abandoned(core, now);
        }
        relay.watch_instrument(core, now, self.instrument_read);
    }
}
