//! A cable between a UART of the emulator and the simulated instrument's control port. A test can pull it
//! out, cut it in the middle of a frame, and put noise on it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};

/// Carries bytes in both directions until it is cut. Dropping it pulls it out.
pub(crate) struct Cable {
    uart: TcpStream,
    instrument: TcpStream,
    /// Held while bytes are written to the UART.
    writing: Arc<Mutex<()>>,
    /// How many more bytes of the instrument pass.
    left: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Cable {
    /// Connects `uart` with the port at `instrument`.
    pub(crate) fn new(uart: TcpStream, instrument: SocketAddr) -> Self {
        let instrument = TcpStream::connect(instrument).expect("it listens");
        instrument.set_nodelay(true).expect("a socket");
        let writing = Arc::new(Mutex::new(()));
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let clone = |socket: &TcpStream| socket.try_clone().expect("a socket");
        let down = {
            let (from, to) = (clone(&instrument), clone(&uart));
            let (writing, left) = (Arc::clone(&writing), Arc::clone(&left));
            spawn(move || carry(from, to, &writing, &left))
        };
        let up = {
            let (from, to) = (clone(&uart), clone(&instrument));
            spawn(move || carry(from, to, &Mutex::new(()), &AtomicUsize::new(usize::MAX)))
        };
        Self { uart, instrument, writing, left, threads: vec![down, up] }
    }

    /// The address by which the instrument knows this connection.
    pub(crate) fn address(&self) -> SocketAddr {
        self.instrument.local_addr().expect("it is connected")
    }

    /// Bytes that the instrument never sent.
    pub(crate) fn noise(&self, bytes: &[u8]) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        (&self.uart).write_all(bytes).expect("it is plugged in");
    }

    /// Cuts the cable after this many more bytes of the instrument; returns when it is cut.
    pub(crate) fn cut_after(mut self, bytes: usize) {
        self.left.store(bytes, SeqCst);
        self.join();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            thread.join().expect("it does not panic");
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // An error: the cable is cut, so its sockets are shut down already.
        let _ = self.uart.shutdown(Shutdown::Both);
        let _ = self.instrument.shutdown(Shutdown::Both);
        self.join();
    }
}

/// Copies bytes until either side closes, or no more bytes may pass.
fn carry(mut from: TcpStream, mut to: TcpStream, writing: &Mutex<()>, left: &AtomicUsize) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
        let passes = count.min(left.load(SeqCst));
        if to.write_all(&bytes[..passes]).is_err() || passes < count {
            break;
        }
        if left.load(SeqCst) != usize::MAX {
            left.fetch_sub(passes, SeqCst);
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
