//! Many clients on few threads, all alike: what they send, how fast, whether they read, and when they
//! connect again. The attacks are in `attacks.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::{Add, Range};
use std::sync::mpsc::channel;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::figures::{Stop, micros, ms, now};

/// The most bytes that one client sends before the next one has its turn.
const TURN: usize = 1 << 20;

/// What every client of a crowd does.
#[derive(Clone)]
pub(crate) struct Crowd {
    pub(crate) clients: u32,
    /// How many threads they share. A second thread sends while the first one does something else.
    pub(crate) threads: u32,
    /// The address of the client with this number.
    pub(crate) from: fn(u32) -> IpAddr,
    /// What each sends first.
    pub(crate) opening: Vec<u8>,
    /// What each sends again and again after that.
    pub(crate) repeat: Vec<u8>,
    /// How long each waits before it sends `repeat` again.
    pub(crate) pace: Option<Duration>,
    pub(crate) reads: bool,
    /// Each closes its connection when it has sent `opening`.
    pub(crate) leaves: bool,
    /// How long each waits before it connects again.
    pub(crate) again: Duration,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            clients: 1,
            threads: 1,
            from: |_| IpAddr::from([127, 0, 0, 1]),
            opening: Vec::new(),
            repeat: Vec::new(),
            pace: None,
            reads: true,
            leaves: false,
            again: ms(20),
        }
    }
}

/// What a crowd did.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) connections: u64,
    /// Connections that the bridge closed or refused.
    pub(crate) closed: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
}

struct Client {
    stream: Option<TcpStream>,
    writable: bool,
    readable: bool,
    /// How much of `opening`, and then of `repeat`, it has sent.
    opened: usize,
    repeated: usize,
    /// When it sends or connects again.
    due: u64,
}

impl Add for Done {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            closed: self.closed + other.closed,
            sent_bytes: self.sent_bytes + other.sent_bytes,
            received_bytes: self.received_bytes + other.received_bytes,
        }
    }
}

/// Runs a crowd until it is told to stop.
pub(crate) fn run(crowd: &Crowd, target: SocketAddr, stop: &Stop) -> Done {
    let part = crowd.clients / crowd.threads;
    std::thread::scope(|scope| {
        let mut ends = Vec::new();
        let others: Vec<_> = (1..crowd.threads)
            .map(|nth| {
                let (end, ended) = channel();
                ends.push(end);
                scope.spawn(move || {
                    run_part(crowd, nth * part..(nth + 1) * part, target, &Stop(ended))
                })
            })
            .collect();
        let own = run_part(crowd, 0..part, target, stop);
        drop(ends);
        others.into_iter().map(|other| other.join().expect("no panic")).fold(own, Add::add)
    })
}

fn run_part(crowd: &Crowd, numbers: Range<u32>, target: SocketAddr, stop: &Stop) -> Done {
    let mut poll = Poll::new().expect("the system can wait for sockets");
    let mut events = Events::with_capacity(1024);
    let mut done = Done::default();
    let mut buffer = vec![0; TURN];
    let client = || Client {
        stream: None,
        writable: false,
        readable: false,
        opened: 0,
        repeated: 0,
        due: 0,
    };
    let mut clients: Vec<_> = numbers.clone().map(|_| client()).collect();
    let mut busy = true;
    while stop.goes_on() {
        let next = clients.iter().map(|client| client.due).filter(|due| *due > now()).min();
        let wait = next.map_or(ms(5), |due| Duration::from_micros(due.saturating_sub(now())));
        let wait = if busy { Duration::ZERO } else { wait.min(ms(5)) };
        poll.poll(&mut events, Some(wait)).expect("the system can wait for sockets");
        for event in &events {
            let client = &mut clients[event.token().0];
            client.writable |= event.is_writable();
            client.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        }
        busy = false;
        for (token, (number, client)) in numbers.clone().zip(&mut clients).enumerate() {
            if client.stream.is_none() && client.due <= now() {
                client.connect((crowd.from)(number), crowd, target, &poll, token);
                done.connections += 1;
            }
            if client.step(crowd, &mut buffer, &mut done).is_err() {
                client.close(crowd);
                done.closed += 1;
            } else if crowd.leaves && client.opened == crowd.opening.len() && client.writable {
                client.close(crowd);
            }
            busy |= client.is_busy(crowd);
        }
    }
    done
}

impl Client {
    fn connect(
        &mut self,
        from: IpAddr,
        crowd: &Crowd,
        target: SocketAddr,
        poll: &Poll,
        token: usize,
    ) {
        let stream = connecting(from, target).map(|stream| TcpStream::from_std(stream.into()));
        match stream {
            Ok(mut stream) => {
                poll.registry()
                    .register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)
                    .expect("the system can wait for sockets");
                self.stream = Some(stream);
            }
            Err(_) => self.due = now() + micros(crowd.again),
        }
    }

    fn close(&mut self, crowd: &Crowd) {
        let due = now() + micros(crowd.again);
        *self =
            Self { stream: None, writable: false, readable: false, opened: 0, repeated: 0, due };
    }

    /// Whether it can go on at once.
    fn is_busy(&self, crowd: &Crowd) -> bool {
        let sends = self.opened < crowd.opening.len() || !crowd.repeat.is_empty();
        self.stream.is_some()
            && ((self.readable && crowd.reads)
                || (self.writable && sends && (crowd.pace.is_none() || self.due <= now())))
    }

    /// Reads once, and writes a turn. An error: the connection has ended.
    fn step(&mut self, crowd: &Crowd, buffer: &mut [u8], done: &mut Done) -> std::io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        if self.readable && crowd.reads {
            match stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => done.received_bytes += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) => return Err(error),
            }
        }
        let mut turn = 0;
        while self.writable && turn < TURN {
            let opening = &crowd.opening[self.opened..];
            let bytes = if opening.is_empty() { &crowd.repeat[self.repeated..] } else { opening };
            if bytes.is_empty() || (opening.is_empty() && self.due > now()) {
                break;
            }
            match stream.write(bytes) {
                Ok(count) if !opening.is_empty() => self.opened += count,
                Ok(count) => self.repeated += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    break;
                }
                Err(error) => return Err(error),
            }
            if self.repeated == crowd.repeat.len() && self.repeated > 0 {
                self.repeated = 0;
                self.due = crowd.pace.map_or(0, |pace| now() + micros(pace));
            }
            turn += bytes.len();
            done.sent_bytes += bytes.len() as u64;
        }
        Ok(())
    }
}

/// Begins to connect from this address.
pub(crate) fn connecting(from: IpAddr, target: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// `EINPROGRESS` of Linux.
const IN_PROGRESS: i32 = 115;
