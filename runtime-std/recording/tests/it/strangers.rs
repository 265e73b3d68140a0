//! Peers of the relay and the replay that are no clients: they send no frame, half a frame, or connect too
//! often. What web pages send is tested with the bridge.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use crate::recorded::{kinds, numbered, open, recorder, relay};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_recording::capture::EventKind;
use flamingo_recording::replay::{Replay, ReplayOptions};
use flamingo_recording::{Port, Side};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::{self, RawClient, query};

/// Whether the server closes the connection without a byte.
fn is_closed(mut socket: TcpStream) -> bool {
    match socket.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// A replay of a recording with one query and its answer.
fn replay(folder: &Folder) -> Replay {
    let file = folder.0.join("played.pcapng");
    let recorder = recorder(&file, false);
    let [mut sent, mut came] = open(&recorder, Port::Control);
    sent.bytes(query(1).encode().to_vec());
    came.bytes(Frame { status: 1, ..query(1) }.encode().to_vec());
    sent.finish();
    came.finish();
    recorder.finish();
    smol::block_on(Replay::start(&file, ReplayOptions::default())).unwrap()
}

#[test]
fn a_mute_peer_of_relay_and_replay_is_closed_in_time() {
    let folder = Folder::new("mute");
    let simulator = raw_client::simulator("");
    let relay = relay(simulator.control(), recorder(&folder.0.join("run.pcapng"), false));
    let replay = replay(&folder);
    let viewers = [relay.addresses()[1], replay.addresses()[1]].map(raw_client::socket);
    let [relay_control, replay_control] = [relay.addresses()[0], replay.addresses()[0]];
    let mut half = raw_client::socket(replay_control);
    half.write_all(&query(1).encode()[..127]).unwrap();
    let mut began = raw_client::socket(replay_control);
    began.write_all(&[&query(1).encode()[..], &query(2).encode()[..1]].concat()).unwrap();
    began.read_exact(&mut [0; 128]).unwrap();
    let half_viewers = [relay.addresses()[2], replay.addresses()[2]].map(|port| {
        let mut viewer = raw_client::socket(port);
        viewer.write_all(&query(1).encode()[..127]).unwrap();
        viewer
    });
    let mute = [raw_client::socket(relay_control), raw_client::socket(replay_control), half, began];
    assert!(mute.into_iter().chain(half_viewers).all(is_closed));
    // A viewer may be silent for ever.
    for viewer in viewers {
        viewer.set_nonblocking(true).unwrap();
        let read = (&viewer).read(&mut [0]).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn a_client_without_a_frame_opens_no_instrument_connection() {
    let folder = Folder::new("half-frame");
    let file = folder.0.join("run.pcapng");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let relay = relay(listener.local_addr().unwrap(), recorder(&file, false));
    let frame = numbered(1).encode();
    // Half a frame, bytes of a web page, and, until it is late, nothing.
    for sent in [&frame[..127], b"POST / HTTP/1.1\r\n\r\n", &[]] {
        let mut client = raw_client::socket(relay.addresses()[0]);
        client.write_all(sent).unwrap();
        if sent.len() == 127 {
            client.shutdown(Shutdown::Write).unwrap();
        }
        assert!(is_closed(client), "{} bytes", sent.len());
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    relay.finish();
    let sent = kinds(&file, Port::Control, Side::Client);
    let noted = |kind: &EventKind| matches!(kind, EventKind::Note { by_recorder: true, .. });
    let (notes, sent): (Vec<_>, Vec<_>) = sent.into_iter().partition(noted);
    assert_eq!(notes.len(), 2, "who was refused: {notes:?}");
    let [first, left, second, refused, third, late] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!([first, second, third], [&EventKind::Opened; 3]);
    assert_eq!([left, refused, late], [&EventKind::Finished, &EventKind::Reset, &EventKind::Reset]);
}

#[test]
fn the_relay_connects_when_the_first_frame_is_whole() {
    let folder = Folder::new("whole-frame");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let relay =
        relay(listener.local_addr().unwrap(), recorder(&folder.0.join("run.pcapng"), false));
    let frames = [numbered(1).encode(), numbered(2).encode()].concat();
    let mut client = raw_client::socket(relay.addresses()[0]);
    client.write_all(&frames[..127]).unwrap();
    // A second client is served first, although it has connected later.
    let mut second = raw_client::socket(relay.addresses()[0]);
    second.write_all(&frames[128..]).unwrap();
    let read = |length| {
        let (mut peer, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(raw_client::PATIENCE)).unwrap();
        let mut bytes = vec![0; length];
        peer.read_exact(&mut bytes).unwrap();
        bytes
    };
    assert!(read(128) == frames[128..]);
    client.write_all(&frames[127..]).unwrap();
    assert!(read(256) == frames);
}

/// Opens as many connections as a control port serves, and then more.
fn fill(control: SocketAddr) {
    const LIMIT: usize = 32;
    let mut clients: Vec<_> = (0..LIMIT).map(|_| RawClient::to(control)).collect();
    for client in &mut clients {
        assert_eq!(client.ask(&query(1)).frame.code, CommandCode::STAGE_POSITION_GET);
    }
    for _ in 0..5 {
        assert!(is_closed(raw_client::socket(control)));
    }
    assert!(clients.iter_mut().all(|client| client.waiting().is_empty()));
}

#[test]
fn connections_above_the_limit_are_closed_at_once() {
    let folder = Folder::new("limits");
    let simulator = raw_client::simulator("[server]\ncontrol_clients = 100\n");
    let relay = relay(simulator.control(), recorder(&folder.0.join("run.pcapng"), false));
    fill(relay.addresses()[0]);
    let replay = replay(&folder);
    fill(replay.addresses()[0]);
}

#[test]
fn a_stranger_at_the_relay_reaches_no_instrument() {
    let folder = Folder::new("no-connection");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let relay =
        relay(listener.local_addr().unwrap(), recorder(&folder.0.join("run.pcapng"), false));
    let mut page = raw_client::socket(relay.addresses()[0]);
    page.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(is_closed(page));
    listener.set_nonblocking(true).unwrap();
    let accepted = listener.accept().unwrap_err();
    assert_eq!(accepted.kind(), ErrorKind::WouldBlock);
}
