//! A port in memory: what was put in comes out in pieces of a chosen size, what is written is
//! kept. It can refuse to take bytes, as a broken link does.

use std::collections::VecDeque;

/// Reads and writes at most `piece` bytes at once.
pub struct Port {
    pub incoming: VecDeque<u8>,
    pub written: Vec<u8>,
    pub piece: usize,
    pub flushes: usize,
    pub takes_nothing: bool,
}

impl Port {
    pub fn new(piece: usize, incoming: &[u8]) -> Self {
        Self {
            incoming: incoming.iter().copied().collect(),
            written: Vec::new(),
            piece,
            flushes: 0,
            takes_nothing: false,
        }
    }

    fn give(&mut self, buffer: &mut [u8]) -> usize {
        let len = buffer.len().min(self.piece).min(self.incoming.len());
        for (place, byte) in buffer.iter_mut().zip(self.incoming.drain(..len)) {
            *place = byte;
        }
        len
    }

    fn take(&mut self, bytes: &[u8]) -> usize {
        let len = if self.takes_nothing { 0 } else { bytes.len().min(self.piece) };
        self.written.extend(&bytes[..len]);
        len
    }
}

#[cfg(feature = "embedded-io")]
mod blocking {
    use super::Port;

    impl embedded_io::ErrorType for Port {
        type Error = core::convert::Infallible;
    }

    impl embedded_io::Read for Port {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            Ok(self.give(buffer))
        }
    }

    impl embedded_io::Write for Port {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
            Ok(self.take(bytes))
        }

        fn flush(&mut self) -> Result<(), Self::Error> {
            self.flushes += 1;
            Ok(())
        }
    }
}

#[cfg(feature = "embedded-io-async")]
mod waiting {
    use super::Port;

    // The two crates share one `ErrorType`.
    #[cfg(not(feature = "embedded-io"))]
    impl embedded_io_async::ErrorType for Port {
        type Error = core::convert::Infallible;
    }

    /// Waits once before each piece, so that every await point is passed both ways.
    impl embedded_io_async::Read for Port {
        async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            futures_lite::future::yield_now().await;
            Ok(self.give(buffer))
        }
    }

    impl embedded_io_async::Write for Port {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
            futures_lite::future::yield_now().await;
            Ok(self.take(bytes))
        }

        async fn flush(&mut self) -> Result<(), Self::Error> {
            self.flushes += 1;
            Ok(())
        }
    }
}
