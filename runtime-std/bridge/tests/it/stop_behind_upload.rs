//! A HALT behind an upload, on real sockets: the instrument of the test reads an upload slowly, and serves
//! one connection at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::spawn;
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_protocol_core::{CommandCode as Code, Frame};
use flamingo_runtime_testkit::raw_client::{PATIENCE, RawClient, command};
use smol::Timer;
use socket2::{Domain, Socket, Type};

use crate::harness::bridge;

/// The length of an upload; at 3 MB/s it takes 10 s.
const UPLOAD: usize = 32 << 20;

/// A port whose connections hold few bytes that the instrument has not read.
fn port() -> (Socket, SocketAddr) {
    let port = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    port.set_recv_buffer_size(64 * 1024).expect("an option");
    // It also limits how long the test waits for a connection.
    port.set_read_timeout(Some(PATIENCE)).expect("an option");
    port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let address = port.local_addr().expect("an address").as_socket().expect("TCP");
    (port, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (link, _) = listener.accept().expect("the bridge connects");
    link.set_read_timeout(Some(PATIENCE)).expect("an option");
    link
}

fn read_frame(link: &mut TcpStream) -> Frame {
    let mut bytes = [0; 128];
    link.read_exact(&mut bytes).expect("a frame");
    Frame::decode(&bytes).expect("whole frames")
}

/// Reads a query for the state and answers it.
fn shake_hands(link: &mut TcpStream) {
    let query = read_frame(link);
    assert_eq!(query.code, Code::SYSTEM_STATE_GET);
    let idle = Frame { status: 1, ..query }.with_selector(Code::SYSTEM_STATE_IDLE.0 as i32);
    link.write_all(&idle.encode()).expect("the link is open");
}

/// Reads 3 MB/s until the connection ends. Returns how many bytes came, and how it ended.
fn read_slowly(link: &mut TcpStream) -> (usize, Option<ErrorKind>) {
    let (mut total, mut buffer) = (0, vec![0; 32 * 1024]);
    loop {
        match link.read(&mut buffer) {
            Ok(0) => return (total, None),
            Ok(count) => total += count,
            Err(error) => return (total, Some(error.kind())),
        }
        smol::block_on(Timer::after(Duration::from_millis(10)));
    }
}

#[test]
fn a_halt_behind_an_upload_goes_first_on_a_fresh_link() {
    let (port, address) = port();
    port.listen(1).expect("a port");
    let listener = TcpListener::from(port);
    let instrument = spawn(move || {
        let mut link = accept(&listener);
        shake_hands(&mut link);
        let (read, end) = read_slowly(&mut link);
        assert!(read < UPLOAD, "the upload is cut: {read}");
        assert_eq!(end, Some(ErrorKind::ConnectionReset), "it does not wait to be read");
        drop(link);
        let mut link = accept(&listener);
        let first = read_frame(&mut link);
        shake_hands(&mut link);
        link.write_all(&Frame { status: 1, ..first }.encode()).expect("the link is open");
        // The second upload follows; its client has waited for its turn.
        (first, read_frame(&mut link))
    });
    let bridge = bridge(address, |settings| settings.limits.bytes_per_s = 1 << 30);
    let mut uploading = [RawClient::to(bridge.control()), RawClient::to(bridge.control())];
    let save = command(Code::COMMON_SCOPE_SETTINGS_SAVE);
    for client in &mut uploading {
        client.upload(&save, &vec![5; UPLOAD]);
    }
    let mut stopping = RawClient::to(bridge.control());
    // The answer proves that the bridge has read the uploads; it is refused, since the axis is unknown.
    let bad = command(Code::STAGE_HOME).with_selector(9);
    for client in &mut uploading {
        client.send(&bad);
        assert_eq!(client.until_code(bad.code).1.frame.status, 0);
    }
    stopping.send(&command(Code::STAGE_HALT).with_selector(2));
    let halted = stopping.until_code(Code::STAGE_HALT).1.frame;
    assert_eq!((halted.status, halted.selector()), (1, 2), "the answer of the instrument");
    let refused = uploading.iter_mut().map(|client| client.until_code(save.code).1.frame);
    let texts: Vec<_> = refused.map(|frame| frame.text().expect("text").to_owned()).collect();
    assert!(texts.iter().all(|text| text.starts_with("refused: ")), "{texts:?}");
    uploading[0].upload(&save, &[5; 10]);
    let (first, last) = instrument.join().expect("the instrument saw what it should");
    assert_eq!((first.code, first.selector()), (Code::STAGE_HALT, 2));
    assert_eq!((last.code, last.payload_len), (save.code, 10));
    smol::block_on(bridge.stop());
}

/// A bridge that would wait a minute before it connects again, and whose clients soon learn that their
/// stop was not sent.
fn patient_bridge(upstream: SocketAddr) -> Bridge {
    let mut settings = BridgeSettings::new(upstream.to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.upstream.reconnect_min_ms = 60_000;
    settings.upstream.reconnect_max_ms = 60_000;
    settings.upstream.request_timeout_ms = 300;
    smol::block_on(Bridge::start(&settings)).expect("free ports")
}

/// Sends a HALT and waits until the client is told that it was not sent.
fn halt_in_vain(client: &mut RawClient) {
    client.send(&command(Code::STAGE_HALT).with_selector(1));
    let told = client.until_code(Code::STAGE_HALT).1.frame;
    assert!(told.text().expect("text").contains("no connection yet"), "{told}");
}

#[test]
fn a_refused_connection_does_not_make_a_halt_wait() {
    let (port, address) = port(); // it refuses connections
    let bridge = patient_bridge(address);
    halt_in_vain(&mut RawClient::to(bridge.control()));
    // The bridge has tried to connect for this stop, and could not.
    port.listen(1).expect("a port");
    let mut link = accept(&TcpListener::from(port));
    let first = read_frame(&mut link);
    assert_eq!((first.code, first.selector()), (Code::STAGE_HALT, 1));
    drop(link);
    smol::block_on(bridge.stop());
}

#[test]
fn an_instrument_that_closes_at_once_is_not_called_without_end() {
    let (port, address) = port();
    port.listen(128).expect("a port");
    let listener = TcpListener::from(port);
    let bridge = patient_bridge(address);
    let (count, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, is_done) = (Arc::clone(&count), Arc::clone(&done));
    let instrument = spawn(move || {
        while !is_done.load(Ordering::SeqCst) {
            drop(accept(&listener));
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    halt_in_vain(&mut RawClient::to(bridge.control()));
    let connections = count.load(Ordering::SeqCst);
    assert!((2..100).contains(&connections), "{connections} connections in 300 ms");
    done.store(true, Ordering::SeqCst);
    drop(TcpStream::connect(address));
    instrument.join().expect("it accepts until the end");
    smol::block_on(bridge.stop());
}
