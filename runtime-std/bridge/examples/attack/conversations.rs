//! Loads that react to what comes back: uploads, motions, the dead man's switch, smuggled frames, and
//! readers of the status page. Clients that are all alike are in `crowd.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use flamingo_runtime_std::protocol::{
    CommandCode, Flags, Frame,
    wire::{Payload, TABLE},
};

use crate::bridge_process::Ports;
use crate::crowd::connecting;
use crate::figures::{Stop, Times, micros, ms, now};
use crate::instrument::{Instrument, NEVER_ANSWERED};
use crate::observers::{Caller, READ_ONLY, address, text};

/// What a conversation did, and what was wrong.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) load: String,
    pub(crate) faults: Vec<String>,
    /// What took too long.
    pub(crate) slow: Vec<String>,
}

pub(crate) type Conversation = fn(Ports, &Instrument, &Stop) -> Said;

const ATTACKER: IpAddr = address([127, 0, 0, 1]);
const SECOND_ATTACKER: IpAddr = address([127, 0, 0, 6]);
/// A client with good intentions.
const HEALTHY: IpAddr = address([127, 0, 0, 5]);
/// The hardware ID of frames that must not reach the instrument.
const SMUGGLED: i32 = -2;
const PATIENCE: Duration = Duration::from_secs(3);

/// Uploads 32 MiB again and again. A HALT cancels no settings, as it would cancel a workflow, so that it
/// finds an upload before it.
pub(crate) fn big_uploads(ports: Ports, _: &Instrument, stop: &Stop) -> Said {
    let head = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(32 << 20);
    let piece = vec![7; 65_536];
    let (mut begun, mut sent) = (0, 0);
    while stop.goes_on() {
        let Ok(mut stream) = connect(ATTACKER, ports) else {
            continue;
        };
        begun += 1;
        let mut left: usize = 32 << 20;
        if stream.write_all(&head.encode()).is_err() {
            continue;
        }
        while left > 0 && stop.goes_on() {
            match stream.write(&piece[..piece.len().min(left)]) {
                Ok(count) => (left, sent) = (left - count, sent + count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        // The next upload begins when this one is over, as far as a client can know.
        let mut answer = [0; 128];
        let _ = stream.read(&mut answer);
    }
    Said { load: format!("{begun} uploads of 32 MiB, {} MiB sent", sent >> 20), ..Said::default() }
}

fn connect(from: IpAddr, ports: Ports) -> std::io::Result<TcpStream> {
    let socket = connecting(from, ports.control)?;
    socket.set_nonblocking(false)?;
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(ms(50)))?;
    stream.set_read_timeout(Some(ms(500)))?;
    Ok(stream)
}

/// A healthy client uploads 64 KiB now and then: each must be accepted.
pub(crate) fn small_uploads(ports: Ports, _: &Instrument, stop: &Stop) -> Said {
    let mut head = Frame::command(CommandCode::CAMERA_CHECK_STACK).with_payload_len(65_536);
    head.hardware_id = 5;
    let bytes = [&head.encode()[..], &vec![7; 65_536]].concat();
    let (mut count, mut faults) = (0, Vec::new());
    while stop.after(ms(300)) {
        count += 1;
        let upload = || {
            let mut caller = Caller::connect(HEALTHY, ports.control)?;
            caller.send(&bytes)?;
            caller.frame(PATIENCE)
        };
        match upload() {
            Ok(answer) if answer.status == 1 => {}
            Ok(answer) => faults.push(format!("an upload of 64 KiB: {}", text(&answer))),
            Err(error) => faults.push(format!("an upload of 64 KiB: {error}")),
        }
    }
    Said {
        load: format!("{count} healthy uploads of 64 KiB"),
        faults: shortened(faults),
        ..Said::default()
    }
}

/// The first of many equal faults, with their number.
fn shortened(faults: Vec<String>) -> Vec<String> {
    let count = faults.len();
    faults.into_iter().take(1).map(|fault| format!("{fault} ({count} times)")).collect()
}

/// Two clients send HOME and WAIT of the same axes, and wait for the end.
pub(crate) fn home_twice(ports: Ports, _: &Instrument, stop: &Stop) -> Said {
    let commands = |code: CommandCode, axes: &[i32]| -> Vec<u8> {
        axes.iter().flat_map(|axis| Frame::command(code).with_selector(*axis).encode()).collect()
    };
    let (home, wait) = (CommandCode::STAGE_HOME, CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP);
    // In turn: one axis, and all axes.
    let rounds: [&[i32]; 2] = [&[1], &[1, 2, 3, 4]];
    let (mut sent, mut answered) = (0, 0);
    for axes in rounds.into_iter().cycle() {
        if !stop.goes_on() {
            break;
        }
        let first = Caller::connect(ATTACKER, ports.control);
        let second = Caller::connect(SECOND_ATTACKER, ports.control);
        let (Ok(mut first), Ok(mut second)) = (first, second) else {
            continue;
        };
        let _ = first.send(&commands(home, axes));
        let _ = second.send(&[commands(home, axes), commands(wait, axes)].concat());
        sent += 3 * axes.len();
        for caller in [&mut first, &mut second] {
            answered += u32::from(caller.frame(PATIENCE).is_ok());
        }
    }
    Said { load: format!("{sent} HOME and WAIT, {answered} answers"), ..Said::default() }
}

/// A HALT of an unusual form: it must reach these axes.
struct Form {
    name: &'static str,
    bytes: Vec<u8>,
    axes: &'static [i32],
}

fn forms() -> Vec<Form> {
    let halt = |axis| {
        let mut halt = Frame::command(CommandCode::STAGE_HALT).with_selector(axis);
        halt.hardware_id = -4;
        halt
    };
    let mut status = halt(1);
    status.status = -1;
    let form = |name, frame: Frame, axes| Form { name, bytes: frame.encode().to_vec(), axes };
    let mut with_payload = form("with a payload", halt(1).with_payload_len(128), &[1]);
    with_payload.bytes.extend([0; 128]);
    vec![
        form("of axis 1", halt(1), &[1]),
        form("of axis 0", halt(0), &[1, 2, 3, 4]),
        form("of axis 255", halt(255), &[1, 2, 3, 4]),
        form("of axis -1", halt(-1), &[1, 2, 3, 4]),
        form("with a value that is no number", halt(1).with_value(f64::NAN), &[1]),
        form("with an infinite value", halt(1).with_value(f64::INFINITY), &[1]),
        form("with a status", status, &[1]),
        form("without flags", Frame { flags: Flags::default(), ..halt(1) }, &[1]),
        with_payload,
    ]
}

/// A read-only client sends HALT in every form: each must reach its axes within 250 ms.
pub(crate) fn halt_forms(ports: Ports, instrument: &Instrument, stop: &Stop) -> Said {
    let (mut sent, mut faults) = (0, Vec::new());
    let forms = forms();
    for form in forms.iter().cycle() {
        if !stop.goes_on() {
            break;
        }
        let before = now();
        let stream = connect(READ_ONLY, ports);
        let written = stream.and_then(|mut stream| {
            stream.write_all(&form.bytes)?;
            let _ = stream.read(&mut [0; 128]);
            Ok(stream)
        });
        sent += 1;
        let reached =
            |axis| instrument.log().halts.iter().any(|halt| halt.axis == axis && halt.at >= before);
        let end = before + 250_000;
        while !form.axes.iter().copied().all(reached) && now() < end {
            stop.after(ms(1));
        }
        let missing: Vec<_> = form.axes.iter().filter(|axis| !reached(**axis)).collect();
        if written.is_err() || !missing.is_empty() {
            faults.push(format!("HALT {}: nothing reached the axes {missing:?}", form.name));
        }
    }
    faults.sort();
    faults.dedup();
    Said { load: format!("{sent} HALTs of {} forms", forms.len()), faults, ..Said::default() }
}

/// The holder of the lease sends a command that is not answered before it closes its connection, or only
/// its own direction: the HALT must follow at once.
pub(crate) fn dead_man(ports: Ports, instrument: &Instrument, stop: &Stop) -> Said {
    let commands = [CommandCode::STAGE_HOME, NEVER_ANSWERED];
    let (mut times, mut faults) = (Times::default(), Vec::new());
    let mut trials = 0;
    for code in commands.into_iter().cycle() {
        if !stop.after(ms(50)) {
            break;
        }
        trials += 1;
        let Ok(stream) = connect(ATTACKER, ports) else {
            faults.push("the holder cannot connect".to_owned());
            continue;
        };
        let mut writer = &stream;
        let _ = writer.write_all(&Frame::command(code).with_selector(1).encode());
        stop.after(ms(100));
        let left = now();
        let kept = if trials % 4 < 2 {
            drop(stream);
            None
        } else {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            Some(stream)
        };
        let end = left + micros(PATIENCE);
        let halted = loop {
            let halt = instrument.log().halts.iter().map(|halt| halt.at).find(|at| *at >= left);
            if halt.is_some() || now() > end {
                break halt;
            }
            stop.after(ms(1));
        };
        match halted {
            Some(at) => times.add(at - left),
            None => faults.push(format!("no HALT within {PATIENCE:?} after the FIN of the holder")),
        }
        drop(kept);
    }
    let longest = times.percentile(100);
    let slow = (longest > 250.0).then(|| format!("HALT {longest:.0} ms after the FIN"));
    let load = format!(
        "{trials} holders left, HALT p50 {:.1} ms, max {:.1} ms",
        times.percentile(50),
        times.percentile(100)
    );
    Said { load, faults: shortened(faults), slow: slow.into_iter().collect() }
}

/// A HOME in the payload of a command that uploads nothing.
pub(crate) fn smuggle(ports: Ports, instrument: &Instrument, stop: &Stop) -> Said {
    let mut home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    home.hardware_id = SMUGGLED;
    let known = TABLE.iter().filter(|row| matches!(row.payload, Payload::None | Payload::Down));
    let codes: Vec<_> = known.map(|row| row.code).chain([CommandCode(0x6FFF)]).collect();
    let mut sent = 0;
    for code in codes.iter().cycle() {
        if !stop.after(ms(5)) {
            break;
        }
        let head = Frame::command(*code).with_selector(1).with_payload_len(128);
        if let Ok(mut stream) = connect(ATTACKER, ports) {
            let whole = [head.encode(), home.encode()].concat();
            sent += u32::from(stream.write_all(&whole).is_ok());
            // It stays until it is refused, answered or closed.
            let _ = stream.set_read_timeout(Some(ms(50)));
            let _ = stream.read(&mut [0; 128]);
        }
    }
    let log = instrument.log();
    let arrived: u64 = log
        .marked
        .iter()
        .filter(|((_, number), _)| *number == SMUGGLED)
        .map(|(_, count)| count)
        .sum();
    let fault = format!("{arrived} smuggled HOME reached the instrument");
    Said {
        load: format!("{sent} frames in payloads of {} codes", codes.len()),
        faults: if arrived > 0 { vec![fault] } else { Vec::new() },
        ..Said::default()
    }
}

/// The instrument stalls for ever; `request_timeout_ms` is 1000. Then clients must be served again.
pub(crate) fn ends_deafness(ports: Ports, instrument: &Instrument, stop: &Stop) -> Said {
    let query = Frame::command(CommandCode::SYSTEM_STATE_GET).encode();
    let (mut longest, mut since) = (0, now());
    while stop.after(ms(50)) {
        let ask = || {
            let mut caller = Caller::connect(HEALTHY, ports.control)?;
            caller.send(&query)?;
            caller.frame(ms(200))
        };
        let state = CommandCode::SYSTEM_STATE_IDLE.0.cast_signed();
        if ask().is_ok_and(|answer| answer.selector() == state) {
            since = now();
        }
        longest = longest.max(now() - since);
    }
    let load = format!(
        "deaf for {:.1} s, {} connections",
        Duration::from_micros(longest).as_secs_f64(),
        instrument.log().connections
    );
    let deaf = longest > 3_000_000;
    let fault = "deaf for more than 3 s with a request_timeout_ms of 1000".to_owned();
    Said { load, faults: if deaf { vec![fault] } else { Vec::new() }, ..Said::default() }
}

/// Reads the status again and again: it must come within a second.
pub(crate) fn read_status(ports: Ports, _: &Instrument, stop: &Stop) -> Said {
    let (mut times, mut faults) = (Times::default(), Vec::new());
    let request = format!("GET /status HTTP/1.1\r\nHost: {}\r\n\r\n", ports.status);
    while stop.after(ms(200)) {
        let began = now();
        let read = || {
            let socket = connecting(HEALTHY, ports.status)?;
            socket.set_nonblocking(false)?;
            let mut stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        match read() {
            Ok(answer) if answer.ends_with(b"200") => times.add(now() - began),
            Ok(answer) => faults.push(String::from_utf8_lossy(&answer).into_owned()),
            Err(error) => faults.push(format!("the status page: {error}")),
        }
    }
    let longest = times.percentile(100);
    let slow = (longest > 1000.0).then(|| format!("the status page took {longest:.0} ms"));
    let load = format!("{} status reads, max {:.0} ms", times.count(), times.percentile(100));
    Said { load, faults: shortened(faults), slow: slow.into_iter().collect() }
}
