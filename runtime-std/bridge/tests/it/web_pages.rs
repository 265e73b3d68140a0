//! What a web page can make a browser send, to every port of the bridge, the simulator, the relay and the
//! replay: no command is run, and the connection is closed. No browser is needed: the folder `browser` has
//! the recorded bytes of two.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, spawn};

use flamingo_protocol_core::{CommandCode as Code, Frame, time::Instant, wire::FRAME_LEN};
use flamingo_recording::capture::{Capture, EventKind};
use flamingo_recording::relay::{Relay, RelayOptions};
use flamingo_recording::replay::{Replay, ReplayOptions};
use flamingo_recording::{Port, Recorder, RecorderOptions, Side};
use flamingo_runtime_std::{CommandReader, InputLimits};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::{RawClient, command, query, simulator, socket};
use flamingo_simulator::FaultKind;

use crate::harness::{bridge, status, until};

/// The frames that a page hides in a request.
fn hidden() -> Vec<u8> {
    let frames = [
        command(Code::STAGE_HOME).with_selector(1),
        command(Code::STAGE_POSITION_SET).with_selector(1).with_value(5.0),
        command(Code::LASER_ENABLE).with_selector(1),
        query(1),
    ];
    frames.iter().flat_map(Frame::encode).collect()
}

/// All bytes that are tried, each with a name.
fn requests() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let files = std::fs::read_dir(folder).expect("the folder with what browsers send");
    let files = files.map(|file| file.expect("a file").path());
    let recorded = files.filter(|path| path.extension().is_some_and(|end| end == "bin"));
    let mut requests: Vec<_> = recorded
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("it can be read"))
        })
        .collect();
    assert!(requests.len() > 20, "there are recorded bytes");
    requests.extend(crafted().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)));
    requests
}

/// What no recording has.
fn crafted() -> Vec<(&'static str, Vec<u8>)> {
    let hidden = hidden();
    let frame = query(1).encode();
    let begin = |begin: &[u8]| [begin, &hidden].concat();
    let marker_only = [&frame[..4], &[0; 200]].concat();
    let mut no_end = frame.to_vec();
    no_end[FRAME_LEN - 1] ^= 1;
    // The frame that is refused holds the start of one that is whole.
    let mut nested = frame.to_vec();
    nested[60..64].copy_from_slice(&frame[..4]);
    nested.truncate(60 + 4);
    nested.extend_from_slice(&frame[4..]);
    vec![
        ("TRACE", begin(b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("preflight", begin(b"OPTIONS / HTTP/1.1\r\nAccess-Control-Request-Method: PUT\r\n\r\n")),
        ("HTTP/2", begin(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0")),
        ("TLS", begin(b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03")),
        ("STUN", begin(b"\x00\x01\x00\x00\x21\x12\xA4\x42")),
        ("TURN over TCP", begin(b"\x00\x03\x00\x08\x21\x12\xA4\x42")),
        ("RFC 4571", begin(b"\x00\x1C\x80\xC9\x00\x06")),
        ("FTP", begin(b"USER anonymous\r\n")),
        ("T and UTF-8", begin("T\u{e6}!\u{f3}".as_bytes())),
        ("a part of the marker", begin(&frame[..3])),
        ("one byte", begin(b"\0")),
        ("a marker only", [marker_only, hidden.clone()].concat()),
        ("no end marker", begin(&no_end)),
        ("a frame in a frame", begin(&nested)),
    ]
}

/// Whole, byte by byte, and in two parts at each position that `wanted` accepts.
fn divisions(bytes: &[u8], wanted: impl Fn(usize) -> bool) -> Vec<Vec<&[u8]>> {
    let cuts = (1..bytes.len()).filter(|at| wanted(*at));
    let two = cuts.map(|at| vec![&bytes[..at], &bytes[at..]]);
    two.chain([vec![bytes], bytes.chunks(1).collect()]).collect()
}

/// Sends the parts and waits until the connection is closed. Returns what came back.
fn send(address: SocketAddr, parts: &[&[u8]]) -> Vec<u8> {
    let mut page = socket(address);
    // The connection may be closed before everything is written.
    let _ = parts.iter().try_for_each(|part| page.write_all(part));
    let mut came = Vec::new();
    if let Err(error) = page.read_to_end(&mut came) {
        let ends =
            [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
        assert!(ends.contains(&error.kind()), "it was not closed: {error}");
    }
    came
}

/// Sends everything in many divisions to a control port, and as a whole to the other ports. Nothing may
/// come back from the control port.
fn attack(control: SocketAddr, others: &[SocketAddr]) {
    for (name, bytes) in requests() {
        for parts in divisions(&bytes, |at| at < 8 || at % 61 == 0) {
            let came = send(control, &parts);
            assert!(came.is_empty(), "{name}: {came:?}");
        }
        for other in others {
            send(*other, &[&bytes[..]]);
        }
    }
}

/// Whether the reader, which all ports use, finds a frame before it refuses.
fn finds_frame(parts: &[&[u8]]) -> bool {
    let now = Instant::default();
    let mut reader = CommandReader::new(now, InputLimits::COMMANDS);
    for mut part in parts.iter().copied() {
        while !part.is_empty() {
            match reader.handle_input(now, part) {
                Ok((_, Some(_))) => return true,
                Ok((consumed, None)) => part = &part[consumed..],
                Err(_) => return false,
            }
        }
    }
    panic!("it was not refused")
}

#[test]
fn no_frame_is_found_in_a_request_however_it_is_cut() {
    for (name, bytes) in requests() {
        for parts in divisions(&bytes, |_| true) {
            assert!(!finds_frame(&parts), "{name}: {:?}", parts[0]);
        }
    }
    assert!(finds_frame(&[&hidden()]));
}

#[test]
fn a_web_page_reaches_nothing_behind_the_bridge() {
    let simulator = simulator("");
    let bridge = bridge(simulator.control(), |settings| settings.limits.noise_bytes = 100_000);
    let others = [bridge.live(), bridge.stack(), bridge.callback()].map(|port| port.expect("on"));
    attack(bridge.control(), &others);
    let mut client = RawClient::to(bridge.control());
    assert_eq!(client.ask(&query(2)).frame.status, 1);
    let received = simulator.truth().received();
    let codes: Vec<_> = received.iter().map(|record| record.frame.code).collect();
    assert_eq!(codes, [Code::SYSTEM_STATE_GET, Code::STAGE_POSITION_GET]);
    // All places are free again.
    until(&bridge, |status| status.callback.subscribers + status.live.viewers == 0);
    assert_eq!(status(&bridge).clients.len(), 1);
}

#[test]
fn a_web_page_reaches_nothing_in_the_simulator() {
    let simulator = simulator("");
    attack(simulator.control(), &[simulator.live(), simulator.stack()]);
    let mut client = RawClient::connect(&simulator);
    assert_eq!(client.ask(&query(2)).frame.status, 1);
    let received = simulator.truth().received();
    assert!(received.iter().all(|record| record.frame == query(2)), "{received:?}");
    let faults = simulator.truth().faults();
    assert!(faults.len() > 100 && faults.iter().all(|it| it.kind == FaultKind::NotAClient));
}

/// A peer on three ports that reports every byte that it receives.
struct ByteSink {
    control: SocketAddr,
    bytes: Receiver<Vec<u8>>,
}

impl ByteSink {
    fn start() -> Self {
        let (report, bytes) = channel();
        let listeners = three_in_a_row();
        let control = listeners[0].local_addr().expect("an address");
        for listener in listeners {
            let report = report.clone();
            let serve = move || -> std::io::Result<()> {
                loop {
                    let (stream, _) = listener.accept()?;
                    let report = report.clone();
                    let _: JoinHandle<_> = spawn(move || report.send(all_bytes(stream)));
                }
            };
            let _: JoinHandle<_> = spawn(serve);
        }
        Self { control, bytes }
    }
}

fn all_bytes(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error is in it.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn three_in_a_row() -> [TcpListener; 3] {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = first.local_addr().expect("an address").port();
        let next = |steps: u16| {
            let port = port.checked_add(steps)?;
            TcpListener::bind(("127.0.0.1", port)).ok()
        };
        if let (Some(second), Some(third)) = (next(1), next(2)) {
            return [first, second, third];
        }
    }
}

#[test]
fn a_web_page_reaches_nothing_behind_the_relay() {
    let folder = Folder::new("web-page-relay");
    let file = folder.0.join("run.pcapng");
    let sink = ByteSink::start();
    let options = RelayOptions::new(([127, 0, 0, 1], 0).into(), sink.control.to_string());
    let begin = || Recorder::to_file(&file, RecorderOptions::default());
    let relay = Relay::start(&options, begin).expect("free ports");
    let [control, live, stack] = relay.addresses();
    attack(control, &[live, stack]);
    // A client passes, also if its first frame comes in parts.
    let mut client = socket(control);
    let frames = [query(1).encode(), query(2).encode()].concat();
    frames.chunks(50).for_each(|part| client.write_all(part).expect("it is open"));
    drop(client);
    let last = sink.bytes.iter().find(|bytes| !bytes.is_empty());
    assert!(last == Some(frames), "{last:?}");
    relay.finish();
    assert!(sink.bytes.try_iter().all(|bytes| bytes.is_empty()));
    let sent = Capture::open(&file).expect("a file").map(|event| event.expect("whole"));
    let sent = sent.filter(|event| event.from == Side::Client);
    let frames = sent.filter(|event| matches!(event.kind, EventKind::Message { .. }));
    assert_eq!(frames.count(), 2, "nothing else is recorded as sent");
    let text = std::fs::read(&file).expect("a file");
    let comment = b"refused: expected a frame (54 E6 21 F3 ...), found 47 45 54 20";
    assert!(text.windows(comment.len()).any(|window| window == comment));
}

#[test]
fn a_web_page_is_not_answered_by_the_replay() {
    let folder = Folder::new("web-page-replay");
    let file = folder.0.join("run.pcapng");
    let recorder = Recorder::to_file(&file, RecorderOptions::default()).expect("a file");
    for connection in 1..=2 {
        let client = SocketAddr::from(([10, 0, 0, 7], 4000 + connection));
        let [mut sent, mut came] =
            recorder.open(Port::Control, client, ([10, 0, 0, 5], 53_717).into());
        sent.bytes(query(1).encode().to_vec());
        let answer = Frame { status: 1, value: f64::from(connection), ..query(1) };
        came.bytes(answer.encode().to_vec());
        sent.finish();
        came.finish();
    }
    recorder.finish();
    let replay = smol::block_on(Replay::start(&file, ReplayOptions::default())).expect("it plays");
    let [control, live, stack] = replay.addresses();
    attack(control, &[live, stack]);
    // The pages have not taken the turn of the first client.
    let mut client = RawClient::to(control);
    assert!((client.ask(&query(1)).frame.value - 1.0).abs() < 1e-9);
}

#[test]
fn a_mute_client_gives_its_place_back_and_a_viewer_stays() {
    let simulator = simulator("");
    let bridge = bridge(simulator.control(), |settings| {
        settings.limits.clients = 1;
        settings.limits.first_frame_s = 1;
    });
    let ports = [bridge.live(), bridge.stack(), bridge.callback()];
    let viewers = ports.map(|port| socket(port.expect("on")));
    let mut mute = socket(bridge.control());
    assert!(matches!(mute.read(&mut [0]), Ok(0)), "it is closed");
    until(&bridge, |status| status.clients.is_empty());
    let mut client = RawClient::to(bridge.control());
    assert_eq!(client.ask(&query(1)).frame.status, 1);
    until(&bridge, |status| status.callback.subscribers == 1 && status.live.viewers == 1);
    drop(viewers);
}
