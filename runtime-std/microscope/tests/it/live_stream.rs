//! The stream of images: every pixel in its place, exact counters, and an end with its reason.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use flamingo_microscope::LiveUpdates;
use flamingo_microscope::live::{LiveError, LiveEvent, LiveImage, LiveOptions, LiveStream, Mode};
use flamingo_protocol_core::{CommandCode, Frame, image::ImageHeader};
use flamingo_runtime_std::socket::instrument_ports::image_port;
use flamingo_runtime_testkit::peer::soon;
use flamingo_runtime_testkit::test_microscope::{microscope, simulator, workflow};

/// An image port that the test serves.
async fn microscope_and_peer(options: LiveOptions) -> (LiveStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stream = LiveStream::connect(&address, options).await.unwrap();
    (stream, listener.accept().unwrap().0)
}

/// An image whose pixels encode its number and their place.
fn image(number: u16, width: u32, height: u32) -> Vec<u8> {
    let size = 2 * width * height;
    let header =
        ImageHeader { size, width, height, index_start: number.into(), ..ImageHeader::default() };
    let mut bytes = header.encode().to_vec();
    bytes.extend(expected(number, size).iter().flat_map(|pixel| pixel.to_le_bytes()));
    bytes
}

fn expected(number: u16, size: u32) -> Vec<u16> {
    (0..size / 2).map(|at| number.wrapping_mul(257).wrapping_add((at & 0xFFFF) as u16)).collect()
}

#[track_caller]
fn assert_whole(image: &LiveImage) {
    let number = u16::try_from(image.header.index_start).unwrap();
    assert!(image.pixels() == expected(number, image.header.size), "image {number} is torn");
}

async fn next_image(stream: &mut LiveStream) -> LiveImage {
    soon("an image", stream.next_image()).await.unwrap().expect("an image")
}

#[test]
fn headers_and_pixels_cut_anywhere_give_the_same_images() {
    smol::block_on(async {
        let mut rng = fastrand::Rng::with_seed(11);
        let (mut stream, mut server) = microscope_and_peer(LiveOptions::every()).await;
        let bytes: Vec<u8> = (0..40).flat_map(|n| image(n, 1 + u32::from(n) % 9, 7)).collect();
        let writer = std::thread::spawn(move || {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(rng.usize(1..=rest.len().min(97)));
                server.write_all(part).unwrap();
                rest = behind;
            }
        });
        for number in 0..40 {
            let image = next_image(&mut stream).await;
            assert_eq!(image.header.index_start, number);
            assert_eq!((image.number, image.dropped_before), (number as u64 + 1, 0));
            assert_whole(&image);
        }
        writer.join().unwrap();
        assert!(soon("the end", stream.next()).await.unwrap().is_none());
    });
}

#[test]
fn an_options_update_has_no_pixels_and_loses_no_image() {
    smol::block_on(async {
        let (mut stream, mut server) = microscope_and_peer(LiveOptions::every()).await;
        let options =
            ImageHeader { options: 0x0C, crosshair: 5 << 16 | 9, ..ImageHeader::default() };
        server
            .write_all(&[image(1, 4, 4), options.encode().to_vec(), image(2, 4, 4)].concat())
            .unwrap();
        assert_whole(&next_image(&mut stream).await);
        let Some(LiveEvent::Options(header)) = soon("options", stream.next()).await.unwrap() else {
            panic!("expected options")
        };
        assert_eq!(header, options);
        assert_whole(&next_image(&mut stream).await);
        let stats = stream.stats();
        assert_eq!((stats.received, stats.options), (2, 1));
        assert_eq!(stats.bytes, 3 * 40 + 2 * 32);
    });
}

#[test]
fn an_impossible_header_ends_the_stream_naming_the_field() {
    for (at, byte, field) in [(0, 33, "imageSize"), (4, 9, "imageSize"), (20, 4, "deviceIndex")] {
        smol::block_on(async {
            let (mut stream, mut server) = microscope_and_peer(LiveOptions::every()).await;
            let mut broken = image(2, 4, 4);
            broken[at] = byte;
            server.write_all(&[image(1, 4, 4), broken, image(3, 4, 4)].concat()).unwrap();
            assert_whole(&next_image(&mut stream).await);
            let error = soon("its end", stream.next()).await.unwrap_err();
            assert!(matches!(error, LiveError::Header { number: 2, .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(field) && text.contains("expected"), "{text}");
            assert!(stream.next().await.unwrap().is_none(), "nothing after it is read");
        });
    }
}

#[test]
fn an_image_above_the_limit_is_not_believed() {
    smol::block_on(async {
        let options = LiveOptions::every().max_image_bytes(1000);
        let (mut stream, mut server) = microscope_and_peer(options).await;
        server.write_all(&image(1, 30, 30)).unwrap();
        let error = soon("its end", stream.next()).await.unwrap_err();
        assert!(error.to_string().contains("at most 1000"), "{error}");
    });
}

#[test]
fn a_stream_cut_within_an_image_reports_the_bytes_received() {
    for (cut, received, expected) in [(60, 60, 72), (17, 17, 40)] {
        smol::block_on(async {
            let (mut stream, mut server) = microscope_and_peer(LiveOptions::every()).await;
            server.write_all(&[image(1, 4, 4), image(2, 4, 4)[..cut].to_vec()].concat()).unwrap();
            drop(server);
            assert_whole(&next_image(&mut stream).await);
            let error = soon("its end", stream.next()).await.unwrap_err();
            let LiveError::CutOff { received: found, expected: whole, number: 2, .. } = error
            else {
                panic!("{error}")
            };
            assert_eq!((found, whole), (received, expected));
        });
    }
}

/// Sends `count` images; fails if the client stops reading.
fn send_all(mut server: TcpStream, count: u16, side: u32) {
    server.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    for number in 0..count {
        server.write_all(&image(number, side, side)).expect("the reader never stops reading");
    }
}

#[test]
fn a_program_that_takes_no_images_never_stops_the_reading() {
    for options in [LiveOptions::default(), LiveOptions::every()] {
        smol::block_on(async {
            let (stream, server) = microscope_and_peer(options).await;
            // Far more than any buffer of the operating system holds.
            send_all(server, 300, 256);
            while stream.stats().received < 300 {
                smol::future::yield_now().await;
            }
        });
    }
}

#[test]
fn a_program_that_holds_its_images_never_stops_the_reading() {
    smol::block_on(async {
        let (mut stream, server) = microscope_and_peer(LiveOptions::default()).await;
        let sender = std::thread::spawn(move || send_all(server, 300, 256));
        let mut held = Vec::new();
        while held.len() < 3 {
            held.push(next_image(&mut stream).await);
        }
        sender.join().unwrap();
        while stream.stats().received < 300 {
            smol::future::yield_now().await;
        }
        held.iter().for_each(assert_whole);
        let stats = stream.stats();
        assert_eq!(stats.delivered, 3);
        assert_eq!(stats.received, stats.delivered + stats.dropped + stats.waiting);
    });
}

#[test]
fn every_mode_has_bounded_memory_and_counts_drops() {
    smol::block_on(async {
        let size = 2 * 256 * 256;
        let mode = Mode::Every { memory_bytes: 10 * size };
        let (mut stream, server) = microscope_and_peer(LiveOptions::default().mode(mode)).await;
        send_all(server, 50, 256);
        while stream.stats().received < 50 {
            assert!(stream.stats().held_bytes <= 10 * size);
            smol::future::yield_now().await;
        }
        let (mut seen, mut dropped) = (0, 0);
        while let Some(image) = soon("an image", stream.next_image()).await.unwrap() {
            assert_whole(&image);
            seen += 1;
            dropped += image.dropped_before;
            assert_eq!(image.number, seen + dropped);
        }
        assert_eq!((seen, dropped), (10, 40));
        let stats = stream.stats();
        assert_eq!((stats.received, stats.delivered, stats.dropped), (50, 10, 40));
        assert!(stats.held_bytes <= 10 * size);
    });
}

#[test]
fn every_mode_drops_nothing_while_the_program_keeps_up() {
    smol::block_on(async {
        let (mut stream, server) = microscope_and_peer(LiveOptions::every()).await;
        let sender = std::thread::spawn(move || send_all(server, 200, 128));
        for number in 1..=200 {
            let image = next_image(&mut stream).await;
            assert_eq!((image.number, image.dropped_before), (number, 0));
        }
        sender.join().unwrap();
    });
}

#[test]
fn latest_mode_gives_the_newest() {
    smol::block_on(async {
        let (mut stream, server) = microscope_and_peer(LiveOptions::default()).await;
        send_all(server, 20, 64);
        while stream.stats().received < 20 {
            smol::future::yield_now().await;
        }
        let image = next_image(&mut stream).await;
        assert_eq!((image.number, image.dropped_before), (20, 19));
        assert_whole(&image);
        assert!(stream.stats().held_bytes <= 3 * 2 * 64 * 64);
    });
}

#[test]
fn a_stream_that_is_dropped_closes_its_connection() {
    smol::block_on(async {
        let (stream, mut server) = microscope_and_peer(LiveOptions::default()).await;
        drop(stream);
        let mut byte = [0];
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let read = std::io::Read::read(&mut server, &mut byte);
        assert!(
            matches!(read, Ok(0))
                || read.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
        );
    });
}

#[test]
fn an_error_names_a_port_that_does_not_accept() {
    smol::block_on(async {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = free.local_addr().unwrap();
        drop(free);
        let error = LiveStream::connect(&address.to_string(), LiveOptions::default()).await;
        assert!(error.unwrap_err().to_string().contains(&address.to_string()));
    });
}

#[test]
fn live_images_and_options_of_the_simulator_come_in_order() {
    smol::block_on(async {
        // On a very busy machine the simulator drops images, and its ground truth counts them. The stream loses none.
        let simulator = simulator("[images]\nframes_per_s = 40\noptions_every_n = 3").await;
        let microscope = microscope(&simulator).await;
        let address = image_port(&simulator.control().to_string(), 1).unwrap();
        let mut stream = LiveStream::connect(&address, LiveOptions::every()).await.unwrap();
        microscope.camera().start_live_view(LiveUpdates::Always).await.unwrap();
        let (mut images, mut options, mut index, mut missing) = (0, 0, None, 0);
        while images < 30 {
            match soon("an image", stream.next()).await.unwrap().unwrap() {
                LiveEvent::Image(image) => {
                    images += 1;
                    assert_eq!((image.header.width, image.header.height), (512, 512));
                    let next = image.header.index_start;
                    assert!(index.is_none_or(|index| next > index), "{index:?} {next}");
                    missing += index.map_or(0, |index| next - index - 1);
                    let dropped = simulator.truth().images_dropped();
                    assert!(u64::from(missing.unsigned_abs()) <= dropped, "{missing} of {dropped}");
                    index = Some(next);
                    assert_eq!(image.pixels().iter().min(), Some(&200), "the background");
                }
                LiveEvent::Options(header) => {
                    options += 1;
                    assert_eq!((header.size, header.width), (0, 0));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(options, 10);
        microscope.camera().stop_live_view().await.unwrap();
    });
}

#[test]
fn faults_of_an_image_port_end_the_stream_with_an_error() {
    for (fault, what) in [("image_headers", "imageSize"), ("image_cuts", "ended after")] {
        smol::block_on(async {
            let scenario = format!("[images]\nframes_per_s = 200\n[faults.{fault}]\nevery_n = 4");
            let simulator = simulator(&scenario).await;
            let microscope = microscope(&simulator).await;
            let address = simulator.live().to_string();
            let mut stream = LiveStream::connect(&address, LiveOptions::every()).await.unwrap();
            microscope.camera().start_live_view(LiveUpdates::Always).await.unwrap();
            for _ in 0..3 {
                next_image(&mut stream).await;
            }
            let error = soon("its end", stream.next()).await.unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("image 4"), "{error}");
        });
    }
}

#[test]
fn the_images_of_a_workflow_come_over_the_stack_port() {
    smol::block_on(async {
        let scenario = "[workflow]\nspeed_factor = 4.0\n[stage]\nspeed_factor = 50.0";
        let simulator = simulator(scenario).await;
        let microscope = microscope(&simulator).await;
        let address = image_port(&simulator.control().to_string(), 2).unwrap();
        let mut stream = LiveStream::connect(&address, LiveOptions::every()).await.unwrap();
        let mut run = microscope.workflows().start(&workflow(2, 8)).await.unwrap();
        for number in 1..=16 {
            assert_eq!(next_image(&mut stream).await.number, number);
        }
        assert_eq!(soon("its end", run.wait()).await.unwrap().images, 16);
    });
}

#[test]
fn a_snapshot_comes_over_the_live_port() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let address = simulator.live().to_string();
        let mut stream = LiveStream::connect(&address, LiveOptions::default()).await.unwrap();
        // The stream is connected a little before the instrument has accepted it.
        while simulator.truth().viewers() == 0 {
            smol::future::yield_now().await;
        }
        microscope.camera().snapshot().await.unwrap();
        assert_eq!(next_image(&mut stream).await.number, 1);
        let state = Frame::command(CommandCode::SYSTEM_STATE_GET);
        microscope.client().request(state).await.unwrap();
        assert_eq!(stream.stats().received, 1, "one snapshot, one image");
    });
}
