//! Firmware in an emulator: builds a package of `protocol-core/examples`, runs it in QEMU, gives one
//! TCP address for each of its UARTs. Connecting to one plugs a cable in, closing it pulls it out;
//! what the firmware sends while nothing is plugged in is lost, as on a wire.
//!
//! No QEMU, or no such target: one line says so and the test passes. With `FLAMINGO_QEMU=required`
//! it fails instead.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

pub mod cable;
pub mod log;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::log::Log;
use flamingo_runtime_std::Clock;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

/// An emulator that nobody ends, since its test was killed, ends after so many seconds.
const AT_MOST_S: &str = "600";
/// Longer than QEMU takes for anything.
const PATIENCE_US: u64 = 20_000_000;
const QEMU: &str = "qemu-system-arm";

/// What was built already, by package.
static BUILT: Mutex<Option<HashMap<String, Option<PathBuf>>>> = Mutex::new(None);

/// The packages in `protocol-core/examples`.
pub struct Firmware;

impl Firmware {
    /// The program of a package, built once for each test binary. `None`: it cannot be built or run
    /// here, which has been said; the test is to end.
    pub fn build(package: &str) -> Option<PathBuf> {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        let built = built.get_or_insert_default();
        built.entry(package.to_owned()).or_insert_with(|| build(package)).clone()
    }

    /// Runs it on a machine of QEMU, with a socket for each of its first `uarts` UARTs.
    pub fn run(program: &Path, machine: &str, uarts: usize) -> Running {
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", AT_MOST_S, QEMU, "-machine", machine, "-kernel"])
            .arg(program);
        command.args(["-display", "none", "-monitor", "none", "-qmp", "stdio"]);
        for uart in 0..uarts {
            let socket =
                format!("socket,id=uart{uart},host=127.0.0.1,port=0,server=on,wait=off,nodelay=on");
            command.args(["-chardev", &socket, "-serial", &format!("chardev:uart{uart}")]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("timeout of coreutils and QEMU are installed");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        // From here on it is ended whatever happens.
        let control = Control { stdin, lines: BufReader::new(stdout).lines() };
        let program = program.to_owned();
        let running = Running { child, control: Mutex::new(control), program };
        running.control().ask("qmp_capabilities");
        running
    }
}

/// A running emulator; dropping it ends it.
pub struct Running {
    child: Child,
    control: Mutex<Control>,
    program: PathBuf,
}

impl Running {
    /// Where that UART can be plugged in. One at a time: a second one waits for the first to leave.
    pub fn uart(&self, number: usize) -> SocketAddr {
        let file = self.control().socket(number);
        let address = file.split("tcp:").nth(1).and_then(|rest| rest.split([',', ' ']).next());
        address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{file}"))
    }

    /// A cable in that UART. From here on nothing is lost.
    pub fn plug(&self, number: usize) -> TcpStream {
        let socket = TcpStream::connect(self.uart(number)).expect("QEMU listens");
        socket.set_nodelay(true).expect("a socket");
        self.until(number, |file| !file.starts_with("disconnected:"));
        socket
    }

    /// The log that comes out of that UART, from now on.
    pub fn log(&self, number: usize) -> Log {
        let reader = Firmware::build("mcu-log").expect("what runs was built, too");
        let log = Log::new(&reader, &self.program, self.uart(number));
        self.until(number, |file| !file.starts_with("disconnected:"));
        log
    }

    /// Until QEMU has noticed that nothing is plugged in there any more.
    pub fn until_unplugged(&self, number: usize) {
        self.until(number, |file| file.starts_with("disconnected:"));
    }

    fn until(&self, number: usize, holds: impl Fn(&str) -> bool) {
        let clock = Clock::start();
        while !holds(&self.control().socket(number)) {
            assert!(clock.now().as_micros() < PATIENCE_US, "UART {number} of QEMU");
            std::thread::yield_now();
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself: then there is no such group any more.
        let _ = pid.map(|pid| kill_process_group(pid, Signal::KILL));
        let _ = self.child.wait();
    }
}

/// QEMU's own protocol (QMP): lines of JSON.
struct Control {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Control {
    fn ask(&mut self, what: &str) -> Value {
        writeln!(self.stdin, "{}", json!({ "execute": what })).expect("QEMU runs");
        loop {
            let line = self.lines.next().expect("QEMU runs").expect("text");
            let mut said: Value = serde_json::from_str(&line).expect("JSON");
            if let Some(answer) = said.get_mut("return") {
                return answer.take();
            }
            assert!(said.get("error").is_none(), "{what}: {said}");
        }
    }

    /// What QEMU says of a UART's socket: `disconnected:tcp:127.0.0.1:40123,server=on`, or
    /// `tcp:127.0.0.1:40123,server=on <-> 127.0.0.1:51234`.
    fn socket(&mut self, number: usize) -> String {
        let devices = self.ask("query-chardev");
        let label = format!("uart{number}");
        let device = devices
            .as_array()
            .and_then(|devices| devices.iter().find(|device| device["label"] == label.as_str()));
        device.and_then(|device| device["filename"].as_str()).expect("it is there").to_owned()
    }
}

/// Says in one line why nothing is tested, if that is allowed.
fn skipped(why: &str) -> Option<PathBuf> {
    let required = std::env::var("FLAMINGO_QEMU").is_ok_and(|value| value == "required");
    assert!(!required, "FLAMINGO_QEMU=required, but {why}");
    // Past what captures the output of a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
    None
}

fn build(package: &str) -> Option<PathBuf> {
    if Command::new(QEMU).arg("--version").output().is_err() {
        return skipped("qemu-system-arm is not installed");
    }
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol-core/examples").join(package);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"]);
    // What is meant for the tests themselves (coverage, another target) is not for the firmware.
    for of_the_tests in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
    ] {
        cargo.env_remove(of_the_tests);
    }
    let output = cargo.current_dir(&folder).output().expect("cargo runs the tests, so it is there");
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        // Whatever the target is: the compiler says so.
        if said.contains("target may not be installed") {
            return skipped(&format!("the target that {package} is built for is not installed"));
        }
        panic!("{package} does not build:\n{said}");
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let built = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut program = built.filter_map(|line| line["executable"].as_str().map(PathBuf::from));
    Some(program.next_back().unwrap_or_else(|| panic!("{package} builds no program:\n{said}")))
}
