//! What is recorded is what went over the wire; and a recording that is played is what was recorded.

mod folder;
mod raw;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use flamingo_protocol_core::{
    CommandCode, FRAME_LEN, Flags, Frame, HEADER_LEN, ImageHeader, START_MARKER,
};
use flamingo_runtime_std::recording::capture::{Capture, Happening, Said};
use flamingo_runtime_std::recording::relay::{Relay, RelayOptions};
use flamingo_runtime_std::recording::replay::{Replay, ReplayOptions, Speed};
use flamingo_runtime_std::recording::{Options, Port, Recorder, Rotation, Side, Tap};
use folder::Folder;
use raw::Raw;

fn relay(instrument: SocketAddr, recorder: Recorder) -> Relay {
    let options = RelayOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        instrument: instrument.to_string(),
        connect_timeout: Duration::from_secs(10),
    };
    Relay::start(&options, || Ok(recorder)).unwrap()
}

fn recorder(file: &Path, pixels: bool) -> Recorder {
    Recorder::to_file(file, Options { pixels, ..Options::default() }).unwrap()
}

fn happenings(file: &Path) -> Vec<Happening> {
    Capture::open(file).unwrap().map(Result::unwrap).collect()
}

/// What that side said on the connections of that port, one after the other; not when.
fn said(file: &Path, port: Port, from: Side) -> Vec<Said> {
    let happenings = happenings(file).into_iter();
    let of_it = happenings.filter(|happening| happening.who.port == port && happening.from == from);
    of_it.map(|happening| happening.said).collect()
}

fn frames(said: &[Said]) -> Vec<(Frame, Vec<u8>)> {
    let frame = |said: &Said| match said {
        Said::Frame { frame, payload, .. } => Some((*frame, payload.clone())),
        _ => None,
    };
    said.iter().filter_map(frame).collect()
}

fn open(recorder: &Recorder, port: Port) -> [Tap; 2] {
    recorder.open(port, "10.0.0.7:4000".parse().unwrap(), "10.0.0.5:53717".parse().unwrap())
}

/// Frames that differ in one field.
fn numbered(number: i32) -> Frame {
    let mut frame = Frame::new(CommandCode::UI_SET_GAUGE_VALUE);
    frame.int32_data = [number, 7, 0];
    frame
}

fn image(number: i32, side: u32) -> Vec<u8> {
    let size = 2 * side * side;
    let (index_start, index_stop) = (number, number);
    let header = ImageHeader {
        size,
        width: side,
        height: side,
        index_start,
        index_stop,
        ..ImageHeader::default()
    };
    let pixel = number.to_le_bytes()[0];
    header.encode().into_iter().chain(std::iter::repeat_n(pixel, size as usize)).collect()
}

/// A peer that a test plays, with the relay in front of it: what the client and the peer have.
fn through_relay(recorder: Recorder) -> (Relay, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = relay(listener.local_addr().unwrap(), recorder);
    let client = raw::socket(relay.addresses()[0]);
    let (peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(raw::PATIENCE)).unwrap();
    (relay, client, peer)
}

fn read(socket: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_go_through_the_relay_unchanged_and_all_of_them_are_recorded() {
    let folder = Folder::new("unchanged");
    let file = folder.0.join("run.pcapng");
    let (relay, mut client, mut peer) = through_relay(recorder(&file, false));
    // Noise, a start marker that is none, a payload longer than a packet, half a frame at the end.
    let upload = Frame::command(CommandCode::CAMERA_CHECK_STACK);
    let payload: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let up = [&upload.with_payload_len(200_000).encode()[..], &payload].concat();
    let down = [
        &[9; 7][..],
        &START_MARKER.to_le_bytes(),
        &numbered(1).encode(),
        &numbered(2).encode(),
        &numbered(3).encode()[..50],
    ]
    .concat();
    client.write_all(&up).unwrap();
    assert!(read(&mut peer, up.len()) == up);
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

    let sent = said(&file, Port::Control, Side::Client);
    assert_eq!(frames(&sent), [(upload.with_payload_len(200_000), payload)]);
    let came = said(&file, Port::Control, Side::Instrument);
    let [Said::Frame { noise, frame, .. }, second, Said::Rest { bytes }, Said::Finished] =
        &came[..]
    else {
        panic!("{came:?}")
    };
    assert_eq!((noise.as_slice(), *frame), (&down[..11], numbered(1)));
    assert!(matches!(second, Said::Frame { frame, .. } if *frame == numbered(2)));
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
        let came = said(&file, Port::Live, Side::Instrument);
        assert_eq!(came.len(), 4, "{came:?}");
        for (said, (number, side)) in came.iter().zip([(1, 300), (2, 0), (3, 40)]) {
            let Said::Image { header, pixels: found, checksum } = said else { panic!("{said:?}") };
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
fn what_should_be_an_image_is_recorded_in_whatever_pieces_it_comes() {
    let folder = Folder::new("no-image-pieces");
    let file = folder.0.join("run.pcapng");
    let recorder = recorder(&file, false);
    let [_client, mut instrument] = open(&recorder, Port::Live);
    instrument.bytes(vec![0xFF; 20]);
    instrument.bytes(vec![0xFF; 20]);
    instrument.bytes(vec![0xFF; 500]);
    instrument.finish();
    assert_eq!(recorder.finish().lost_bytes, 500, "behind it nothing can be read");
    let came = said(&file, Port::Live, Side::Instrument);
    assert!(matches!(came[..2], [Said::NoImage(_), Said::Hole { bytes: 500 }]), "{came:?}");
}

#[test]
fn who_ends_a_connection_is_told() {
    let folder = Folder::new("ends");
    for resets in [false, true] {
        let file = folder.0.join(format!("{resets}.pcapng"));
        let (relay, mut client, mut peer) = through_relay(recorder(&file, false));
        client.write_all(&numbered(1).encode()).unwrap();
        read(&mut peer, FRAME_LEN);
        if resets {
            socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(peer);
        let ended = client.read(&mut [0]);
        assert!(ended.is_ok(), "{ended:?}");
        drop(client);
        relay.finish();
        let is_end = |said: &Said| matches!(said, Said::Finished | Said::Reset);
        let mut ends = happenings(&file).into_iter().filter(|happening| is_end(&happening.said));
        let (from, first) = ends.next().map(|end| (end.from, end.said)).unwrap();
        assert_eq!(from, Side::Instrument);
        assert_eq!(first, if resets { Said::Reset } else { Said::Finished });
    }
}

#[test]
fn a_connection_that_the_instrument_does_not_take_is_recorded_as_cut_off() {
    let folder = Folder::new("refused-recorded");
    let file = folder.0.join("run.pcapng");
    // A port that nobody listens on.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = relay(nobody, recorder(&file, false));
    let mut client = raw::socket(relay.addresses()[0]);
    // It is closed, or reset.
    assert!(!matches!(client.read(&mut [0]), Ok(1..)));
    relay.finish();
    let came: Vec<_> = happenings(&file).into_iter().map(|it| (it.from, it.said)).collect();
    assert_eq!(came, [(Side::Client, Said::Opened), (Side::Instrument, Said::Reset)]);
}

#[test]
fn what_should_be_images_and_is_none_is_told() {
    let folder = Folder::new("no-image");
    let file = folder.0.join("run.pcapng");
    let recorder = recorder(&file, false);
    let [_client, mut instrument] = open(&recorder, Port::Live);
    instrument.bytes([image(1, 4), vec![0xFF; 100_000]].concat());
    instrument.finish();
    recorder.finish();
    let came = said(&file, Port::Live, Side::Instrument);
    assert!(matches!(came[..2], [Said::Image { .. }, Said::NoImage(_)]), "{came:?}");
}

fn hole(said: &Said) -> u64 {
    if let Said::Hole { bytes } = said { *bytes } else { 0 }
}

/// Takes so many bytes, then the disk is full.
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
fn a_disk_that_is_full_ends_the_recording_and_nothing_else() {
    let recorder = Recorder::to_writer(Full(4_000), Options::default()).unwrap();
    let (relay, mut client, mut peer) = through_relay(recorder);
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

/// Writes only while it may.
struct Slow {
    file: std::fs::File,
    /// Told when it is to write something.
    asked: Sender<()>,
    go: Receiver<()>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nobody may want to know.
        let _ = self.asked.send(());
        // An error: it may for ever.
        let _ = self.go.recv();
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A recorder whose thread waits for the disk, so that nothing is taken off what waits for it; and
/// what lets it go on.
fn on_a_slow_disk(file: &Path, pixels: bool) -> (Recorder, Sender<()>) {
    let (going, go) = channel();
    let (asked, is_asked) = channel();
    // The beginning of the file.
    going.send(()).unwrap();
    let slow = Slow { file: std::fs::File::create(file).unwrap(), asked, go };
    let options = Options { pixels, waiting: 100_000, ..Options::default() };
    let recorder = Recorder::to_writer(slow, options).unwrap();
    is_asked.recv().unwrap();
    // Something that it has to write.
    let ends = ["10.0.0.9:6000", "10.0.0.5:53717"].map(|end| end.parse().unwrap());
    drop(recorder.open(Port::Control, ends[0], ends[1]));
    is_asked.recv().unwrap();
    (recorder, going)
}

#[test]
fn what_a_slow_disk_does_not_take_is_left_out_counted_and_told_in_the_recording() {
    const FRAMES: i32 = 5_000;
    let folder = Folder::new("slow");
    let file = folder.0.join("run.pcapng");
    let (recorder, going) = on_a_slow_disk(&file, false);
    let [_client, mut instrument] = open(&recorder, Port::Control);
    for n in 0..FRAMES {
        instrument.bytes(numbered(n).encode().to_vec());
    }
    let lost = recorder.status().lost_bytes;
    assert!(lost > 0, "{FRAMES} frames wait");
    drop(going);
    while recorder.waiting() > 0 {
        std::thread::yield_now();
    }
    instrument.bytes(numbered(FRAMES).encode().to_vec());
    instrument.finish();
    assert_eq!(recorder.finish().lost_bytes, lost);
    let came = said(&file, Port::Control, Side::Instrument);
    assert_eq!(came.iter().map(hole).sum::<u64>(), lost);
    let found = frames(&came);
    assert_eq!((found.len() * FRAME_LEN) as u64 + lost, (FRAMES as u64 + 1) * FRAME_LEN as u64);
    assert_eq!(found.last().unwrap().0, numbered(FRAMES), "what comes after it is there again");
}

#[test]
fn a_connection_that_begins_while_nothing_more_may_wait_is_recorded_all_the_same() {
    let folder = Folder::new("slow-open");
    let file = folder.0.join("run.pcapng");
    let (recorder, going) = on_a_slow_disk(&file, false);
    let [_client, mut first] = open(&recorder, Port::Control);
    (0..5_000).for_each(|n| first.bytes(numbered(n).encode().to_vec()));
    let ends = ["10.0.0.8:5000", "10.0.0.5:53717"].map(|end| end.parse().unwrap());
    let [_other, mut second] = recorder.open(Port::Control, ends[0], ends[1]);
    second.bytes(numbered(1).encode().to_vec());
    drop(going);
    while recorder.waiting() > 0 {
        std::thread::yield_now();
    }
    second.bytes(numbered(2).encode().to_vec());
    second.finish();
    let lost = recorder.finish().lost_bytes;
    let happenings = happenings(&file);
    let of_second = happenings.iter().filter(|happening| happening.who.client == ends[0]);
    let of_second: Vec<_> = of_second.map(|happening| &happening.said).collect();
    assert!(matches!(
        of_second[..],
        [Said::Opened, Said::Hole { bytes: 128 }, Said::Frame { .. }, ..]
    ));
    // The first one's holes at its end are told by nothing that comes behind them but its end.
    drop(first);
    assert!(lost >= happenings.iter().map(|happening| hole(&happening.said)).sum());
}

#[test]
fn a_hole_at_the_end_is_told_and_one_of_gigabytes_as_well() {
    let folder = Folder::new("slow-end");
    let huge = bytes::Bytes::from(vec![0; 1 << 29]);
    for times in [1, 5] {
        let file = folder.0.join(format!("{times}.pcapng"));
        let (recorder, going) = on_a_slow_disk(&file, false);
        let [_client, mut instrument] = open(&recorder, Port::Control);
        (0..2_000).for_each(|n| instrument.bytes(numbered(n).encode().to_vec()));
        (0..times).for_each(|_| instrument.bytes(huge.clone()));
        drop(going);
        while recorder.waiting() > 0 {
            std::thread::yield_now();
        }
        if times > 1 {
            // More than sequence numbers can say: the connection begins anew.
            instrument.bytes(numbered(9).encode().to_vec());
        }
        instrument.finish();
        let lost = recorder.finish().lost_bytes;
        let came = said(&file, Port::Control, Side::Instrument);
        if times > 1 {
            assert_eq!(frames(&came).last().unwrap().0, numbered(9));
        } else {
            assert_eq!(came.iter().map(hole).sum::<u64>(), lost);
        }
    }
}

#[test]
fn an_image_that_a_slow_disk_does_not_take_is_left_out_as_a_whole() {
    let folder = Folder::new("slow-images");
    let file = folder.0.join("run.pcapng");
    let (recorder, going) = on_a_slow_disk(&file, true);
    let [_client, mut instrument] = open(&recorder, Port::Live);
    let bytes: Vec<u8> = (0..50).flat_map(|n| image(n, 100)).collect();
    bytes.chunks(3_000).for_each(|chunk| instrument.bytes(chunk.to_vec()));
    drop(going);
    instrument.finish();
    let lost = recorder.finish().lost_bytes;
    let came = said(&file, Port::Live, Side::Instrument);
    let whole = came.iter().filter(|said| matches!(said, Said::Image { pixels: Some(_), .. }));
    let whole = whole.count() as u64;
    let one = HEADER_LEN as u64 + 20_000;
    assert!(lost > 0 && whole > 0, "{lost} {whole}");
    assert_eq!(whole * one + lost, 50 * one, "no image is half there");
}

#[test]
fn each_file_of_a_folder_stands_for_itself_and_the_oldest_go() {
    const FRAMES: i32 = 2_000;
    let folder = Folder::new("rotation");
    let rotation = Rotation { bytes: 20_000, age: Duration::MAX, keep: 5 };
    let recorder = Recorder::to_folder(&folder.0, rotation, Options::default()).unwrap();
    std::fs::write(folder.0.join("notes.txt"), "stays").unwrap();
    let [mut client, mut instrument] = open(&recorder, Port::Control);
    for n in 0..FRAMES {
        let bytes = numbered(n).encode();
        // In two parts: no file begins between them.
        instrument.bytes(bytes[..100].to_vec());
        client.bytes(Frame::command(CommandCode::SYSTEM_STATE_GET).encode().to_vec());
        instrument.bytes(bytes[100..].to_vec());
    }
    client.finish();
    instrument.finish();
    let status = recorder.finish();
    assert!(status.files > 20, "{status:?}");
    let files = folder.files();
    let (notes, files): (Vec<_>, Vec<_>) =
        files.iter().partition(|file| file.ends_with("notes.txt"));
    assert_eq!((notes.len(), files.len()), (1, 5));
    let mut expected = FRAMES - 1;
    for file in files.into_iter().rev() {
        assert!(file.metadata().unwrap().len() < 25_000);
        let found = frames(&said(file, Port::Control, Side::Instrument));
        for (frame, _) in found.into_iter().rev() {
            assert_eq!(frame, numbered(expected));
            expected -= 1;
        }
    }
}

#[test]
fn a_connection_that_hangs_in_an_image_does_not_spoil_the_files_of_the_others() {
    let folder = Folder::new("rotation-hangs");
    let rotation = Rotation { bytes: 30_000, age: Duration::MAX, keep: 100 };
    let options = Options { pixels: true, ..Options::default() };
    let recorder = Recorder::to_folder(&folder.0, rotation, options).unwrap();
    let [_one, mut hangs] = open(&recorder, Port::Live);
    hangs.bytes(image(1, 60)[..4_000].to_vec());
    let ends = ["10.0.0.8:5000", "10.0.0.5:53718"].map(|end| end.parse().unwrap());
    let [_other, mut goes_on] = recorder.open(Port::Live, ends[0], ends[1]);
    let all: Vec<u8> = (0..60).flat_map(|n| image(n, 40)).collect();
    // No file begins where this one is between two images.
    all.chunks(2_000).for_each(|chunk| goes_on.bytes(chunk.to_vec()));
    hangs.bytes(image(1, 60)[4_000..].to_vec());
    hangs.bytes(image(2, 60));
    for tap in [hangs, goes_on] {
        tap.finish();
    }
    let status = recorder.finish();
    assert!(status.files >= 3, "{status:?}");
    let mut images = Vec::new();
    for file in folder.files() {
        let came = said(&file, Port::Live, Side::Instrument);
        assert!(!came.iter().any(|said| matches!(said, Said::NoImage(_))), "{}", file.display());
        images.extend(
            came.into_iter().filter(|said| matches!(said, Said::Image { pixels: Some(_), .. })),
        );
    }
    // Each file may cost one image of each connection.
    assert!(images.len() as u64 + 2 * status.files >= 62, "{} {status:?}", images.len());
}

#[test]
fn a_file_that_is_old_enough_is_followed_by_another() {
    let folder = Folder::new("age");
    let rotation = Rotation { bytes: u64::MAX, age: Duration::from_micros(1), keep: 100 };
    let recorder = Recorder::to_folder(&folder.0, rotation, Options::default()).unwrap();
    let [_client, mut instrument] = open(&recorder, Port::Control);
    for n in 0..10 {
        instrument.bytes(numbered(n).encode().to_vec());
    }
    drop(instrument);
    assert!(recorder.finish().files >= 2);
}

#[test]
fn a_recording_that_was_cut_off_is_read_up_to_there() {
    let folder = Folder::new("cut");
    let file = folder.0.join("run.pcapng");
    let recorder = recorder(&file, false);
    let [_client, mut instrument] = open(&recorder, Port::Control);
    for n in 0..10 {
        instrument.bytes(numbered(n).encode().to_vec());
    }
    instrument.finish();
    recorder.finish();
    let bytes = std::fs::read(&file).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        let cut = bytes[..length].to_vec();
        let Ok(capture) = Capture::from_reader(Box::new(io::Cursor::new(cut))) else { continue };
        let read: Vec<_> = capture.collect();
        let whole =
            read.iter().flatten().filter(|happening| matches!(happening.said, Said::Frame { .. }));
        // About 220 bytes a packet, behind the beginning.
        assert!(whole.count() + 3 >= length.saturating_sub(600) / 260, "{length}");
    }
}

/// A conversation of which every frame depends on chance, and on the client.
const BUSY: &str = "
    [background]
    frames_per_s = 200.0
    [stage]
    speed_factor = 20.0
    [images]
    width = 64
    height = 48
    frames_per_s = 40
    [faults]
    junk = { every_n = 40 }
";

type Heard = Vec<(Frame, Vec<u8>)>;

/// Everything that comes up to the frame that is wanted.
fn hear(client: &mut Raw, all: &mut Heard, wanted: impl Fn(&Frame) -> bool) {
    let (before, last) = client.until(wanted);
    all.extend(before.into_iter().chain([last]).map(|got| (got.frame, got.payload)));
}

fn ask(client: &mut Raw, all: &mut Heard, query: Frame) {
    client.send(&query);
    // Pushes have a flag that answers have not.
    let pushed = Flags::STAGE_POSITIONS_IN_BUFFER;
    hear(client, all, |got| got.code == query.code && !got.flags.contains(pushed));
}

/// What a client does; it gives, in order, everything that came.
fn session(control: SocketAddr, live: SocketAddr) -> (Heard, Vec<Vec<u8>>) {
    let (mut client, mut viewer) = (Raw::to(control), raw::socket(live));
    let (client, all) = (&mut client, &mut Vec::new());
    let of = Frame::command;
    ask(client, all, of(CommandCode::SYSTEM_STATE_GET));
    ask(client, all, of(CommandCode::COMMON_SCOPE_SETTINGS_LOAD));
    for (axis, target) in [(1, 7.0), (2, 15.5)] {
        ask(client, all, raw::move_to(axis, target));
        hear(client, all, |got| got.code == CommandCode::STAGE_MOTION_STOPPED);
        ask(client, all, of(CommandCode::STAGE_POSITION_GET).with_selector(axis));
        ask(client, all, of(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET));
    }
    ask(client, all, of(CommandCode::CAMERA_LIVE_VIEW_START));
    let images = (0..10).map(|_| raw::image(&mut viewer).bytes).collect();
    ask(client, all, of(CommandCode::CAMERA_LIVE_VIEW_STOP));
    (std::mem::take(all), images)
}

/// A session with the simulator, recorded with pixels.
fn recorded(file: &Path) -> (Heard, Vec<Vec<u8>>) {
    let simulator = raw::simulator(BUSY);
    let relay = relay(simulator.control(), recorder(file, true));
    let [control, live, _] = relay.addresses();
    let seen = session(control, live);
    assert_eq!(relay.finish().lost_bytes, 0);
    seen
}

fn replay(file: &Path, speed: Speed) -> Replay {
    let options = ReplayOptions { speed, ..ReplayOptions::default() };
    smol::block_on(Replay::start(file, options)).unwrap()
}

#[test]
fn a_client_of_the_replay_gets_the_same_answers_and_events_in_the_same_order() {
    let folder = Folder::new("faithful");
    let file = folder.0.join("run.pcapng");
    let (frames, images) = recorded(&file);
    assert!(frames.len() > 50, "{}", frames.len());
    for speed in [Speed::Times(1.0), Speed::Times(20.0), Speed::Max] {
        let replay = replay(&file, speed);
        let [control, live, _] = replay.addresses();
        // Each time anew: behind the last connection the first one comes again.
        for _ in 0..2 {
            let (again, images_again) = session(control, live);
            assert!(again == frames, "at {speed:?}: {} of {}", again.len(), frames.len());
            assert!(images_again == images, "at {speed:?}");
        }
    }
}

#[test]
fn recording_a_replay_gives_the_same_frames() {
    let folder = Folder::new("again");
    let [file, again] = ["run.pcapng", "again.pcapng"].map(|name| folder.0.join(name));
    let (frames_seen, _) = recorded(&file);
    let replay = replay(&file, Speed::Times(2.0));
    let [control, ..] = replay.addresses();
    let relay = relay(control, recorder(&again, true));
    let [control, live, _] = relay.addresses();
    session(control, live);
    relay.finish();
    let [first, second] = [&file, &again].map(|file| {
        let sent = frames(&said(file, Port::Control, Side::Client));
        (
            sent,
            said(file, Port::Control, Side::Instrument),
            said(file, Port::Live, Side::Instrument),
        )
    });
    assert!(first.0 == second.0, "what the client sent");
    // Noise, frames, payloads; behind what the client saw, a recording ends when it does.
    let common = frames_seen.len();
    assert!(first.1[..common] == second.1[..common], "what the instrument sent");
    assert!(first.2[..10] == second.2[..10], "images with their pixels");
}

#[test]
fn images_without_pixels_are_played_black() {
    let folder = Folder::new("black");
    let file = folder.0.join("run.pcapng");
    let recorder = recorder(&file, false);
    let [client, mut instrument] = open(&recorder, Port::Live);
    instrument.bytes(image(5, 200));
    instrument.finish();
    client.finish();
    recorder.finish();
    let replay = replay(&file, Speed::Max);
    let mut viewer = raw::socket(replay.addresses()[1]);
    let played = raw::image(&mut viewer);
    assert_eq!((played.header.index_start, played.header.width), (5, 200));
    assert!(played.bytes[HEADER_LEN..].iter().all(|byte| *byte == 0));
    assert_eq!(viewer.read(&mut [0]).unwrap(), 0, "the instrument had ended it");
}
