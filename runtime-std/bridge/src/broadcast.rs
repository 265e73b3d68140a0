//! Whole messages to any number of listeners on sockets, bounded. Whoever publishes never waits:
//! a listener that does not read loses its own oldest messages. No message is ever cut in two.
//!
//! Who may come in is `acceptor.rs`; what the messages are is `callback.rs` and `images.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};
use smol::io::AsyncWriteExt;
use smol::{Async, future};

/// A message, whole; all listeners share its bytes.
pub(crate) type Message = Arc<[u8]>;

/// Small messages that wait go out together, up to so many bytes.
const TOGETHER: usize = 16 * 1024;

/// What may wait for one listener. A message larger than that is kept alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// What waits for a listener.
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    lost: u64,
    /// Told that something waits; one word is enough.
    wake: Sender<()>,
}

impl Queue {
    /// Gives how many old ones had to go.
    fn push(&mut self, message: Message, bounds: Bounds) -> u64 {
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

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

#[derive(Default)]
struct Listeners {
    queues: BTreeMap<u64, Queue>,
    last_id: u64,
    published: u64,
    lost: u64,
}

/// How it stands with a [`Broadcast`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) listeners: usize,
    pub(crate) published: u64,
    /// By all listeners together, also those that left.
    pub(crate) lost: u64,
}

/// All listeners of a port.
pub(crate) struct Broadcast {
    /// Held for a push or a pop in each queue, never across an await.
    listeners: Mutex<Listeners>,
    bounds: Bounds,
    /// Told when somebody came or left; one word is enough.
    changed: (Sender<()>, Receiver<()>),
}

impl Broadcast {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        let changed = async_channel::bounded(1);
        Arc::new(Self { listeners: Mutex::default(), bounds, changed })
    }

    /// Never waits. Messages reach each listener in the order of these calls.
    pub(crate) fn publish(&self, message: &Message) {
        let mut listeners = self.lock();
        listeners.published += 1;
        let mut lost = 0;
        for queue in listeners.queues.values_mut() {
            lost += queue.push(Arc::clone(message), self.bounds);
            // Full: it was told already.
            let _ = queue.wake.try_send(());
        }
        listeners.lost += lost;
    }

    /// From this call on, messages are kept for it.
    pub(crate) fn join(self: &Arc<Self>) -> Listener {
        let (wake, woken) = async_channel::bounded(1);
        let mut listeners = self.lock();
        listeners.last_id += 1;
        let id = listeners.last_id;
        let queue = Queue { messages: VecDeque::new(), bytes: 0, lost: 0, wake };
        listeners.queues.insert(id, queue);
        drop(listeners);
        let _ = self.changed.0.try_send(());
        Listener { broadcast: Arc::clone(self), id, woken }
    }

    pub(crate) fn tally(&self) -> Tally {
        let listeners = self.lock();
        let Listeners { queues, published, lost, .. } = &*listeners;
        Tally { listeners: queues.len(), published: *published, lost: *lost }
    }

    /// Waits until there is somebody, or (`false`) nobody. For one task at a time.
    pub(crate) async fn until_anybody(&self, anybody: bool) {
        while self.lock().queues.is_empty() == anybody {
            if self.changed.1.recv().await.is_err() {
                future::pending::<()>().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One listener; dropping it takes it off the list at once.
pub(crate) struct Listener {
    broadcast: Arc<Broadcast>,
    id: u64,
    woken: Receiver<()>,
}

impl Listener {
    /// The next message, as soon as there is one.
    ///
    /// Cancel-safe: a message that was not returned is returned by the next call.
    pub(crate) async fn next(&self) -> Message {
        loop {
            let message = self.broadcast.lock().queues.get_mut(&self.id).and_then(Queue::pop);
            match message {
                Some(message) => return message,
                // Its sender is on the list for as long as this listener is.
                None => drop(self.woken.recv().await),
            }
        }
    }

    /// Takes what waits, whole messages only, for as long as there is room.
    fn add_small(&self, together: &mut Vec<u8>) {
        let mut listeners = self.broadcast.lock();
        let Some(queue) = listeners.queues.get_mut(&self.id) else { return };
        while let Some(next) = queue.messages.front()
            && together.len() + next.len() <= TOGETHER
        {
            together.extend_from_slice(next);
            queue.pop();
        }
    }

    /// How many it lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.broadcast.lock().queues.get(&self.id).map_or(0, |queue| queue.lost)
    }

    /// Sends it everything, until the peer is gone. Gives why it ended.
    pub(crate) async fn serve(&self, socket: &Async<TcpStream>) -> io::Error {
        let send = async {
            let mut socket = socket;
            let mut together = Vec::new();
            loop {
                let message = self.next().await;
                let bytes = if message.len() < TOGETHER {
                    together.clear();
                    together.extend_from_slice(&message);
                    self.add_small(&mut together);
                    &together[..]
                } else {
                    &message[..]
                };
                if let Err(error) = socket.write_all(bytes).await {
                    return error;
                }
                // A socket that takes everything must not keep the others from theirs.
                future::yield_now().await;
            }
        };
        future::or(until_gone(socket), send).await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.broadcast.lock().queues.remove(&self.id);
        let _ = self.broadcast.changed.0.try_send(());
    }
}

/// A listener says nothing; whatever it sends is read and thrown away, so that its end is seen.
async fn until_gone(socket: &Async<TcpStream>) -> io::Error {
    let mut buffer = [0; 1024];
    loop {
        // Waits first: this is polled with each message that goes out.
        if let Err(error) = socket.readable().await {
            return error;
        }
        match socket.get_ref().read(&mut buffer) {
            Ok(0) => return io::Error::new(io::ErrorKind::UnexpectedEof, "it closed"),
            Ok(_) => future::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { messages: 4, bytes: 100 };

    fn message(number: u8, length: usize) -> Message {
        vec![number; length].into()
    }

    async fn numbers(listener: &Listener) -> Vec<u8> {
        let mut numbers = Vec::new();
        while let Some(message) = future::poll_once(listener.next()).await {
            numbers.push(message[0]);
        }
        numbers
    }

    #[test]
    fn a_listener_that_does_not_read_loses_its_own_oldest_and_nobody_elses() {
        smol::block_on(async {
            let broadcast = Broadcast::new(BOUNDS);
            let (slow, quick) = (broadcast.join(), broadcast.join());
            for n in 0..10 {
                broadcast.publish(&message(n, 1));
                assert_eq!(numbers(&quick).await, [n]);
            }
            assert_eq!((slow.lost(), quick.lost()), (6, 0));
            assert_eq!(numbers(&slow).await, [6, 7, 8, 9]);
            assert_eq!(broadcast.tally(), Tally { listeners: 2, published: 10, lost: 6 });
        });
    }

    #[test]
    fn bytes_are_bounded_as_well_and_a_message_above_the_bound_is_kept_alone() {
        smol::block_on(async {
            let broadcast = Broadcast::new(BOUNDS);
            let listener = broadcast.join();
            let publish = |n, length| broadcast.publish(&message(n, length));
            publish(1, 40);
            publish(2, 60);
            publish(3, 1);
            assert_eq!(numbers(&listener).await, [2, 3]);
            publish(4, 1);
            publish(5, 101);
            assert_eq!(numbers(&listener).await, [5]);
            assert_eq!(listener.lost(), 2);
        });
    }

    #[test]
    fn a_listener_gets_what_is_published_after_it_came_and_is_forgotten_at_once_when_it_leaves() {
        smol::block_on(async {
            let broadcast = Broadcast::new(BOUNDS);
            broadcast.publish(&message(1, 1));
            let listener = broadcast.join();
            broadcast.publish(&message(2, 1));
            assert_eq!(numbers(&listener).await, [2]);
            drop(listener);
            assert_eq!(broadcast.tally(), Tally { listeners: 0, published: 2, lost: 0 });
        });
    }

    #[test]
    fn whoever_waits_for_somebody_or_nobody_is_told() {
        smol::block_on(async {
            let broadcast = Broadcast::new(BOUNDS);
            broadcast.until_anybody(false).await;
            let mut came = Box::pin(broadcast.until_anybody(true));
            assert!(future::poll_once(&mut came).await.is_none());
            let first = broadcast.join();
            came.await;
            let second = broadcast.join();
            drop(first);
            let mut left = Box::pin(broadcast.until_anybody(false));
            assert!(future::poll_once(&mut left).await.is_none());
            drop(second);
            left.await;
        });
    }
}
