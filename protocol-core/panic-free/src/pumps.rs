//! Both pumps, over ports whose behaviour the optimiser does not know.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use flamingo_protocol_core::{
    Connection, Responder, Ticket,
    pump::{Endpoint, PumpError, asynchronous, blocking},
};

use crate::any::{any, bytes, now, sink};

/// A port that reads and writes any number of bytes, or fails.
struct Port;

impl ErrorType for Port {
    type Error = ErrorKind;
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        sink(buffer);
        any(Ok(0))
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        sink(bytes);
        any(Ok(0))
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        any(Ok(()))
    }
}

/// An async port with the same behaviour, which may also wait.
struct Waiting;

impl ErrorType for Waiting {
    type Error = ErrorKind;
}

impl embedded_io_async::Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, ErrorKind>> {
        sink(buffer);
        poll_fn(|_| any(Poll::Pending))
    }
}

impl embedded_io_async::Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, ErrorKind>> {
        sink(bytes);
        poll_fn(|_| any(Poll::Pending))
    }

    fn flush(&mut self) -> impl Future<Output = Result<(), ErrorKind>> {
        poll_fn(|_| any(Poll::Pending))
    }
}

pub fn all() {
    blocking(any(&mut <Connection as Default>::default()));
    blocking(any(&mut <Responder as Default>::default()));
    waiting(any(&mut <Connection as Default>::default()));
    waiting(any(&mut <Responder as Default>::default()));
}

fn blocking<E: Endpoint>(end: &mut E) {
    let scratch = &mut [0; 64];
    let scratch = any(&mut scratch[..]);
    sink(blocking::receive(&mut Port, end, now, scratch, |out| sink(out)));
    sink(blocking::transmit(&mut Port, any(end), now, payload));
}

fn waiting<E: Endpoint>(end: &mut E) {
    let scratch = &mut [0; 64];
    let scratch = any(&mut scratch[..]);
    finish(asynchronous::receive(&mut Waiting, end, now, scratch, |out| sink(out)));
    finish(asynchronous::transmit(&mut Waiting, any(end), now, payload));
}

fn payload(ticket: Ticket, offset: u32) -> &'static [u8] {
    sink((ticket, offset));
    bytes()
}

/// Polls the future until it ends.
fn finish<T>(future: impl Future<Output = Result<T, PumpError<ErrorKind>>>) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return sink(result);
        }
    }
}
