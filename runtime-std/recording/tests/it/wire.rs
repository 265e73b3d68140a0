//! Tests that a recording has the bytes that were on the wire.

use flamingo_runtime_testkit::raw_client;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::recorded::{events, frames, image, kinds, numbered, open, recorder, relay};
use flamingo_protocol_core::{
    CommandCode, Frame,
    image::HEADER_LEN,
    wire::{FRAME_LEN, START_MARKER},
};
use flamingo_recording::capture::EventKind;
use flamingo_recording::relay::Relay;
use flamingo_recording::{Port, Recorder, RecorderOptions, Side};
use flamingo_runtime_testkit::folder::Folder;

/// A relay in front of a peer that the test plays. The client has sent `first`, since the relay connects
/// only then. Returns the sockets of client and peer, which has received `first`.
fn through_relay(recorder: Recorder, first: &Frame) -> (Relay, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = relay(listener.local_addr().unwrap(), recorder);
    let mut client = raw_client::socket(relay.addresses()[0]);
    client.write_all(&first.encode()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(raw_client::PATIENCE)).unwrap();
    assert_eq!(read(&mut peer, FRAME_LEN), first.encode());
    (relay, client, peer)
}

fn read(socket: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_relay_passes_and_records_all_bytes_unchanged() {
    let folder = Folder::new("unchanged");
    let file = folder.0.join("run.pcapng");
    // Noise, a false start marker, a payload longer than a packet, a part of a frame at the end.
    let upload = Frame::command(CommandCode::CAMERA_CHECK_STACK).with_payload_len(200_000);
    let (relay, mut client, mut peer) = through_relay(recorder(&file, false), &upload);
    let payload: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let down = [
        &[9; 7][..],
        &START_MARKER.to_le_bytes(),
        &numbered(1).encode(),
        &numbered(2).encode(),
        &numbered(3).encode()[..50],
    ]
    .concat();
    client.write_all(&payload).unwrap();
    assert!(read(&mut peer, payload.len()) == payload);
    for chunk in down.chunks(61) {
        peer.write_all(chunk).unwrap();
    }
    assert_eq!(read(&mut client, down.len()), down);
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the client's end is told");
    let status = relay.finish();
    assert_eq!((status.lost_bytes, status.stopped), (0, None));

    let sent = kinds(&file, Port::Control, Side::Client);
    assert_eq!(frames(&sent), [(upload, payload)]);
    let came = kinds(&file, Port::Control, Side::Instrument);
    let [
        EventKind::Message { noise, message, .. },
        second,
        EventKind::Rest { bytes },
        EventKind::Finished,
    ] = &came[..]
    else {
        panic!("{came:?}")
    };
    assert_eq!((noise.as_slice(), message.frame), (&down[..11], numbered(1)));
    assert!(matches!(second, EventKind::Message { message, .. } if message.frame == numbered(2)));
    assert_eq!(bytes, &down[down.len() - 50..]);
}

#[test]
fn images_have_a_header_and_a_checksum_or_all_their_pixels() {
    let folder = Folder::new("images");
    for pixels in [false, true] {
        let file = folder.0.join(format!("{pixels}.pcapng"));
        let recorder = recorder(&file, pixels);
        let [client, mut instrument] = open(&recorder, Port::Live);
        let all = [image(1, 300), image(2, 0), image(3, 40)].concat();
        all.chunks(777).for_each(|chunk| instrument.bytes(chunk.to_vec()));
        instrument.finish();
        client.finish();
        recorder.finish();
        let came = kinds(&file, Port::Live, Side::Instrument);
        assert_eq!(came.len(), 4, "{came:?}");
        for (kind, (number, side)) in came.iter().zip([(1, 300), (2, 0), (3, 40)]) {
            let EventKind::Image { header, pixels: found, checksum } = kind else {
                panic!("{kind:?}")
            };
            let bytes = image(number, side);
            assert_eq!(header.index_start, number);
            assert!(found.as_ref().is_none_or(|found| found[..] == bytes[HEADER_LEN..]));
            assert_eq!(found.is_some(), pixels);
            if side > 0 {
                assert_eq!(*checksum, Some(crc32fast::hash(&bytes[HEADER_LEN..])));
            }
        }
    }
}

#[test]
fn an_invalid_image_header_in_pieces_is_recorded() {
    let folder = Folder::new("no-image-pieces");
    let file = folder.0.join("run.pcapng");
    let recorder = recorder(&file, false);
    let [_client, mut instrument] = open(&recorder, Port::Live);
    instrument.bytes(vec![0xFF; 20]);
    instrument.bytes(vec![0xFF; 20]);
    instrument.bytes(vec![0xFF; 500]);
    instrument.finish();
    assert_eq!(recorder.finish().lost_bytes, 500, "behind it nothing can be read");
    let came = kinds(&file, Port::Live, Side::Instrument);
    assert!(
        matches!(came[..2], [EventKind::NoImage(_), EventKind::Hole { bytes: 500 }]),
        "{came:?}"
    );
}

#[test]
fn the_side_that_ends_a_connection_is_recorded() {
    let folder = Folder::new("ends");
    for resets in [false, true] {
        let file = folder.0.join(format!("{resets}.pcapng"));
        let (relay, mut client, peer) = through_relay(recorder(&file, false), &numbered(1));
        if resets {
            socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(peer);
        let ended = client.read(&mut [0]);
        assert!(ended.is_ok(), "{ended:?}");
        drop(client);
        relay.finish();
        let is_end = |kind: &EventKind| matches!(kind, EventKind::Finished | EventKind::Reset);
        let mut ends = events(&file).into_iter().filter(|event| is_end(&event.kind));
        let (from, first) = ends.next().map(|end| (end.from, end.kind)).unwrap();
        assert_eq!(from, Side::Instrument);
        assert_eq!(first, if resets { EventKind::Reset } else { EventKind::Finished });
    }
}

#[test]
fn a_refused_connection_is_recorded_as_reset() {
    let folder = Folder::new("refused-recorded");
    let file = folder.0.join("run.pcapng");
    // A port without a listener.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = relay(nobody, recorder(&file, false));
    let mut client = raw_client::socket(relay.addresses()[0]);
    client.write_all(&numbered(1).encode()).unwrap();
    // The connection is closed or reset.
    assert!(!matches!(client.read(&mut [0]), Ok(1..)));
    relay.finish();
    let came: Vec<_> = events(&file).into_iter().map(|it| (it.from, it.kind)).collect();
    assert_eq!(came, [(Side::Client, EventKind::Opened), (Side::Instrument, EventKind::Reset)]);
}

#[test]
fn bytes_that_are_no_image_are_reported() {
    let folder = Folder::new("no-image");
    let file = folder.0.join("run.pcapng");
    let recorder = recorder(&file, false);
    let [_client, mut instrument] = open(&recorder, Port::Live);
    instrument.bytes([image(1, 4), vec![0xFF; 100_000]].concat());
    instrument.finish();
    recorder.finish();
    let came = kinds(&file, Port::Live, Side::Instrument);
    assert!(matches!(came[..2], [EventKind::Image { .. }, EventKind::NoImage(_)]), "{came:?}");
}

/// A disk with room for so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let some = bytes.len().min(self.0);
        self.0 -= some;
        if some == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(some) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_recording_but_not_the_relay() {
    let recorder = Recorder::to_writer(Full(4_000), RecorderOptions::default()).unwrap();
    let (relay, mut client, mut peer) = through_relay(recorder, &numbered(0));
    let (mut written, stopped) = (0, async { relay.until_stopped().await });
    let mut stopped = Box::pin(stopped);
    while smol::block_on(smol::future::poll_once(&mut stopped)).is_none() {
        written += 1;
        peer.write_all(&numbered(written).encode()).unwrap();
        assert_eq!(read(&mut client, FRAME_LEN), numbered(written).encode());
        assert!(written < 100_000, "it never stops");
    }
    for n in 0..100 {
        client.write_all(&numbered(n).encode()).unwrap();
        assert_eq!(read(&mut peer, FRAME_LEN), numbered(n).encode());
    }
    drop(stopped);
    assert_eq!(relay.waiting(), 0, "what waited takes no memory");
    let status = relay.finish();
    assert!(status.stopped.is_some_and(|why| why.contains("no storage space")));
}
