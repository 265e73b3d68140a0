//! Calls on what has state: the assembler and both ends of a control connection, in any state
//! they can be in, alone and through both pumps.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_io::{ErrorKind, ErrorType};
use flamingo_protocol_core::{
    Assembler, Class, Config, Connection, Endpoint, Frame, Instant, Output, Piece, PumpError,
    Responder, Transmit, pump, pump_async,
};

use crate::values::{event, frame, ticket};
use crate::{any, show, sink};

type Client = Connection<16, 32, 16, 8>;
type Device = Responder<16>;

pub(crate) fn all() {
    assembler(&mut any(Assembler::new(any(1))));
    assembler(&mut any(Assembler::for_answers(any(1))));
    client(&mut any(Client::new(any(Config::default()))));
    device(&mut any(Device::new(any(1))));
    pumps(&mut any(Client::default()), |output| heard(&output));
    pumps(&mut any(Device::default()), |incoming| sink(incoming));
}

fn now() -> Instant {
    any(Instant::from_micros(1))
}

fn assembler(assembler: &mut Assembler) {
    match assembler.push(any(&[0])) {
        (taken, Some(Piece::Frame { frame, skipped })) => sink((taken, frame, skipped)),
        (taken, Some(Piece::Payload { bytes, remaining })) => sink((taken, bytes, remaining)),
        (taken, None) => sink(taken),
    }
    sink((assembler.held(), assembler.payload_remaining(), assembler.noise_bytes()));
    sink(assembler.last_rejected());
}

fn heard(output: &Output<'_>) {
    match output {
        Output::Frame(received) => match &received.class {
            Class::Ambiguous { owners } => sink(owners.tickets()),
            Class::Solicited { ticket: of, .. } | Class::Late { ticket: of, .. } => ticket(*of),
            Class::Unsolicited { ours } => sink(*ours),
        },
        Output::Payload { bytes, remaining } => sink((*bytes, *remaining)),
    }
}

/// Everything in any order.
fn client(client: &mut Client) {
    while any(true) {
        let command: Frame = frame();
        match any(0) {
            0 => match client.request(now(), &command, now()) {
                Ok(asked) => sink(client.cancel(now(), any(asked))),
                Err(error) => show(&error),
            },
            1 => sink(client.send(now(), &command)),
            2 => {
                let (taken, output) = client.handle_input(now(), any(&[0]));
                sink(taken);
                if let Some(output) = output {
                    heard(&output);
                }
            }
            3 => written(client.poll_transmit(now())),
            4 => sink(client.transmitted(now(), any(1))),
            5 => client.handle_timeout(now()),
            6 => sink(client.poll_timeout()),
            7 => {
                if let Some(told) = client.poll_event() {
                    event(told);
                }
            }
            8 => sink(client.handle_eof()),
            _ => {
                sink((client.counters(), client.last_rejected(), client.held()));
                sink((client.in_flight(), client.config().window));
            }
        }
    }
}

fn device(device: &mut Device) {
    while any(true) {
        match any(0) {
            0 => sink(device.handle_input(any(&[0]))),
            1 => sink(device.push(&frame())),
            2 => written(device.poll_transmit()),
            3 => sink(device.transmitted(any(1))),
            _ => sink((device.queued(), device.noise_bytes(), device.unfinished())),
        }
    }
}

fn written(shown: Option<Transmit<'_>>) {
    match shown {
        Some(Transmit::Bytes(bytes)) => sink(bytes),
        Some(Transmit::Payload { ticket: of, offset, remaining }) => {
            ticket(of);
            sink((offset, remaining));
        }
        None => {}
    }
}

/// A port that keeps to the contract of `embedded-io`: it reads and writes no more than it is given.
struct Port;

impl ErrorType for Port {
    type Error = ErrorKind;
}

fn moved(at_most: usize) -> Result<usize, ErrorKind> {
    any(Ok(any(1))).map(|count: usize| count.min(at_most))
}

impl embedded_io::Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        moved(buffer.len())
    }
}

impl embedded_io::Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        moved(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        any(Ok(()))
    }
}

impl embedded_io_async::Read for Port {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        moved(buffer.len())
    }
}

impl embedded_io_async::Write for Port {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        moved(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        any(Ok(()))
    }
}

fn pumps<E: Endpoint>(end: &mut E, mut each: impl FnMut(E::Output<'_>)) {
    let mut port = any(Port);
    let mut scratch = [0; 256];
    let scratch: &mut [u8] = any(&mut scratch);
    done(pump::receive(&mut port, end, now, scratch, &mut each));
    done(pump::transmit(&mut port, end, now, |_, _| any(&[])));
    at_once(pump_async::receive(&mut port, end, now, scratch, &mut each));
    at_once(pump_async::transmit(&mut port, end, now, |_, _| any(&[])));
    end.deliver(now(), any(&[0]), each);
}

/// The port never waits, so one poll is all.
fn at_once<T>(future: impl Future<Output = Result<T, PumpError<ErrorKind>>>) {
    let mut context = Context::from_waker(Waker::noop());
    if let Poll::Ready(result) = pin!(future).poll(&mut context) {
        done(result);
    }
}

fn done<T>(result: Result<T, PumpError<ErrorKind>>) {
    match result {
        Ok(value) => sink(value),
        Err(error) => show(&error),
    }
}
