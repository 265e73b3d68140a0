//! What the operating system allows: servers that cost as little as possible, blocking clients, relays that only copy
//! bytes, and a bare smol socket. Each benchmark compares the crates with one of these.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::spawn;

use flamingo_protocol_core::{CommandCode, Flags, Frame, wire::FRAME_LEN};
use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::Stopwatch;
use super::processors::use_last;

/// As many bytes as the driver reads at once.
pub const READ_LEN: usize = flamingo_runtime_std::driver::READ_CHUNK;

/// The query of all round trips.
pub fn query() -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1)
}

/// A position update, as it is pushed during a motion.
pub fn event() -> Frame {
    let mut frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(1);
    frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    frame.set_text("1=7.635\n2=15\n3=19\n").expect("it fits");
    frame
}

pub fn open(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("the port is open");
    socket.set_nodelay(true).expect("a socket");
    socket
}

/// Serves each connection with `serve` on a thread of its own, on the last processor of the run.
pub fn server(serve: impl Fn(TcpStream) + Send + Clone + 'static) -> SocketAddr {
    listen(use_last, serve)
}

fn listen(
    begin: impl FnOnce() + Send + 'static,
    serve: impl Fn(TcpStream) + Send + Clone + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    spawn(move || {
        begin();
        while let Ok((socket, _)) = listener.accept() {
            socket.set_nodelay(true).expect("a socket");
            let serve = serve.clone();
            spawn(move || serve(socket));
        }
    });
    address
}

/// An instrument that answers each frame with the same frame: whatever has come is read in one read and answered
/// in one write.
pub fn echo_server() -> SocketAddr {
    server(|socket| echo(socket, |_| true))
}

/// Answers the frames that `answers` says.
fn echo(mut socket: TcpStream, answers: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; READ_LEN];
    let mut held = 0;
    while let Ok(count @ 1..) = socket.read(&mut buffer[held..]) {
        held += count;
        let whole = held - held % FRAME_LEN;
        let mut kept = 0;
        for at in (0..whole).step_by(FRAME_LEN) {
            if answers(&buffer[at..at + FRAME_LEN]) {
                if kept < at {
                    buffer.copy_within(at..at + FRAME_LEN, kept);
                }
                kept += FRAME_LEN;
            }
        }
        if socket.write_all(&buffer[..kept]).is_err() {
            return;
        }
        buffer.copy_within(whole..held, 0);
        held -= whole;
    }
}

/// Blocking round trips of one frame. Appends the time of each.
pub fn ping_pong(socket: &mut TcpStream, count: usize, times: &mut Vec<f64>) {
    let query = query().encode();
    let mut answer = [0; FRAME_LEN];
    for _ in 0..count {
        times.push(Stopwatch::time(|| {
            socket.write_all(&query).expect("the connection is open");
            socket.read_exact(&mut answer).expect("an answer");
        }));
    }
}

/// The same with a bare smol socket.
pub fn smol_ping_pong(socket: &mut Async<TcpStream>, count: usize, times: &mut Vec<f64>) {
    let query = query().encode();
    let mut answer = [0; FRAME_LEN];
    smol::block_on(async {
        for _ in 0..count {
            let watch = Stopwatch::start();
            socket.write_all(&query).await.expect("the connection is open");
            socket.read_exact(&mut answer).await.expect("an answer");
            times.push(watch.nanos());
        }
    });
}

/// A connected smol socket.
pub fn smol_open(address: SocketAddr) -> Async<TcpStream> {
    Async::new(open(address)).expect("a socket")
}

/// A command that an [`EventServer`] never answers: a request of it stays pending.
/// It has an ordering domain of its own, so no answer to another command ends the request.
pub const NOT_ANSWERED: CommandCode = CommandCode::LASER_LEVEL_GET;

/// An instrument with one client. It answers all commands but [`NOT_ANSWERED`], and sends events when it is told to.
pub struct EventServer {
    pub address: SocketAddr,
    /// Makes it send events.
    pub send: Sender<Events>,
}

/// So many events, each with a payload of so many bytes.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    pub count: usize,
    pub payload: usize,
}

pub fn event_server() -> EventServer {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (send, orders) = channel();
    spawn(move || {
        use_last();
        let (socket, _) = listener.accept().expect("a client");
        socket.set_nodelay(true).expect("a socket");
        let commands = socket.try_clone().expect("a socket");
        spawn(move || send_events(socket, &orders));
        let is_answered =
            |frame: &[u8]| Frame::decode(frame).is_ok_and(|it| it.code != NOT_ANSWERED);
        echo(commands, is_answered);
    });
    EventServer { address, send }
}

fn send_events(mut socket: TcpStream, orders: &Receiver<Events>) {
    // Made once, so that making them is not measured.
    let mut made: HashMap<usize, Vec<u8>> = HashMap::new();
    while let Ok(Events { count, payload }) = orders.recv() {
        let many = made.entry(payload).or_insert_with(|| events_with(payload));
        let mut missing = count * (FRAME_LEN + payload);
        while missing > 0 {
            let now = missing.min(many.len());
            if socket.write_all(&many[..now]).is_err() {
                return;
            }
            missing -= now;
        }
    }
}

/// Events that fill a buffer, at least one.
fn events_with(payload: usize) -> Vec<u8> {
    let declared = u32::try_from(payload).expect("at most 32 MiB");
    let mut one = event().with_payload_len(declared).encode().to_vec();
    one.resize(FRAME_LEN + payload, 7);
    one.repeat((READ_LEN / one.len()).max(1))
}

/// An instrument that reads uploads and answers each with its frame, like the instrument without the payload.
pub fn upload_server() -> SocketAddr {
    server(|mut socket| {
        let (mut frame, mut buffer) = ([0; FRAME_LEN], vec![0; READ_LEN]);
        while socket.read_exact(&mut frame).is_ok() {
            let declared = Frame::decode(&frame).expect("a frame").payload_len;
            read_raw(&mut socket, declared as usize, &mut buffer);
            if socket.write_all(&frame).is_err() {
                return;
            }
        }
    })
}

/// Reads so many bytes without looking at them.
pub fn read_raw(socket: &mut TcpStream, mut missing: usize, buffer: &mut [u8]) {
    while missing > 0 {
        let most = missing.min(buffer.len());
        match socket.read(&mut buffer[..most]).expect("the connection is open") {
            0 => panic!("the connection ended"),
            count => missing -= count,
        }
    }
}

/// A relay that costs as little as possible: two threads for each client that copy bytes. They run where the operating
/// system puts them, as a bridge does.
pub fn ideal_relay(upstream: SocketAddr) -> SocketAddr {
    listen(
        || {},
        move |near| {
            let far = open(upstream);
            let (near_too, far_too) = (near.try_clone(), far.try_clone());
            spawn(move || copy(near, far));
            copy(far_too.expect("a socket"), near_too.expect("a socket"));
        },
    )
}

/// Copies bytes until one end disconnects.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; READ_LEN];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// The program `socat` as a relay for one client. It ends when this is dropped.
pub struct Socat {
    process: Child,
    address: SocketAddr,
}

impl Socat {
    /// `None` if it is not installed.
    pub fn start(upstream: SocketAddr) -> Option<Self> {
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let near = format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr,nodelay", address.port());
        let far = format!("TCP:{upstream},nodelay");
        let process = Command::new("socat").args([near, far]).stdin(Stdio::null()).spawn();
        Some(Self { process: process.ok()?, address })
    }

    /// Connects to it. It serves one connection.
    pub fn open(&mut self) -> TcpStream {
        loop {
            match TcpStream::connect(self.address) {
                Ok(socket) => {
                    socket.set_nodelay(true).expect("a socket");
                    return socket;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    let ended = self.process.try_wait().expect("its status");
                    assert!(ended.is_none(), "socat ended before it listened: {ended:?}");
                    std::thread::yield_now();
                }
                Err(error) => panic!("socat cannot be reached: {error}"),
            }
        }
    }
}

impl Drop for Socat {
    fn drop(&mut self) {
        // It may have ended by itself, when its client disconnected.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
