//! A UART as the program sees it: it takes received bytes out of one queue and puts the bytes to send
//! into another. The interrupt's side of the queues is in `uart.rs`.

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use heapless::spsc::{Consumer, Producer};

use crate::uart::{UartSide, with_side};

/// The program's side of a UART. It does not block: with nothing to read, or no room to write, reading or
/// writing is an error, and `read_ready` and `write_ready` tell beforehand.
pub struct UartPort {
    number: usize,
    received: Consumer<'static, u8>,
    to_send: Producer<'static, u8>,
}

impl UartPort {
    /// The port of UART `number`, with the ends of its queues that the program has.
    pub(crate) fn new(
        number: usize,
        received: Consumer<'static, u8>,
        to_send: Producer<'static, u8>,
    ) -> Self {
        Self { number, received, to_send }
    }
}

impl ErrorType for UartPort {
    type Error = ErrorKind;
}

impl ReadReady for UartPort {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.received.ready())
    }
}

impl Read for UartPort {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let mut count = 0;
        for (to, from) in buffer.iter_mut().zip(core::iter::from_fn(|| self.received.dequeue())) {
            *to = from;
            count += 1;
        }
        with_side(self.number, UartSide::resume_receive);
        if count == 0 { Err(ErrorKind::Other) } else { Ok(count) }
    }
}

impl WriteReady for UartPort {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.to_send.ready())
    }
}

impl Write for UartPort {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let sent = bytes.iter().take_while(|byte| self.to_send.enqueue(**byte).is_ok()).count();
        with_side(self.number, UartSide::service);
        if sent == 0 { Err(ErrorKind::Other) } else { Ok(sent) }
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(()) // the interrupts send the queue
    }
}
