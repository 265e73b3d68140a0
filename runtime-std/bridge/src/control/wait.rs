//! Waiting: until a socket is ready, the connection to the instrument is made, a request arrives, or a
//! deadline of the router is due.

use std::future::Future;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use smol::stream::Stream;
use smol::{Async, Timer, future};

use super::socket::ControlSocket;
use super::{ControlRequest, ControlTask};

/// What has happened besides sockets that became ready and deadlines.
#[derive(Default)]
struct Wakeup {
    accept: bool,
    connected: Option<Async<TcpStream>>,
    request: Option<ControlRequest>,
}

impl ControlTask {
    /// Waits until there is something to do, and handles what is not reading or writing.
    pub(super) async fn wait(&mut self) {
        let due = self.router.poll_timeout().into_iter().chain(self.stop_deadline).min();
        let mut timer = due.and_then(|due| self.clock.moment(due)).map(Timer::at);
        let mut wakeup = Wakeup::default();
        future::poll_fn(|context| self.poll(context, timer.as_mut(), &mut wakeup)).await;
        if wakeup.accept {
            self.accept();
        }
        if let Some(stream) = wakeup.connected {
            self.instrument_connected(stream);
        }
        if let Some(request) = wakeup.request {
            self.handle_request(request);
        }
    }

    fn instrument_connected(&mut self, stream: Async<TcpStream>) {
        self.connecting = None;
        match stream.get_ref().peer_addr() {
            Ok(address) => {
                let socket = self.instrument.insert(ControlSocket::new(stream, address, None));
                if let Some(recorder) = &self.link.recorder {
                    socket.record(recorder);
                }
                self.router.upstream_opened(self.clock.now());
            }
            Err(_) => self.connect(true),
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        timer: Option<&mut Timer>,
        wakeup: &mut Wakeup,
    ) -> Poll<()> {
        for listener in &mut self.listeners {
            wakeup.accept |= listener.poll(context);
        }
        let mut ready = wakeup.accept;
        ready |= self.instrument.as_mut().is_some_and(|socket| socket.poll(context));
        for socket in self.clients.values_mut() {
            ready |= socket.poll(context);
        }
        if let Some(task) = &mut self.connecting
            && let Poll::Ready(stream) = Pin::new(task).poll(context)
        {
            wakeup.connected = Some(stream);
            ready = true;
        }
        if self.stop_deadline.is_none()
            && let Poll::Ready(request) = self.requests.as_mut().poll_next(context)
        {
            // The bridge was dropped, so that nobody could stop the task later: stop now.
            wakeup.request = Some(request.unwrap_or(ControlRequest::Stop));
            ready = true;
        }
        ready |= timer.is_some_and(|timer| Pin::new(timer).poll(context).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }
}
