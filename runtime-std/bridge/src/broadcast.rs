//! One-way distribution of whole messages to any number of receivers over sockets. Publishing never
//! waits: each receiver has a bounded queue, and a receiver that does not read loses its own oldest
//! messages. A message is never cut in two.
//!
//! The callback port and the image ports use it; the adapter's `Acceptor` admits the connections.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use smol::io::AsyncWriteExt;
use smol::{Async, future};

use flamingo_runtime_std::socket::client_input::{ClientEnd, until_closed};
use flamingo_runtime_std::{Clock, LogRate};

/// The bytes of a whole message; all receivers share them.
pub(crate) type SharedBytes = Bytes;

/// Small messages that wait are written together, up to this many bytes.
const BATCH_BYTES: usize = 16 * 1024;

/// The limits of one receiver's queue. A message that exceeds them waits alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueBounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// The messages that wait for one receiver.
struct Queue {
    messages: VecDeque<SharedBytes>,
    bytes: usize,
    lost: u64,
    /// Signals that a message waits. It has room for one signal, which is enough.
    wake: Sender<()>,
}

impl Queue {
    /// Returns how many old messages were dropped.
    fn push(&mut self, message: SharedBytes, bounds: QueueBounds) -> u64 {
        self.bytes += message.len();
        self.messages.push_back(message);
        let mut lost = 0;
        while self.messages.len() > 1
            && (self.messages.len() > bounds.messages || self.bytes > bounds.bytes)
        {
            lost += u64::from(self.pop().is_some());
        }
        self.lost += lost;
        lost
    }

    fn pop(&mut self) -> Option<SharedBytes> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

#[derive(Default)]
struct Receivers {
    queues: BTreeMap<u64, Queue>,
    last_id: u64,
    published: u64,
    lost: u64,
}

/// The counters of a [`Broadcast`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BroadcastCounters {
    pub(crate) receivers: usize,
    pub(crate) published: u64,
    /// Messages lost, summed over all receivers, also those that left.
    pub(crate) lost: u64,
}

/// All receivers of a port.
pub(crate) struct Broadcast {
    /// Locked for a push or pop in each queue, and never across an await.
    receivers: Mutex<Receivers>,
    bounds: QueueBounds,
    /// Signals that a receiver joined or left. It has room for one signal, which is enough.
    changed: (Sender<()>, Receiver<()>),
    clock: Clock,
    /// Limits the lines about peers that do not send frames.
    stranger_log: LogRate,
    connections_log: LogRate,
}

impl Broadcast {
    pub(crate) fn new(bounds: QueueBounds) -> Arc<Self> {
        let changed = async_channel::bounded(1);
        Arc::new(Self {
            receivers: Mutex::default(),
            bounds,
            changed,
            clock: Clock::start(),
            stranger_log: LogRate::default(),
            connections_log: LogRate::default(),
        })
    }

    /// Queues a message for each receiver and never waits. Messages arrive in the order of these calls.
    pub(crate) fn publish(&self, message: &SharedBytes) {
        let mut receivers = self.lock();
        receivers.published += 1;
        let mut lost = 0;
        for queue in receivers.queues.values_mut() {
            lost += queue.push(message.clone(), self.bounds);
            // The channel is full: the signal is already there.
            let _ = queue.wake.try_send(());
        }
        receivers.lost += lost;
    }

    /// Adds a receiver. It receives the messages published after this call.
    pub(crate) fn subscribe(self: &Arc<Self>) -> BroadcastReceiver {
        let (wake, woken) = async_channel::bounded(1);
        let mut receivers = self.lock();
        receivers.last_id += 1;
        let id = receivers.last_id;
        let queue = Queue { messages: VecDeque::new(), bytes: 0, lost: 0, wake };
        receivers.queues.insert(id, queue);
        drop(receivers);
        let _ = self.changed.0.try_send(());
        BroadcastReceiver { broadcast: Arc::clone(self), id, woken }
    }

    pub(crate) fn counters(&self) -> BroadcastCounters {
        let receivers = self.lock();
        let Receivers { queues, published, lost, .. } = &*receivers;
        BroadcastCounters { receivers: queues.len(), published: *published, lost: *lost }
    }

    /// Waits until there is a receiver (`present`) or none (`!present`). Only one task may wait.
    ///
    /// Cancel-safe: a later call sees the state of that time.
    pub(crate) async fn until_receivers(&self, present: bool) {
        while self.lock().queues.is_empty() == present {
            if self.changed.1.recv().await.is_err() {
                future::pending::<()>().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Receivers> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One receiver. Dropping it removes it from the broadcast at once.
pub(crate) struct BroadcastReceiver {
    broadcast: Arc<Broadcast>,
    id: u64,
    woken: Receiver<()>,
}

impl BroadcastReceiver {
    /// Waits for the next message and returns it.
    ///
    /// Cancel-safe: a message that this call did not return stays in the queue.
    pub(crate) async fn next(&self) -> SharedBytes {
        loop {
            let message = self.broadcast.lock().queues.get_mut(&self.id).and_then(Queue::pop);
            match message {
                Some(message) => return message,
                // The sender is in the queue, which exists as long as this receiver.
                None => drop(self.woken.recv().await),
            }
        }
    }

    /// Appends whole waiting messages while the batch has room.
    fn fill_batch(&self, batch: &mut Vec<u8>) {
        let mut receivers = self.broadcast.lock();
        let Some(queue) = receivers.queues.get_mut(&self.id) else { return };
        while let Some(next) = queue.messages.front()
            && batch.len() + next.len() <= BATCH_BYTES
        {
            batch.extend_from_slice(next);
            queue.pop();
        }
    }

    /// How many messages this receiver has lost.
    pub(crate) fn lost(&self) -> u64 {
        self.broadcast.lock().queues.get(&self.id).map_or(0, |queue| queue.lost)
    }

    /// Writes every message to the socket until the peer disconnects, or sends what is no frame.
    /// Returns the reason.
    ///
    /// Not cancel-safe: a cancelled call may have written part of a message. Close the socket then.
    pub(crate) async fn serve(&self, socket: &Async<TcpStream>) -> ClientEnd {
        let send = async {
            let mut socket = socket;
            let mut batch = Vec::new();
            loop {
                let message = self.next().await;
                let bytes = if message.len() < BATCH_BYTES {
                    batch.clear();
                    batch.extend_from_slice(&message);
                    self.fill_batch(&mut batch);
                    &batch[..]
                } else {
                    &message[..]
                };
                if let Err(error) = socket.write_all(bytes).await {
                    return error.into();
                }
                // A socket that always accepts bytes must not starve the others.
                future::yield_now().await;
            }
        };
        future::or(until_closed(socket), send).await
    }

    /// Logs that the receiver at this address has connected.
    pub(crate) fn log_start(&self, port: &str, address: SocketAddr) {
        let Broadcast { connections_log, clock, .. } = &*self.broadcast;
        if let Some(left_out) = connections_log.line(clock.now()) {
            tracing::info!(port, %address, left_out, "connected");
        }
    }

    /// Logs why [`Self::serve`] has ended. A web page can connect many times in a second, so the log has
    /// only some lines about peers that do not send frames.
    pub(crate) fn log_end(&self, port: &str, address: SocketAddr, end: &ClientEnd) {
        let Broadcast { stranger_log, connections_log, clock, .. } = &*self.broadcast;
        let ClientEnd::Refused(error) = end else {
            if let Some(left_out) = connections_log.line(clock.now()) {
                let lost = self.lost();
                tracing::info!(port, %address, reason = %end, lost, left_out, "disconnected");
            }
            return;
        };
        if let Some(left_out) = stranger_log.line(clock.now()) {
            tracing::warn!(port, %address, left_out, "closed: {error}");
        }
    }
}

impl Drop for BroadcastReceiver {
    fn drop(&mut self) {
        self.broadcast.lock().queues.remove(&self.id);
        let _ = self.broadcast.changed.0.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: QueueBounds = QueueBounds { messages: 4, bytes: 100 };

    fn message(number: u8, length: usize) -> SharedBytes {
        vec![number; length].into()
    }

    async fn numbers(receiver: &BroadcastReceiver) -> Vec<u8> {
        let mut numbers = Vec::new();
        while let Some(message) = future::poll_once(receiver.next()).await {
            numbers.push(message[0]);
        }
        numbers
    }

    #[test]
    fn a_slow_receiver_loses_only_its_own_oldest_messages() {
        smol::block_on(async {
            let broadcast = Broadcast::new(BOUNDS);
            let (slow, fast) = (broadcast.subscribe(), broadcast.subscribe());
            for n in 0..10 {
                broadcast.publish(&message(n, 1));
                assert_eq!(numbers(&fast).await, [n]);
            }
            assert_eq!((slow.lost(), fast.lost()), (6, 0));
            assert_eq!(numbers(&slow).await, [6, 7, 8, 9]);
            assert_eq!(
                broadcast.counters(),
                BroadcastCounters { receivers: 2, published: 10, lost: 6 }
            );
        });
    }

    #[test]
    fn bytes_are_bounded_and_an_oversized_message_waits_alone() {
        smol::block_on(async {
            let broadcast = Broadcast::new(BOUNDS);
            let receiver = broadcast.subscribe();
            let publish = |n, length| broadcast.publish(&message(n, length));
            publish(1, 40);
            publish(2, 60);
            publish(3, 1);
            assert_eq!(numbers(&receiver).await, [2, 3]);
            publish(4, 1);
            publish(5, 101);
            assert_eq!(numbers(&receiver).await, [5]);
            assert_eq!(receiver.lost(), 2);
        });
    }

    #[test]
    fn a_receiver_gets_only_what_is_published_while_it_exists() {
        smol::block_on(async {
            let broadcast = Broadcast::new(BOUNDS);
            broadcast.publish(&message(1, 1));
            let receiver = broadcast.subscribe();
            broadcast.publish(&message(2, 1));
            assert_eq!(numbers(&receiver).await, [2]);
            drop(receiver);
            assert_eq!(
                broadcast.counters(),
                BroadcastCounters { receivers: 0, published: 2, lost: 0 }
            );
        });
    }

    #[test]
    fn waiting_for_receivers_or_their_absence_ends_in_time() {
        smol::block_on(async {
            let broadcast = Broadcast::new(BOUNDS);
            broadcast.until_receivers(false).await;
            let mut joined = Box::pin(broadcast.until_receivers(true));
            assert!(future::poll_once(&mut joined).await.is_none());
            let first = broadcast.subscribe();
            joined.await;
            let second = broadcast.subscribe();
            drop(first);
            let mut left = Box::pin(broadcast.until_receivers(false));
            assert!(future::poll_once(&mut left).await.is_none());
            drop(second);
            left.await;
        });
    }
}
