//! The instrument behind the bridge: it answers at once, pushes events, and logs what reaches it and
//! when. [`Behaviour`] makes it slow or faulty. The simulator is not used, since it cannot read slowly,
//! ignore payloads or stall.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::spawn;
use std::time::Duration;

use flamingo_runtime_std::protocol::{CommandCode, Frame, image::ImageHeader};
use flamingo_runtime_std::socket::instrument_ports::InstrumentPorts;

use crate::figures::{Stop, micros, ms, now};

const FRAME: usize = 128;
/// The event whose first integer counts up, so that the subscriber knows each.
pub(crate) const EVENT: CommandCode = CommandCode::UI_SET_GAUGE_VALUE;

/// A command that is never answered.
pub(crate) const NEVER_ANSWERED: CommandCode = CommandCode::STAGE_POSITION_SET_SLIDER;

/// How this instrument differs from one that answers everything at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behaviour {
    pub(crate) pushes_per_s: u32,
    /// How fast it reads. 0: as fast as it can.
    pub(crate) read_bytes_per_s: u32,
    /// Its operating system takes few bytes before it has read them.
    pub(crate) small_buffer: bool,
    /// It takes the bytes of a payload for frames.
    pub(crate) ignores_payloads: bool,
    /// When HOME is answered. A HALT of its axis ends it.
    pub(crate) home_takes: Duration,
    /// On its first connection, it stalls after this time in the middle of a payload.
    pub(crate) stalls_after: Option<Duration>,
    /// It answers commands in pairs, the second one first.
    pub(crate) swaps: bool,
    pub(crate) images_per_s: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            pushes_per_s: 50,
            read_bytes_per_s: 0,
            small_buffer: false,
            ignores_payloads: false,
            home_takes: ms(2000),
            stalls_after: None,
            swaps: false,
            images_per_s: 0,
        }
    }
}

/// A HALT that reached the instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halt {
    pub(crate) at: u64,
    pub(crate) axis: i32,
    pub(crate) number: i32,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) halts: Vec<Halt>,
    /// How often each code arrived with each hardware ID that the attackers use.
    pub(crate) marked: BTreeMap<(CommandCode, i32), u64>,
    /// When each event was sent.
    pub(crate) events: Vec<u64>,
    pub(crate) connections: u64,
    pub(crate) commands: u64,
}

pub(crate) struct Instrument {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    behaviour: Behaviour,
    log: Mutex<Log>,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instrument {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let ports = InstrumentPorts::consecutive(SocketAddr::from(([127, 0, 0, 1], 0)));
        let (listeners, addresses) = ports.listen().expect("three free ports");
        let shared = Arc::new(Shared { behaviour, log: Mutex::default() });
        let [control, live, stack] = listeners.map(|listener| {
            let listener = listener.into_inner().expect("a socket");
            listener.set_nonblocking(false).expect("a socket");
            listener
        });
        if behaviour.small_buffer {
            let socket = socket2::SockRef::from(&control);
            socket.set_recv_buffer_size(65_536).expect("a socket");
        }
        let serve = Arc::clone(&shared);
        accept_each(control, move |stream| control_connection(&serve, &stream));
        for listener in [live, stack] {
            let per_s = behaviour.images_per_s;
            accept_each(listener, move |stream| send_images(stream, per_s));
        }
        Self { shared, address: addresses[0] }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log()
    }
}

fn accept_each(listener: TcpListener, serve: impl Fn(TcpStream) + Clone + Send + 'static) {
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            spawn(move || serve(stream));
        }
    });
}

/// What one connection still has to send.
#[derive(Default)]
struct Outgoing {
    /// Answers that are due at a time.
    delayed: Vec<(u64, Frame)>,
    /// With [`Behaviour::swaps`], an answer that waits for the next one.
    held: Option<(u64, Frame)>,
    /// It is in the middle of a payload, and sends nothing more.
    stalled: bool,
}

struct ControlConnection<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
    outgoing: Mutex<Outgoing>,
    nth: u64,
}

fn control_connection(shared: &Arc<Shared>, stream: &TcpStream) {
    let nth = {
        let mut log = shared.log();
        log.connections += 1;
        log.connections
    };
    // An error means that the bridge has gone, which the first read shows.
    let _ = stream.set_nodelay(true);
    let connection = ControlConnection { shared, stream, outgoing: Mutex::default(), nth };
    let (end, ended) = channel();
    std::thread::scope(|scope| {
        let pushes = &connection;
        scope.spawn(move || pushes.push(&Stop(ended)));
        connection.read();
        drop(end);
    });
}

impl ControlConnection<'_> {
    /// Reads until the bridge closes the connection.
    fn read(&self) {
        let rate = u64::from(self.shared.behaviour.read_bytes_per_s);
        // Slow reading means small pieces.
        let most = if rate > 0 { 16_384 } else { 262_144 };
        let (mut buffer, mut bytes, mut skip) = (vec![0; most], Vec::new(), 0_usize);
        let (_open, never) = channel::<()>();
        let mut reader = self.stream;
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            if let Some(wait) = (count as u64 * 1_000_000).checked_div(rate) {
                let _ = never.recv_timeout(Duration::from_micros(wait));
            }
            bytes.extend_from_slice(&buffer[..count]);
            let (taken, answers) = self.take(&bytes, &mut skip);
            bytes.drain(..taken);
            self.write(&answers);
        }
    }

    /// Handles all whole frames. Returns how many bytes it took, and the answers.
    fn take(&self, bytes: &[u8], skip: &mut usize) -> (usize, Vec<u8>) {
        let (mut at, mut answers, arrived) = (0, Vec::new(), now());
        loop {
            let skipped = (*skip).min(bytes.len() - at);
            (at, *skip) = (at + skipped, *skip - skipped);
            let Some(frame) = bytes.get(at..at + FRAME) else {
                return (at, answers);
            };
            let Ok(command) = Frame::decode(frame) else {
                at += 1;
                continue;
            };
            at += FRAME;
            if !self.shared.behaviour.ignores_payloads {
                *skip = command.payload_len as usize;
            }
            self.command(arrived, &command, &mut answers);
        }
    }

    fn command(&self, at: u64, command: &Frame, answers: &mut Vec<u8>) {
        let mut log = self.shared.log();
        log.commands += 1;
        if command.code == CommandCode::STAGE_HALT {
            let (axis, number) = (command.selector(), command.hardware_id);
            log.halts.push(Halt { at, axis, number });
        } else if command.hardware_id < 0 {
            *log.marked.entry((command.code, command.hardware_id)).or_default() += 1;
        }
        drop(log);
        let answer = answer_to(command);
        let mut outgoing = self.outgoing();
        match command.code {
            CommandCode::CAMERA_WORK_FLOW_START | NEVER_ANSWERED => {}
            CommandCode::STAGE_HOME => {
                outgoing.delayed.push((at + micros(self.shared.behaviour.home_takes), answer));
            }
            CommandCode::STAGE_HALT => {
                answers.extend(answer.encode());
                // The motion has ended.
                for (due, home) in &mut outgoing.delayed {
                    if home.selector() == command.selector() {
                        *due = 0;
                    }
                }
            }
            _ if self.shared.behaviour.swaps => match outgoing.held.take() {
                Some((_, first)) => {
                    answers.extend([answer.encode(), first.encode()].as_flattened());
                }
                None => outgoing.held = Some((at + 2000, answer)),
            },
            _ => answers.extend(answer.encode()),
        }
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) {
        let outgoing = self.outgoing();
        if !outgoing.stalled && !bytes.is_empty() {
            let mut writer = self.stream;
            // An error means that the bridge has gone, which the next read shows.
            let _ = writer.write_all(bytes);
        }
    }

    /// Sends the events, the delayed answers, and a payload that stalls.
    fn push(&self, ended: &Stop) {
        let behaviour = self.shared.behaviour;
        let began = now();
        let mut sent = 0_u64;
        while ended.after(ms(1)) && !self.outgoing().stalled {
            let mut bytes = Vec::new();
            let passed = now() - began;
            let due = passed * u64::from(behaviour.pushes_per_s) / 1_000_000;
            for _ in sent..due {
                bytes.extend(self.next_event().encode());
            }
            sent = due;
            {
                let mut outgoing = self.outgoing();
                outgoing.delayed.retain(|(due, answer)| {
                    let waits = *due > now();
                    if !waits {
                        bytes.extend(answer.encode());
                    }
                    waits
                });
                if let Some((_, answer)) = outgoing.held.take_if(|(due, _)| *due <= now()) {
                    bytes.extend(answer.encode());
                }
            }
            self.write(&bytes);
            if self.nth == 1 && behaviour.stalls_after.is_some_and(|after| passed > micros(after)) {
                let settings = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS);
                let begun = settings.with_payload_len(32 << 20).encode();
                self.write(&[&begun[..], &[0; 1000]].concat());
                self.outgoing().stalled = true;
            }
        }
    }

    fn next_event(&self) -> Frame {
        let mut log = self.shared.log();
        let number = i32::try_from(log.events.len()).unwrap_or(i32::MAX);
        log.events.push(now());
        Frame::new(EVENT).with_selector(number)
    }
}

/// The right answer to a command. The value shows the code and the axis.
pub(crate) fn answer_to(command: &Frame) -> Frame {
    let mut answer = *command;
    answer.status = 1;
    answer.payload_len = 0;
    answer.value = f64::from(command.code.0) + f64::from(command.selector()) / 8.0;
    if command.code == CommandCode::SYSTEM_STATE_GET {
        answer = answer.with_selector(CommandCode::SYSTEM_STATE_IDLE.0.cast_signed());
    }
    answer
}

/// Sends images of 256 × 256 pixels until the bridge closes the connection.
fn send_images(stream: TcpStream, per_s: u32) {
    let mut stream = stream;
    let header = ImageHeader {
        size: 2 * 256 * 256,
        width: 256,
        height: 256,
        options: 0x10,
        ..ImageHeader::default()
    };
    let image = [&header.encode()[..], &vec![7; header.size as usize]].concat();
    let (_open, never) = channel::<()>();
    let pause = Duration::from_secs(1).checked_div(per_s).unwrap_or(ms(100));
    let mut buffer = [0; 64];
    stream.set_read_timeout(Some(ms(1))).expect("a socket");
    loop {
        let _ = never.recv_timeout(pause);
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => {}
        }
        if per_s > 0 && stream.write_all(&image).is_err() {
            return;
        }
    }
}
