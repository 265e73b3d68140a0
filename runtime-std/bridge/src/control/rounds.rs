//! One round of the control side: every socket gets its turn, and none more than its share. So no
//! client, and not the instrument either, keeps the others waiting. What `wait.rs` does comes before
//! each round: the events of all sockets are taken, and new clients are accepted.

use super::ControlTask;
use super::socket::ControlSocket;
use crate::router::{ClientId, Router};
use flamingo_protocol_core::time::Instant;

/// The most bytes read from one client in a round: 16 frames. A frame takes about 3 µs, so that a round
/// takes about 3 ms if 64 clients send as fast as they can.
const CLIENT_READ: usize = 2 * 1024;

/// The most bytes read from the instrument in a round: 128 frames, or 0.4 ms.
pub(super) const INSTRUMENT_READ: usize = 16 * 1024;

/// The most bytes given to the operating system in one write: it copies them in about 10 µs.
pub(super) const WRITE_CHUNK: usize = 64 * 1024;

/// The most writes to the instrument after the bytes of one client were read: at most as many as the
/// frames that were read. A write takes about 5 µs.
pub(super) const INSTRUMENT_WRITES: usize = 16;

impl ControlTask {
    /// Reads each socket, and writes what the router has for them. What is late ends after reading: if
    /// this thread had to wait for a processor, the bytes that have come meanwhile are in time.
    pub(super) fn turn(&mut self) {
        if self.instrument.as_ref().is_some_and(ControlSocket::is_readable) {
            self.read_instrument();
        }
        self.read_clients();
        let now = self.clock.now();
        if self.router.poll_timeout().is_some_and(|due| due <= now) {
            self.router.handle_timeout(now);
        }
        self.write_instrument();
        self.deliver();
        if self.router.is_open() {
            self.notify_connected.clear();
        }
    }

    /// Does what the router wants, and writes what it has for the clients.
    fn deliver(&mut self) {
        self.perform_actions();
        self.write_clients();
        self.perform_actions();
    }

    /// Reads each client that may be read, another one first in each round. What a client wants of the
    /// instrument is written before the next client is read, so that a stop waits for nobody.
    fn read_clients(&mut self) {
        let now = self.clock.now();
        let (before, after) = (..self.first_client, self.first_client..);
        let order = self.clients.range(after).chain(self.clients.range(before));
        let order: Vec<_> = order
            .filter(|(_, socket)| socket.is_readable())
            .filter_map(|(id, _)| Some((*id, self.router.read_allowance(now, *id).ok()?)))
            .collect();
        self.first_client = order.first().map_or(0, |(first, _)| first + 1);
        let mut lost = Vec::new();
        for (nth, (id, allowed)) in order.into_iter().enumerate() {
            // An answer, its client and the command that follows it must not wait for a whole round.
            if nth > 0 && self.read_instrument() {
                self.deliver();
            }
            if !self.read_client(id, allowed) {
                lost.push(id);
            }
            self.write_instrument();
        }
        self.close(&lost);
    }

    /// Reads one client, `allowed` bytes at most. Returns `false` if its connection is lost.
    fn read_client(&mut self, id: ClientId, allowed: usize) -> bool {
        let now = self.clock.now();
        let Some(socket) = self.clients.get_mut(&id) else { return true };
        let share = allowed.min(CLIENT_READ).min(self.buffer.len());
        match socket.read(&mut self.buffer[..share]) {
            None => {}
            Some(Ok(0)) => {
                self.router.client_ending(now, id);
                self.router.client_half_closed(id);
            }
            Some(Ok(count)) => self.router.client_input(now, id, &self.buffer[..count]),
            Some(Err(error)) => {
                if let Some(left_out) = self.connections_log.line(now) {
                    tracing::info!(client = id, %error, left_out, "the connection to a client is lost");
                }
                return false;
            }
        }
        true
    }

    /// Writes once to each client that has something to read, and closes those that are done.
    fn write_clients(&mut self) {
        let now = self.clock.now();
        let mut ended = Vec::new();
        for (id, socket) in &mut self.clients {
            if has_output(&self.router, *id, socket) {
                let bytes = self.router.client_output(*id);
                let share = bytes.len().min(WRITE_CHUNK);
                match socket.write(&bytes[..share]) {
                    Ok(count) => self.router.client_wrote(*id, count),
                    Err(error) => {
                        if let Some(left_out) = self.connections_log.line(now) {
                            tracing::info!(
                                client = id, %error, left_out, "the connection to a client is lost"
                            );
                        }
                        ended.push(*id);
                    }
                }
            }
            if self.router.should_close(*id) {
                ended.push(*id);
            }
        }
        self.close(&ended);
    }

    /// When the next round has something to do, whatever happens meanwhile: at once, or when a client
    /// may be read that has sent too fast.
    pub(super) fn next_work(&mut self, now: Instant) -> Option<Instant> {
        let instrument = self.instrument.as_ref();
        let accepts_bytes = instrument.is_some_and(|socket| !socket.write_blocked);
        if instrument.is_some_and(ControlSocket::is_readable)
            || (accepts_bytes && !self.router.upstream_output(now).is_empty())
        {
            return Some(now);
        }
        let mut next = None;
        for (id, socket) in &self.clients {
            if has_output(&self.router, *id, socket) || self.router.should_close(*id) {
                return Some(now);
            }
            if socket.is_readable() {
                match self.router.read_allowance(now, *id) {
                    Ok(_) => return Some(now),
                    Err(from) => next = next.into_iter().chain([from]).min(),
                }
            }
        }
        next
    }
}

/// Whether something can be written to this client.
fn has_output(router: &Router, id: ClientId, socket: &ControlSocket) -> bool {
    !socket.write_blocked && !router.client_output(id).is_empty()
}
