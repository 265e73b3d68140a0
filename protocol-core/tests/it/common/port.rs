//! A port in memory. A test reads its bytes in pieces of a chosen size, and the port stores the
//! written bytes. It can accept no bytes, as a broken link does, and it can fail after some pieces.

use std::collections::VecDeque;

/// Reads and writes at most `piece` bytes at once.
pub(crate) struct Port {
    pub(crate) incoming: VecDeque<u8>,
    pub(crate) written: Vec<u8>,
    pub(crate) piece: usize,
    pub(crate) flushes: usize,
    pub(crate) takes_nothing: bool,
    /// The number of pieces that it moves before it fails.
    pub(crate) pieces: usize,
    /// After these pieces an async port waits instead of failing.
    pub(crate) waits: bool,
}

/// The error of a port that moves nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("out of order")
    }
}

impl std::error::Error for Broken {}

impl Port {
    pub(crate) fn new(piece: usize, incoming: &[u8]) -> Self {
        Self {
            incoming: incoming.iter().copied().collect(),
            written: Vec::new(),
            piece,
            flushes: 0,
            takes_nothing: false,
            pieces: usize::MAX,
            waits: false,
        }
    }

    fn give(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        self.pieces = self.pieces.checked_sub(1).ok_or(Broken)?;
        let len = buffer.len().min(self.piece).min(self.incoming.len());
        for (place, byte) in buffer.iter_mut().zip(self.incoming.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        self.pieces = self.pieces.checked_sub(1).ok_or(Broken)?;
        let len = if self.takes_nothing { 0 } else { bytes.len().min(self.piece) };
        self.written.extend(&bytes[..len]);
        Ok(len)
    }

    fn done(&mut self) -> Result<(), Broken> {
        self.flushes += 1;
        if self.pieces == 0 { Err(Broken) } else { Ok(()) }
    }
}

#[cfg(feature = "embedded-io")]
mod blocking {
    use super::{Broken, Port};

    impl embedded_io::Error for Broken {
        fn kind(&self) -> embedded_io::ErrorKind {
            embedded_io::ErrorKind::Other
        }
    }

    impl embedded_io::ErrorType for Port {
        type Error = Broken;
    }

    impl embedded_io::Read for Port {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
            self.give(buffer)
        }
    }

    impl embedded_io::Write for Port {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
            self.take(bytes)
        }

        fn flush(&mut self) -> Result<(), Broken> {
            self.done()
        }
    }
}

#[cfg(feature = "embedded-io-async")]
mod waiting {
    use super::{Broken, Port};

    // `embedded-io` and `embedded-io-async` share these traits.
    #[cfg(not(feature = "embedded-io"))]
    impl embedded_io_async::Error for Broken {
        fn kind(&self) -> embedded_io_async::ErrorKind {
            embedded_io_async::ErrorKind::Other
        }
    }

    #[cfg(not(feature = "embedded-io"))]
    impl embedded_io_async::ErrorType for Port {
        type Error = Broken;
    }

    impl Port {
        /// Waits once before each piece, so that each await point is reached both ready and
        /// pending.
        async fn ready(&self) {
            futures_lite::future::yield_now().await;
            if self.pieces == 0 && self.waits {
                std::future::pending::<()>().await;
            }
        }
    }

    impl embedded_io_async::Read for Port {
        async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
            self.ready().await;
            self.give(buffer)
        }
    }

    impl embedded_io_async::Write for Port {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
            self.ready().await;
            self.take(bytes)
        }

        async fn flush(&mut self) -> Result<(), Broken> {
            self.done()
        }
    }
}
