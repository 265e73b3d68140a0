//! The callback port: sends unsolicited messages, each a 128-byte frame and its payload, to any number
//! of subscribers. The port is one-way: it ignores the frames that a subscriber sends, and disconnects
//! a subscriber that sends anything else.
//!
//! The router decides what is published and in which order; `broadcast.rs` queues it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use smol::Async;

use crate::broadcast::{Broadcast, BroadcastCounters, QueueBounds, SharedBytes};
use crate::status::CallbackStatus;
use flamingo_runtime_std::socket::acceptor::{Acceptor, Allow};

/// The queue of one subscriber: 4096 messages are 10 s of 400 pushes per second.
pub(crate) const QUEUE_BOUNDS: QueueBounds =
    QueueBounds { messages: 4096, bytes: 64 * 1024 * 1024 };

/// The callback port and its subscribers.
#[derive(Clone)]
pub(crate) struct CallbackPort {
    broadcast: Arc<Broadcast>,
}

impl CallbackPort {
    pub(crate) fn new(bounds: QueueBounds) -> Self {
        Self { broadcast: Broadcast::new(bounds) }
    }

    /// Sends a whole message, frame and payload, to every subscriber. It never waits.
    pub(crate) fn publish(&self, message: &SharedBytes) {
        self.broadcast.publish(message);
    }

    pub(crate) fn status(&self) -> CallbackStatus {
        let BroadcastCounters { receivers, published, lost } = self.broadcast.counters();
        CallbackStatus { subscribers: receivers, frames: published, lost }
    }

    /// Accepts up to `limit` subscribers until the future is dropped, which disconnects them all.
    pub(crate) async fn run(&self, listener: Async<TcpListener>, allow: Allow, limit: usize) {
        let acceptor = Acceptor::new("callback", listener, allow, limit);
        acceptor
            .run(|stream, address| serve_subscriber(Arc::clone(&self.broadcast), stream, address))
            .await;
    }
}

async fn serve_subscriber(
    broadcast: Arc<Broadcast>,
    stream: Async<TcpStream>,
    address: SocketAddr,
) {
    let receiver = broadcast.subscribe();
    receiver.log_start("callback", address);
    let end = receiver.serve(&stream).await;
    receiver.log_end("callback", address, &end);
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io::{Read, Write};
    use std::time::Duration;

    use flamingo_protocol_core::{CommandCode, Frame};
    use smol::{Timer, future};

    use super::*;
    use flamingo_runtime_testkit::loopback::{allow_all, connect, listen};

    /// Runs `test` with a port and its address.
    fn with_port<T: Future<Output = ()>>(
        bounds: QueueBounds,
        limit: usize,
        test: impl FnOnce(CallbackPort, SocketAddr) -> T,
    ) {
        let callback = CallbackPort::new(bounds);
        let (listener, address) = listen();
        let port = callback.run(listener, allow_all(), limit);
        smol::block_on(future::or(port, test(callback.clone(), address)));
    }

    async fn until(callback: &CallbackPort, holds: impl Fn(CallbackStatus) -> bool) {
        while !holds(callback.status()) {
            future::yield_now().await;
        }
    }

    /// A message that holds its number, and repeats the low byte of it up to the end.
    fn message(number: u32, length: usize) -> SharedBytes {
        let mut bytes = vec![number.to_le_bytes()[0]; length];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        bytes.into()
    }

    fn read_message(socket: &mut TcpStream, length: usize) -> std::io::Result<u32> {
        let mut bytes = vec![0; length];
        socket.read_exact(&mut bytes)?;
        let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(bytes[..], message(number, length)[..], "message {number} was damaged");
        Ok(number)
    }

    #[test]
    fn each_subscriber_gets_every_message_once_and_in_order() {
        const MESSAGES: u32 = 2_000;
        with_port(QUEUE_BOUNDS, 8, |callback, address| async move {
            let mut readers = Vec::new();
            for _ in 0..3 {
                let mut socket = connect(address).await;
                readers.push(smol::unblock(move || {
                    for n in 0..MESSAGES {
                        assert_eq!(read_message(&mut socket, 128).unwrap(), n);
                    }
                    socket.set_nonblocking(true).unwrap();
                    let more = socket.read(&mut [0]).unwrap_err();
                    assert_eq!(more.kind(), std::io::ErrorKind::WouldBlock);
                }));
            }
            until(&callback, |status| status.subscribers == 3).await;
            for n in 0..MESSAGES {
                callback.publish(&message(n, 128));
                future::yield_now().await;
            }
            for reader in readers {
                reader.await;
            }
            let all = u64::from(MESSAGES);
            until(&callback, |status| status.subscribers == 0).await;
            assert_eq!(callback.status(), CallbackStatus { subscribers: 0, frames: all, lost: 0 });
        });
    }

    #[test]
    fn batched_messages_of_all_sizes_keep_order_and_content() {
        const LENGTHS: [usize; 7] = [128, 16_255, 16_256, 16_383, 16_384, 16_385, 70_000];
        with_port(QUEUE_BOUNDS, 8, |callback, address| async move {
            let mut socket = connect(address).await;
            until(&callback, |status| status.subscribers == 1).await;
            let lengths = || (0..700).zip(LENGTHS.into_iter().chain([128; 5]).cycle());
            lengths().for_each(|(n, length)| callback.publish(&message(n, length)));
            smol::unblock(move || {
                for (n, length) in lengths() {
                    assert_eq!(read_message(&mut socket, length).unwrap(), n);
                }
            })
            .await;
        });
    }

    #[test]
    fn a_stalled_subscriber_loses_its_oldest_whole_messages() {
        const LENGTH: usize = 256 * 1024;
        const MESSAGES: u32 = 200;
        let bounds = QueueBounds { messages: 8, bytes: usize::MAX };
        with_port(bounds, 8, |callback, address| async move {
            let mut stalled = connect(address).await;
            let mut reader = connect(address).await;
            until(&callback, |status| status.subscribers == 2).await;
            for n in 0..MESSAGES {
                callback.publish(&message(n, LENGTH));
                // The reader is never behind, so that only the stalled subscriber loses messages.
                let read;
                (reader, read) = smol::unblock(move || {
                    let read = read_message(&mut reader, LENGTH);
                    (reader, read)
                })
                .await;
                assert_eq!(read.unwrap(), n);
            }
            let lost = callback.status().lost;
            assert_eq!(callback.status().subscribers, 2, "the stalled subscriber stays connected");
            assert!(lost > 0, "{MESSAGES} messages of {LENGTH} bytes fit into the socket");
            let got = smol::unblock(move || {
                let mut got: Vec<u32> = Vec::new();
                while got.last() != Some(&(MESSAGES - 1)) {
                    got.push(read_message(&mut stalled, LENGTH).unwrap());
                }
                got
            })
            .await;
            assert_eq!(got.len() as u64 + lost, u64::from(MESSAGES));
            assert!(got.is_sorted_by(|a, b| a < b), "{got:?}");
            // The messages in the socket when it stalled, and the newest in its queue.
            assert_eq!(got[0], 0);
            assert!(got.ends_with(&(MESSAGES - 8..MESSAGES).collect::<Vec<_>>()), "{got:?}");
        });
    }

    #[test]
    fn a_subscriber_that_dies_or_sends_harms_nobody() {
        with_port(QUEUE_BOUNDS, 8, |callback, address| async move {
            let dead = connect(address).await;
            let mut socket = connect(address).await;
            let frame = Frame::command(CommandCode::STAGE_HOME).encode();
            socket.write_all(&frame.repeat(32)).unwrap();
            until(&callback, |status| status.subscribers == 2).await;
            // It closes with unread bytes, so that the next write to it fails.
            callback.publish(&message(0, 128));
            drop(dead);
            until(&callback, |status| status.subscribers == 1).await;
            (1..100).for_each(|n| callback.publish(&message(n, 128)));
            smol::unblock(move || {
                (0..100).for_each(|n| assert_eq!(read_message(&mut socket, 128).unwrap(), n));
            })
            .await;
        });
    }

    #[test]
    fn a_subscriber_above_the_limit_is_closed_at_once() {
        with_port(QUEUE_BOUNDS, 1, |callback, address| async move {
            let first = connect(address).await;
            until(&callback, |status| status.subscribers == 1).await;
            let mut second = connect(address).await;
            let read = smol::unblock(move || second.read(&mut [0])).await;
            assert!(matches!(read, Ok(0)), "{read:?}");
            drop(first);
            until(&callback, |status| status.subscribers == 0).await;
            // The limit counts the first subscriber until its task has ended, a moment later.
            while callback.status().subscribers == 0 {
                let stay = Async::<TcpStream>::connect(address).await.unwrap();
                let refused = async {
                    let _ = stay.readable().await;
                };
                let taken = until(&callback, |status| status.subscribers == 1);
                future::or(taken, refused).await;
                if callback.status().subscribers == 1 {
                    return;
                }
            }
        });
    }

    #[test]
    fn an_address_that_is_not_allowed_is_closed_at_once() {
        let callback = CallbackPort::new(QUEUE_BOUNDS);
        let (listener, address) = listen();
        let port = callback.run(listener, Arc::new(|_| false), 8);
        let refused = async {
            let mut socket = connect(address).await;
            let read = smol::unblock(move || socket.read(&mut [0])).await;
            assert!(matches!(read, Ok(0)), "{read:?}");
        };
        let too_late = async {
            Timer::after(Duration::from_secs(20)).await;
            panic!("the connection was not closed");
        };
        smol::block_on(future::or(port, future::or(refused, too_late)));
        assert_eq!(callback.status().subscribers, 0);
    }
}
