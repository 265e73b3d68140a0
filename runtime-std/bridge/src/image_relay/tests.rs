//! What viewers receive from an image port that the test itself serves.

use std::io::{Read, Write};

use flamingo_protocol_core::image::ImageHeader;

use super::*;
use flamingo_runtime_testkit::loopback::{allow_all, connect, listen};

/// An instrument's image port and a relay that connects to it.
struct Harness {
    instrument: Async<TcpListener>,
    relay: Arc<ImageRelay>,
    address: SocketAddr,
}

fn with_relay<T: Future<Output = ()>>(bounds: QueueBounds, test: impl FnOnce(Harness) -> T) {
    with_patient_relay(Duration::from_secs(20), bounds, test);
}

/// The same, with this time limit for an image that has begun.
fn with_patient_relay<T: Future<Output = ()>>(
    stall_timeout: Duration,
    bounds: QueueBounds,
    test: impl FnOnce(Harness) -> T,
) {
    let (instrument, behind) = listen();
    let short = Duration::from_millis(1);
    let source = ImageSource {
        address: behind.to_string(),
        connect_timeout: Duration::from_secs(20),
        stall_timeout,
        backoff: Backoff::new(short, short),
        recorder: None,
    };
    let relay = ImageRelay::new(Port::Live, source, bounds);
    let (listener, address) = listen();
    let server = Arc::clone(&relay);
    let server = server.run(vec![(listener, allow_all())], 8);
    smol::block_on(future::or(server, test(Harness { instrument, relay, address })));
}

impl Harness {
    /// The relay's connection to the instrument.
    async fn accept(&self) -> TcpStream {
        let (stream, _) = self.instrument.accept().await.unwrap();
        let stream = stream.into_inner().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    async fn until(&self, holds: impl Fn(ImagePortStatus) -> bool) {
        while !holds(self.relay.status()) {
            future::yield_now().await;
        }
    }

    async fn viewer(&self) -> TcpStream {
        let before = self.relay.status().viewers;
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

/// Writes bytes on another thread, so that the relay is polled meanwhile.
async fn send(mut instrument: TcpStream, bytes: Vec<u8>) -> TcpStream {
    smol::unblock(move || {
        instrument.write_all(&bytes).unwrap();
        instrument
    })
    .await
}

/// Reads an image with sides of `side` pixels and returns its number.
async fn receive(mut viewer: TcpStream, side: u32) -> (TcpStream, i32) {
    smol::unblock(move || {
        let mut bytes = vec![0; HEADER_LEN + 2 * (side * side) as usize];
        viewer.read_exact(&mut bytes).unwrap();
        let number = i32::from_le_bytes(bytes[32..36].try_into().unwrap());
        assert!(
            bytes == image(number, side),
            "image {number} differs from the image that was sent"
        );
        (viewer, number)
    })
    .await
}

async fn is_closed(mut stream: TcpStream) -> bool {
    smol::unblock(move || matches!(stream.read(&mut [0]), Ok(0))).await
}

#[test]
fn the_instrument_is_connected_only_while_there_are_viewers() {
    with_relay(QUEUE_BOUNDS, |harness| async move {
        assert!(future::poll_once(harness.accept()).await.is_none());
        let first = harness.viewer().await;
        let instrument = harness.accept().await;
        let second = harness.viewer().await;
        harness.until(|status| status.upstream).await;
        drop(first);
        harness.until(|status| status.viewers == 1).await;
        // Both viewers share one connection, which stays for the second.
        assert!(future::poll_once(harness.accept()).await.is_none());
        let instrument = send(instrument, image(1, 8)).await;
        let (second, number) = receive(second, 8).await;
        assert_eq!(number, 1);
        drop(second);
        assert!(is_closed(instrument).await);
        harness.until(|status| !status.upstream).await;
        let _third = harness.viewer().await;
        harness.accept().await;
    });
}

#[test]
fn a_viewer_that_joins_mid_image_begins_with_a_whole_one() {
    with_relay(QUEUE_BOUNDS, |harness| async move {
        let first = harness.viewer().await;
        let instrument = harness.accept().await;
        let both = [image(1, 100), image(2, 100), image(3, 100)].concat();
        let one = HEADER_LEN + 20_000;
        // The first image and part of the second.
        let instrument = send(instrument, both[..one + 10_000].to_vec()).await;
        let (first, number) = receive(first, 100).await;
        assert_eq!(number, 1);
        let second = harness.viewer().await;
        let _instrument = send(instrument, both[one + 10_000..].to_vec()).await;
        let (_, numbers) = (receive(first, 100).await, receive(second, 100).await.1);
        assert_eq!(numbers, 2);
        let status = harness.relay.status();
        assert_eq!((status.bytes, status.lost), (status.images * one as u64, 0));
    });
}

#[test]
fn a_slow_viewer_loses_its_oldest_images_which_are_counted() {
    const SIDE: u32 = 512;
    const IMAGES: i32 = 100;
    let bounds = QueueBounds { messages: 4, bytes: usize::MAX };
    with_relay(bounds, |harness| async move {
        let (mut slow, mut fast) = (harness.viewer().await, harness.viewer().await);
        let mut instrument = harness.accept().await;
        for n in 0..IMAGES {
            instrument = send(instrument, image(n, SIDE)).await;
            let number;
            (fast, number) = receive(fast, SIDE).await;
            assert_eq!(number, n);
        }
        let lost = harness.relay.status().lost;
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
fn a_viewer_survives_an_instrument_that_dies_mid_image() {
    with_relay(QUEUE_BOUNDS, |harness| async move {
        let viewer = harness.viewer().await;
        let instrument = harness.accept().await;
        let cut_image = image(1, 64);
        drop(send(instrument, cut_image[..cut_image.len() - 1].to_vec()).await);
        let instrument = harness.accept().await;
        let _instrument = send(instrument, image(2, 64)).await;
        let (_viewer, number) = receive(viewer, 64).await;
        assert_eq!(number, 2);
        assert_eq!(harness.relay.status().images, 1);
    });
}

#[test]
fn an_impossible_header_causes_a_new_connection() {
    with_relay(QUEUE_BOUNDS, |harness| async move {
        let viewer = harness.viewer().await;
        let instrument = harness.accept().await;
        let mut bytes = image(1, 16);
        bytes.extend([0xff; HEADER_LEN]);
        let instrument = send(instrument, bytes).await;
        let (viewer, number) = receive(viewer, 16).await;
        assert_eq!(number, 1);
        assert!(is_closed(instrument).await);
        let instrument = harness.accept().await;
        let _instrument = send(instrument, image(2, 16)).await;
        assert_eq!(receive(viewer, 16).await.1, 2);
    });
}

#[test]
fn a_header_without_pixels_is_relayed() {
    with_relay(QUEUE_BOUNDS, |harness| async move {
        let viewer = harness.viewer().await;
        let instrument = harness.accept().await;
        let _instrument = send(instrument, [image(1, 0), image(2, 4)].concat()).await;
        let (viewer, number) = receive(viewer, 0).await;
        assert_eq!(number, 1);
        assert_eq!(receive(viewer, 4).await.1, 2);
    });
}

#[test]
fn the_relay_reconnects_only_while_there_are_viewers() {
    with_relay(QUEUE_BOUNDS, |harness| async move {
        let viewer = harness.viewer().await;
        for _ in 0..3 {
            drop(harness.accept().await);
        }
        drop(viewer);
        harness.until(|status| status.viewers == 0 && !status.upstream).await;
        // Connections that were begun before the viewer left.
        while future::poll_once(harness.accept()).await.is_some() {}
        assert_eq!(harness.relay.status(), ImagePortStatus::default());
    });
}

#[test]
fn half_a_header_and_half_an_image_end_the_connection() {
    let short = Duration::from_millis(20);
    with_patient_relay(short, QUEUE_BOUNDS, |harness| async move {
        let viewer = harness.viewer().await;
        let whole = image(1, 64);
        for length in [1, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 1, whole.len() - 1] {
            let instrument = send(harness.accept().await, whole[..length].to_vec()).await;
            assert!(is_closed(instrument).await, "{length} bytes");
        }
        let _instrument = send(harness.accept().await, image(2, 8)).await;
        let (_viewer, number) = receive(viewer, 8).await;
        assert_eq!(number, 2, "the viewer has stayed, and receives whole images only");
    });
}

#[test]
fn the_next_image_may_take_any_time() {
    let short = Duration::from_millis(20);
    with_patient_relay(short, QUEUE_BOUNDS, |harness| async move {
        let mut viewer = harness.viewer().await;
        let mut instrument = harness.accept().await;
        for number in 0..3 {
            Timer::after(3 * short).await;
            instrument = send(instrument, image(number, 8)).await;
            let received;
            (viewer, received) = receive(viewer, 8).await;
            assert_eq!(received, number);
        }
        assert!(future::poll_once(harness.accept()).await.is_none(), "it has not connected again");
    });
}
