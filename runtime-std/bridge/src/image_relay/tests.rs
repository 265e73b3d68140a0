//! What viewers get, from an instrument that the test plays.

use std::future::Future;
use std::io::{Read, Write};

use flamingo_protocol_core::ImageHeader;

use super::*;
use flamingo_runtime_testkit::loopback::{connect, everybody, listen};

/// An instrument's image port, and the relay in front of it.
struct Bench {
    instrument: Async<TcpListener>,
    images: Arc<Images>,
    address: SocketAddr,
}

fn with_relay<T: Future<Output = ()>>(bounds: Bounds, test: impl FnOnce(Bench) -> T) {
    let (instrument, behind) = listen();
    let short = Duration::from_millis(1);
    let source = Source {
        address: behind.to_string(),
        connect_timeout: Duration::from_secs(20),
        backoff: Backoff::new(short, short),
        recorder: None,
    };
    let images = Images::new(Port::Live, source, bounds);
    let (listener, address) = listen();
    let relay = Arc::clone(&images);
    let relay = relay.run(listener, everybody(), 8);
    smol::block_on(future::or(relay, test(Bench { instrument, images, address })));
}

impl Bench {
    /// The relay's connection to the instrument.
    async fn accept(&self) -> TcpStream {
        let (stream, _) = self.instrument.accept().await.unwrap();
        let stream = stream.into_inner().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    async fn until(&self, holds: impl Fn(RelayStatus) -> bool) {
        while !holds(self.images.status()) {
            future::yield_now().await;
        }
    }

    async fn viewer(&self) -> TcpStream {
        let before = self.images.status().viewers;
        let viewer = connect(self.address).await;
        self.until(|status| status.viewers == before + 1).await;
        viewer
    }
}

fn image(number: i32, side: u32) -> Vec<u8> {
    let size = 2 * side * side;
    let header = ImageHeader {
        size,
        width: side,
        height: side,
        index_start: number,
        index_stop: number,
        ..ImageHeader::default()
    };
    let pixel = number.to_le_bytes()[0];
    header.encode().into_iter().chain(std::iter::repeat_n(pixel, size as usize)).collect()
}

/// Writes an image from a thread of its own, since the relay may not be polled meanwhile.
async fn send(mut instrument: TcpStream, bytes: Vec<u8>) -> TcpStream {
    smol::unblock(move || {
        instrument.write_all(&bytes).unwrap();
        instrument
    })
    .await
}

/// Reads an image of that side, and gives its number.
async fn receive(mut viewer: TcpStream, side: u32) -> (TcpStream, i32) {
    smol::unblock(move || {
        let mut bytes = vec![0; HEADER_LEN + 2 * (side * side) as usize];
        viewer.read_exact(&mut bytes).unwrap();
        let number = i32::from_le_bytes(bytes[32..36].try_into().unwrap());
        assert!(bytes == image(number, side), "image {number} is not as it was sent");
        (viewer, number)
    })
    .await
}

async fn is_closed(mut stream: TcpStream) -> bool {
    smol::unblock(move || matches!(stream.read(&mut [0]), Ok(0))).await
}

#[test]
fn the_instrument_is_connected_when_the_first_viewer_comes_and_left_after_the_last() {
    with_relay(BOUNDS, |bench| async move {
        assert!(future::poll_once(bench.accept()).await.is_none());
        let first = bench.viewer().await;
        let instrument = bench.accept().await;
        let second = bench.viewer().await;
        bench.until(|status| status.upstream).await;
        drop(first);
        bench.until(|status| status.viewers == 1).await;
        // One connection for both, and still there for the second.
        assert!(future::poll_once(bench.accept()).await.is_none());
        let instrument = send(instrument, image(1, 8)).await;
        let (second, number) = receive(second, 8).await;
        assert_eq!(number, 1);
        drop(second);
        assert!(is_closed(instrument).await);
        bench.until(|status| !status.upstream).await;
        let _third = bench.viewer().await;
        bench.accept().await;
    });
}

#[test]
fn a_viewer_that_comes_in_the_middle_of_an_image_begins_with_the_next_one_that_is_whole() {
    with_relay(BOUNDS, |bench| async move {
        let first = bench.viewer().await;
        let instrument = bench.accept().await;
        let both = [image(1, 100), image(2, 100), image(3, 100)].concat();
        let one = HEADER_LEN + 20_000;
        // The first image, and half of the second.
        let instrument = send(instrument, both[..one + 10_000].to_vec()).await;
        let (first, number) = receive(first, 100).await;
        assert_eq!(number, 1);
        let second = bench.viewer().await;
        let _instrument = send(instrument, both[one + 10_000..].to_vec()).await;
        let (_, numbers) = (receive(first, 100).await, receive(second, 100).await.1);
        assert_eq!(numbers, 2);
        let status = bench.images.status();
        assert_eq!((status.bytes, status.lost), (status.images * one as u64, 0));
    });
}

#[test]
fn a_slow_viewer_loses_its_own_oldest_images_and_each_is_counted() {
    const SIDE: u32 = 512;
    const IMAGES: i32 = 100;
    let bounds = Bounds { messages: 4, bytes: usize::MAX };
    with_relay(bounds, |bench| async move {
        let (mut slow, mut quick) = (bench.viewer().await, bench.viewer().await);
        let mut instrument = bench.accept().await;
        for n in 0..IMAGES {
            instrument = send(instrument, image(n, SIDE)).await;
            let number;
            (quick, number) = receive(quick, SIDE).await;
            assert_eq!(number, n);
        }
        let lost = bench.images.status().lost;
        assert!(lost > 0, "{IMAGES} images fit into the socket");
        let mut got = Vec::new();
        while got.last() != Some(&(IMAGES - 1)) {
            let number;
            (slow, number) = receive(slow, SIDE).await;
            got.push(number);
        }
        assert_eq!(got.len() as u64 + lost, IMAGES as u64);
        assert_eq!(got[0], 0);
        assert!(got.ends_with(&(IMAGES - 4..IMAGES).collect::<Vec<_>>()), "{got:?}");
    });
}

#[test]
fn a_viewer_stays_when_the_instrument_goes_in_the_middle_of_an_image_and_sees_the_next_whole_one() {
    with_relay(BOUNDS, |bench| async move {
        let viewer = bench.viewer().await;
        let instrument = bench.accept().await;
        let torn = image(1, 64);
        drop(send(instrument, torn[..torn.len() - 1].to_vec()).await);
        let instrument = bench.accept().await;
        let _instrument = send(instrument, image(2, 64)).await;
        let (_viewer, number) = receive(viewer, 64).await;
        assert_eq!(number, 2);
        assert_eq!(bench.images.status().images, 1);
    });
}

#[test]
fn a_header_that_cannot_be_true_ends_that_connection_and_a_new_one_is_made() {
    with_relay(BOUNDS, |bench| async move {
        let viewer = bench.viewer().await;
        let instrument = bench.accept().await;
        let mut bytes = image(1, 16);
        bytes.extend([0xff; HEADER_LEN]);
        let instrument = send(instrument, bytes).await;
        let (viewer, number) = receive(viewer, 16).await;
        assert_eq!(number, 1);
        assert!(is_closed(instrument).await);
        let instrument = bench.accept().await;
        let _instrument = send(instrument, image(2, 16)).await;
        assert_eq!(receive(viewer, 16).await.1, 2);
    });
}

#[test]
fn a_header_without_pixels_is_handed_on() {
    with_relay(BOUNDS, |bench| async move {
        let viewer = bench.viewer().await;
        let instrument = bench.accept().await;
        let _instrument = send(instrument, [image(1, 0), image(2, 4)].concat()).await;
        let (viewer, number) = receive(viewer, 0).await;
        assert_eq!(number, 1);
        assert_eq!(receive(viewer, 4).await.1, 2);
    });
}

#[test]
fn it_is_tried_again_while_somebody_looks_and_no_longer() {
    with_relay(BOUNDS, |bench| async move {
        let viewer = bench.viewer().await;
        for _ in 0..3 {
            drop(bench.accept().await);
        }
        drop(viewer);
        bench.until(|status| status.viewers == 0 && !status.upstream).await;
        // What was begun before it left.
        while future::poll_once(bench.accept()).await.is_some() {}
        assert_eq!(bench.images.status(), RelayStatus::default());
    });
}
