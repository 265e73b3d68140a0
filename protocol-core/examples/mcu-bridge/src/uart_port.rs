//! A UART as the program sees it: it takes received bytes out of one queue and puts the bytes to send
//! into another. The interrupt's side of the queues is in `board.rs`.

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use heapless::spsc::{Consumer, Producer};
use mcu_bridge::NotNow;

use crate::board::{UartSide, with_uart};

/// The program's side of a UART.
pub struct UartPort {
    number: usize,
    received: Consumer<'static, u8>,
    to_send: Producer<'static, u8>,
}

impl UartPort {
    /// The port of UART `number`, with the ends of its queues that the program has.
    pub fn new(
        number: usize,
        received: Consumer<'static, u8>,
        to_send: Producer<'static, u8>,
    ) -> Self {
        Self { number, received, to_send }
    }
}

impl ErrorType for UartPort {
    type Error = NotNow;
}

impl ReadReady for UartPort {
    fn read_ready(&mut self) -> Result<bool, NotNow> {
        Ok(self.received.ready())
    }
}

impl Read for UartPort {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NotNow> {
        let mut count = 0;
        for (to, from) in buffer.iter_mut().zip(core::iter::from_fn(|| self.received.dequeue())) {
            *to = from;
            count += 1;
        }
        with_uart(self.number, UartSide::resume_receive);
        if count == 0 { Err(NotNow) } else { Ok(count) }
    }
}

impl WriteReady for UartPort {
    fn write_ready(&mut self) -> Result<bool, NotNow> {
        Ok(self.to_send.ready())
    }
}

impl Write for UartPort {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, NotNow> {
        let sent = bytes.iter().take_while(|byte| self.to_send.enqueue(**byte).is_ok()).count();
        with_uart(self.number, UartSide::service);
        if sent == 0 { Err(NotNow) } else { Ok(sent) }
    }

    fn flush(&mut self) -> Result<(), NotNow> {
        Ok(()) // the interrupts send the queue
    }
}
