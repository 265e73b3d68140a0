//! Accepting clients at the control ports, which `ports.rs` opens. Who may connect is in `access/`; the
//! other ports accept with the adapter's `Acceptor`.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use flamingo_protocol_core::time::Instant;
use mio::net::TcpStream;
use socket2::SockRef;

use super::wait::{Poller, Target};
use flamingo_runtime_std::{LogRate, socket};

/// The most clients that one call accepts, so that other work is not delayed, and so that a client in a
/// reserved slot is read before others take its place.
pub(super) const MAX_ACCEPTS: usize = 4;
/// The most bytes of a client that wait to be read (Linux: twice as many, with its own data). A client
/// above its rate is not read; what it sends meanwhile must neither grow old nor use up the memory that
/// the system has for all connections.
const RECEIVE_BUFFER: usize = 64 * 1024;
/// The pause after accepting has failed, since it would fail again at once.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A control port.
pub(crate) struct ControlListener {
    /// The main control port has no name.
    pub(crate) name: Option<Arc<str>>,
    listener: mio::net::TcpListener,
    /// How long a client may be unreachable.
    lost_after: Duration,
    /// When to accept next. `None`: nobody waits.
    accepts_from: Option<Instant>,
    log: LogRate,
}

impl ControlListener {
    /// Accepts at `listener` from now on.
    pub(crate) fn new(
        name: Option<Arc<str>>,
        listener: TcpListener,
        lost_after: Duration,
    ) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = mio::net::TcpListener::from_std(listener);
        Ok(Self { name, listener, lost_after, accepts_from: None, log: LogRate::default() })
    }

    /// Reports new clients to `poller` from now on. `index` is the position of this listener.
    pub(super) fn register(&mut self, poller: &Poller, index: usize) -> std::io::Result<()> {
        poller.register(&mut self.listener, Target::Listener(index))
    }

    /// Remembers that a client waits. It does not end a pause.
    pub(super) fn note_client(&mut self, now: Instant) {
        self.accepts_from.get_or_insert(now);
    }

    /// Accepts nobody for a short time.
    pub(super) fn pause(&mut self, now: Instant) {
        self.accepts_from = Some(now + PAUSE_AFTER_ERROR.into());
    }

    /// When to call [`Self::accept`] next. `None`: nobody waits.
    pub(super) fn accepts_from(&self) -> Option<Instant> {
        self.accepts_from
    }

    /// Accepts the clients that wait, up to [`MAX_ACCEPTS`].
    pub(super) fn accept(&mut self, now: Instant) -> Vec<(TcpStream, SocketAddr)> {
        let mut accepted = Vec::new();
        if self.accepts_from.is_none_or(|from| now < from) {
            return accepted;
        }
        for _ in 0..MAX_ACCEPTS {
            match self.listener.accept() {
                Ok((stream, address)) => {
                    let (stream, configured) = configure(stream, self.lost_after);
                    // Without these options it is slower, or it is lost later.
                    if let Err(error) = configured {
                        self.log_problem(now, &error, "an option of a socket cannot be set");
                    }
                    accepted.push((stream, address));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.accepts_from = None;
                    break;
                }
                // The client has already left.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                // For example, too many files are open. The clients wait.
                Err(error) => {
                    self.log_problem(now, &error, "a client was not accepted");
                    self.pause(now);
                    break;
                }
            }
        }
        accepted
    }

    fn log_problem(&mut self, now: Instant, error: &std::io::Error, problem: &str) {
        if let Some(left_out) = self.log.line(now) {
            tracing::warn!(%error, left_out, "{problem}");
        }
    }
}

/// Makes the system report a client that is unreachable for `lost_after`, and hold few bytes of it.
fn configure(stream: TcpStream, lost_after: Duration) -> (TcpStream, std::io::Result<()>) {
    let stream = stream.into();
    let options = socket::set_options(&stream, lost_after);
    let timeout = socket::set_user_timeout(&stream, lost_after);
    let buffer = SockRef::from(&stream).set_recv_buffer_size(RECEIVE_BUFFER);
    (TcpStream::from_std(stream), options.and(timeout).and(buffer))
}

#[cfg(test)]
mod tests {
    use std::net;

    use super::*;

    fn listener(lost_after: Duration) -> ControlListener {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        ControlListener::new(None, listener, lost_after).unwrap()
    }

    fn address(port: &ControlListener) -> SocketAddr {
        port.listener.local_addr().unwrap()
    }

    /// Accepts until a client comes.
    fn accept(port: &mut ControlListener, now: Instant) -> Vec<(TcpStream, SocketAddr)> {
        loop {
            port.note_client(now);
            let accepted = port.accept(now);
            if !accepted.is_empty() {
                return accepted;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_client_that_comes_during_a_pause_does_not_end_it() {
        let mut port = listener(Duration::from_secs(12));
        port.pause(Instant::default());
        let end = port.accepts_from().unwrap();
        let _client = net::TcpStream::connect(address(&port)).unwrap();
        for micros in [0, end.as_micros() - 1] {
            let now = Instant::from_micros(micros);
            port.note_client(now);
            assert!(port.accept(now).is_empty());
            assert_eq!(port.accepts_from(), Some(end));
        }
        assert_eq!(accept(&mut port, end).len(), 1);
    }

    #[test]
    fn a_client_is_accepted_although_an_option_cannot_be_set() {
        // The settings refuse such a time; the operating system does, too.
        let mut port = listener(Duration::from_secs(u64::MAX));
        let _client = net::TcpStream::connect(address(&port)).unwrap();
        assert_eq!(accept(&mut port, Instant::default()).len(), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_unreachable_client_is_lost_after_the_configured_time() {
        let mut port = listener(Duration::from_secs(12));
        let _client = net::TcpStream::connect(address(&port)).unwrap();
        let accepted = accept(&mut port, Instant::default());
        let socket = SockRef::from(&accepted[0].0);
        let [first, every] = [socket.tcp_keepalive_time(), socket.tcp_keepalive_interval()];
        let probes = socket.tcp_keepalive_retries().unwrap();
        assert_eq!(first.unwrap() + every.unwrap() * probes, Duration::from_secs(12));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(12)));
    }

    #[test]
    fn the_system_holds_few_bytes_of_a_client() {
        let mut port = listener(Duration::from_secs(12));
        let mut client = net::TcpStream::connect(address(&port)).unwrap();
        let accepted = accept(&mut port, Instant::default());
        SockRef::from(&client).set_send_buffer_size(RECEIVE_BUFFER).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = std::io::Write::write(&mut client, &[0; 4096]) {
            sent += count;
        }
        // The buffers of both sides, each twice as large as asked for.
        assert!(sent <= 4 * RECEIVE_BUFFER, "{sent} bytes");
        drop(accepted);
    }
}
