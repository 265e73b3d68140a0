//! The clients that must not notice an attack: a witness that checks each answer, two read-only
//! clients that halt axes, and a subscriber of the callback port.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use flamingo_runtime_std::protocol::{CommandCode, Frame};

use crate::bridge_process::Ports;
use crate::crowd::connecting;
use crate::figures::{Answers, Events, Halts, LATE, Stop, micros, ms, now};
use crate::instrument::{EVENT, Halt, Log, answer_to};

/// How often the witness asks.
const WITNESS_PACE: Duration = ms(10);
/// How often the connected client halts an axis, and the one that connects for each HALT.
const HALT_PACE: [Duration; 2] = [ms(100), ms(170)];
/// How long the load waits for the first answer to the witness.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
/// How long an observer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

const WITNESS: IpAddr = address([127, 0, 0, 3]);
/// The settings give the role read-only to this address.
pub(crate) const READ_ONLY: IpAddr = address([127, 0, 0, 2]);
const SUBSCRIBER: IpAddr = address([127, 0, 0, 4]);

pub(crate) const fn address(bytes: [u8; 4]) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
}

/// A client that sends one frame at a time and waits for its answer.
pub(crate) struct Caller {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Caller {
    pub(crate) fn connect(from: IpAddr, target: SocketAddr) -> std::io::Result<Self> {
        let socket = connecting(from, target)?;
        socket.set_nonblocking(false)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ms(20)))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, bytes: Vec::new() })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame.
    pub(crate) fn frame(&mut self, patience: Duration) -> std::io::Result<Frame> {
        let end = now() + micros(patience);
        let mut buffer = [0; 1024];
        loop {
            if let Some(frame) = self.bytes.get(..128) {
                let frame = Frame::decode(frame).map_err(|_| ErrorKind::InvalidData)?;
                self.bytes.drain(..128);
                return Ok(frame);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Err(_) if now() > end => return Err(ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        }
    }
}

/// Asks every 10 ms. The time of an answer counts from when its query was due, so that a query that
/// is late since the one before it was slow counts as slow too.
/// `asked` learns that the first query has ended: from then on the witness has its slot.
fn witness(target: SocketAddr, stop: &Stop, asked: &Sender<()>) -> Answers {
    let mut answers = Answers::default();
    let mut caller = None;
    let began = now();
    for number in 0_i32.. {
        let due = began + micros(WITNESS_PACE) * u64::from(number.cast_unsigned());
        let wait = Duration::from_micros(due.saturating_sub(now()));
        if !stop.after(wait) {
            break;
        }
        let query = query(number);
        if let Err(error) = ask(&mut caller, target, &query, due, &mut answers) {
            answers.lost += 1;
            answers.example.get_or_insert(format!("{}: {error}", query.code));
            caller = None;
        }
        // Only the first one is waited for.
        let _ = asked.send(());
    }
    answers
}

fn query(number: i32) -> Frame {
    let codes = [
        CommandCode::STAGE_POSITION_GET,
        CommandCode::CAMERA_IMAGE_SIZE_GET,
        CommandCode::STAGE_POSITION_GET,
        CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET,
        CommandCode::SYSTEM_STATE_GET,
    ];
    let code = codes[number.unsigned_abs() as usize % codes.len()];
    let mut query = Frame::command(code).with_selector(1 + number % 4);
    query.hardware_id = 1 + number;
    query
}

fn ask(
    caller: &mut Option<Caller>,
    target: SocketAddr,
    query: &Frame,
    due: u64,
    answers: &mut Answers,
) -> std::io::Result<()> {
    let connected = match caller {
        Some(connected) => connected,
        None => caller.insert(Caller::connect(WITNESS, target)?),
    };
    connected.send(&query.encode())?;
    let answer = connected.frame(PATIENCE)?;
    answers.times.add(now() - due);
    // The bridge puts a text of its own into an answer.
    let expected = Frame { buffer: answer.buffer, ..answer_to(query) };
    if answer.encode() == expected.encode() {
        answers.right += 1;
    } else if answer.hardware_id == query.hardware_id && is_of_the_bridge(&answer) {
        answers.lost += 1;
        answers.example.get_or_insert(format!("{}: {}", query.code, text(&answer)));
    } else {
        answers.wrong += 1;
        answers.example.get_or_insert(format!("{query} was answered with {answer}"));
    }
    Ok(())
}

/// A refusal, or the state while the instrument is away.
fn is_of_the_bridge(answer: &Frame) -> bool {
    text(answer).starts_with("refused:")
        || answer.selector() == CommandCode::SYSTEM_STATE_DISCONNECTED.0.cast_signed()
}

pub(crate) fn text(answer: &Frame) -> String {
    answer.text().unwrap_or_default().to_owned()
}

/// One HALT of an observer.
#[derive(Debug, Clone)]
struct Probe {
    number: i32,
    axis: i32,
    sent: u64,
    /// When the answer came, or what came instead.
    answered: Result<u64, String>,
}

/// Halts the axes 2, 3 and 4 in turn: the attackers have axis 1. With `fresh`, each HALT has its own
/// connection, and its time begins before the connection.
fn halter(target: SocketAddr, fresh: bool, stop: &Stop) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut caller = None;
    let first = if fresh { 2_000_000 } else { 1_000_000 };
    let pace = HALT_PACE[usize::from(fresh)];
    for number in first.. {
        if !stop.after(pace) {
            break;
        }
        if fresh {
            caller = None;
        }
        let mut halt = Frame::command(CommandCode::STAGE_HALT).with_selector(2 + number % 3);
        halt.hardware_id = number;
        let sent = now();
        let answered = send_halt(&mut caller, target, &halt);
        if answered.is_err() {
            caller = None;
        }
        probes.push(Probe { number, axis: halt.selector(), sent, answered });
    }
    probes
}

fn send_halt(caller: &mut Option<Caller>, target: SocketAddr, halt: &Frame) -> Result<u64, String> {
    let send = |caller: &mut Option<Caller>| {
        let connected = match caller {
            Some(connected) => connected,
            None => caller.insert(Caller::connect(READ_ONLY, target)?),
        };
        connected.send(&halt.encode())?;
        connected.frame(PATIENCE)
    };
    let answer = send(caller).map_err(|error| format!("no answer: {error}"))?;
    if answer.code == halt.code && answer.hardware_id == halt.hardware_id && answer.status == 1 {
        Ok(now())
    } else {
        Err(format!("{answer} {:?}", text(&answer)))
    }
}

/// Compares the HALTs that were sent with those that reached the instrument. If the bridge has joined
/// a HALT to another one of the same axis, the next one of that axis counts.
fn judge(probes: &[Probe], log: &[Halt]) -> Halts {
    let by_number: HashMap<_, _> = log.iter().map(|halt| (halt.number, halt.at)).collect();
    let of_axis = |axis| log.iter().filter(|halt| halt.axis == axis).map(|halt| halt.at).collect();
    let by_axis: [Vec<u64>; 5] = [0, 1, 2, 3, 4].map(of_axis);
    let mut halts = Halts::default();
    for probe in probes {
        halts.sent += 1;
        let axis = &by_axis[probe.axis.unsigned_abs() as usize];
        let later = axis.partition_point(|at| *at < probe.sent);
        let reached = by_number.get(&probe.number).or_else(|| axis.get(later));
        if let Some(at) = reached {
            halts.reached.add(at.saturating_sub(probe.sent));
        }
        match &probe.answered {
            Ok(at) => halts.answered.add(at - probe.sent),
            Err(reason) => {
                halts.example.get_or_insert(reason.clone());
            }
        }
        if reached.is_none() || probe.answered.is_err() {
            halts.lost += 1;
        }
    }
    halts
}

/// When each event arrived, by its number.
fn subscriber(target: SocketAddr, stop: &Stop) -> HashMap<i32, u64> {
    let mut arrived = HashMap::new();
    let Ok(mut caller) = Caller::connect(SUBSCRIBER, target) else {
        return arrived;
    };
    while stop.goes_on() {
        match caller.frame(ms(50)) {
            Ok(event) if event.code == EVENT => {
                arrived.insert(event.selector(), now());
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(_) => break,
        }
    }
    arrived
}

/// Events that are sent in the last moments may still be on their way.
fn judge_events(arrived: &HashMap<i32, u64>, log: &Log, end: u64) -> Events {
    let mut events = Events::default();
    let first = arrived.keys().min().copied().unwrap_or(0).unsigned_abs() as usize;
    for (number, sent) in log.events.iter().enumerate().skip(first) {
        match i32::try_from(number).ok().and_then(|number| arrived.get(&number)) {
            Some(at) => {
                let time = at.saturating_sub(*sent);
                events.received += 1;
                events.late += u64::from(time > micros(LATE));
                events.times.add(time);
            }
            None if sent + 1_000_000 < end => events.lost += 1,
            None => {}
        }
    }
    events
}

/// The observers of one attack, each on a thread.
pub(crate) struct Observers {
    stops: Vec<Sender<()>>,
    witness: JoinHandle<Answers>,
    halters: Vec<JoinHandle<Vec<Probe>>>,
    subscriber: JoinHandle<HashMap<i32, u64>>,
}

impl Observers {
    /// `halts`: whether axes are halted.
    pub(crate) fn start(ports: Ports, halts: bool) -> Self {
        let mut stops = Vec::new();
        let mut stop = || {
            let (end, ended) = channel();
            stops.push(end);
            Stop(ended)
        };
        let (control, callback) = (ports.control, ports.callback);
        let ended = stop();
        let (asked, was_asked) = channel();
        let witness = spawn(move || witness(control, &ended, &asked));
        // A load that begins first could take every slot. With some attacks nothing is answered.
        let _ = was_asked.recv_timeout(FIRST_ANSWER);
        let mut halters = Vec::new();
        for fresh in [false, true].into_iter().filter(|_| halts) {
            let ended = stop();
            halters.push(spawn(move || halter(control, fresh, &ended)));
        }
        let ended = stop();
        let subscriber = spawn(move || subscriber(callback, &ended));
        Self { stops, witness, halters, subscriber }
    }

    /// Ends them, each after its last answer.
    pub(crate) fn finish(self) -> Watched {
        drop(self.stops);
        let end = now();
        let probes = self.halters.into_iter().flat_map(|each| each.join().expect("no panic"));
        Watched {
            probes: probes.collect(),
            witness: self.witness.join().expect("no panic"),
            arrived: self.subscriber.join().expect("no panic"),
            end,
        }
    }
}

/// What the observers saw, before it is compared with the log of the instrument.
pub(crate) struct Watched {
    witness: Answers,
    probes: Vec<Probe>,
    arrived: HashMap<i32, u64>,
    end: u64,
}

impl Watched {
    pub(crate) fn judge(self, log: &Log) -> (Answers, Halts, Events) {
        let events = judge_events(&self.arrived, log, self.end);
        (self.witness, judge(&self.probes, &log.halts), events)
    }
}
