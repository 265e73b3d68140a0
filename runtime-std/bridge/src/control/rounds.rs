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
        self.write_instrument(now);
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
    /// instrument is written before so much is read that a stop would have to wait for it, and a stop is
    /// written at once. Until then, what several clients want goes out in one write.
    fn read_clients(&mut self) {
        if self.readable.as_slice().is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut to_read = std::mem::take(&mut self.to_read);
        let readable = self.readable.in_turn(self.first_client);
        to_read.extend(
            readable.filter_map(|id| Some((id, self.router.read_allowance(now, id).ok()?))),
        );
        self.first_client = to_read.first().map_or(0, |(first, _)| first + 1);
        let mut lost = Vec::new();
        let mut bytes = 0;
        for (id, allowed) in to_read.drain(..) {
            // An answer, its client and the command that follows it must not wait for a whole round.
            if bytes >= CLIENT_READ {
                bytes = 0;
                if self.read_instrument() {
                    self.deliver();
                }
            }
            match self.read_client(id, allowed) {
                Ok(count) => bytes += count,
                Err(ConnectionLost) => lost.push(id),
            }
            if bytes >= CLIENT_READ || self.router.has_stop_to_write() {
                self.write_instrument(self.clock.now());
            }
        }
        self.to_read = to_read;
        self.close(&lost);
    }

    /// Reads one client, `allowed` bytes at most. Returns how many bytes came.
    fn read_client(&mut self, id: ClientId, allowed: usize) -> Result<usize, ConnectionLost> {
        let now = self.clock.now();
        let Some(socket) = self.clients.get_mut(&id) else { return Ok(0) };
        let share = allowed.min(CLIENT_READ).min(self.buffer.len());
        let read = socket.read(&mut self.buffer[..share]);
        self.readable.set(id, socket.is_readable());
        match read {
            None => {}
            Some(Ok(0)) => {
                self.ending.push(id);
                self.router.client_ending(now, id);
                self.router.client_half_closed(id);
            }
            Some(Ok(count)) => {
                self.router.client_input(now, id, &self.buffer[..count]);
                return Ok(count);
            }
            Some(Err(error)) => {
                if let Some(left_out) = self.connections_log.line(now) {
                    tracing::info!(client = id, %error, left_out, "the connection to a client is lost");
                }
                return Err(ConnectionLost);
            }
        }
        Ok(0)
    }

    /// Writes once to each client that has something to read, and closes those that are done.
    fn write_clients(&mut self) {
        let mut ended = Vec::new();
        let mut to_write = std::mem::take(&mut self.to_write);
        to_write.extend_from_slice(self.router.clients_to_serve());
        to_write.append(&mut self.ending);
        for id in to_write.drain(..) {
            let Some(socket) = self.clients.get_mut(&id) else { continue };
            if has_output(&self.router, id, socket) {
                let bytes = self.router.client_output(id);
                let share = bytes.len().min(WRITE_CHUNK);
                match socket.write(&bytes[..share]) {
                    Ok(count) => self.router.client_wrote(id, count),
                    Err(error) => {
                        if let Some(left_out) = self.connections_log.line(self.clock.now()) {
                            tracing::info!(
                                client = id, %error, left_out, "the connection to a client is lost"
                            );
                        }
                        ended.push(id);
                    }
                }
            }
            if self.router.should_close(id) {
                ended.push(id);
            }
        }
        self.to_write = to_write;
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
        self.to_write.extend_from_slice(self.router.clients_to_serve());
        let can_be_served = |id: ClientId| {
            let socket = self.clients.get(&id);
            socket.is_some_and(|socket| !socket.write_blocked) || self.router.should_close(id)
        };
        let any = self.to_write.iter().any(|id| can_be_served(*id));
        self.to_write.clear();
        if any {
            return Some(now);
        }
        let mut next = None;
        for id in self.readable.as_slice() {
            match self.router.read_allowance(now, *id) {
                Ok(_) => return Some(now),
                Err(from) => next = next.into_iter().chain([from]).min(),
            }
        }
        next
    }
}

/// The connection to a client is lost.
struct ConnectionLost;

/// Whether something can be written to this client.
fn has_output(router: &Router, id: ClientId, socket: &ControlSocket) -> bool {
    !socket.write_blocked && !router.client_output(id).is_empty()
}
