//! Runs firmware in QEMU and gives one TCP address for each of its UARTs. Connecting to an address plugs a
//! cable in, closing the connection pulls it out. What the firmware sends while no cable is plugged in is
//! lost, as on a real board.
//!
//! Without QEMU, or without the compiler's target, each test prints one line that it was skipped, and passes.
//! With `FLAMINGO_QEMU=required` it fails instead. How the firmware is built is in `src/lib.rs`.

pub(crate) mod cable;
pub(crate) mod log;
mod qmp;

use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use flamingo_firmware_tests::{QEMU, VARIABLE, build_command, missing};
use flamingo_runtime_std::Clock;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{CpuSet, sched_getaffinity};
use serde_json::{Value, json};

use self::log::Log;
use self::qmp::Monitor;

/// An emulator whose test was killed ends by itself after this many seconds.
const LIMIT_S: &str = "600";
/// The name of the network in QEMU, and the board's address in it.
const NETWORK: &str = "network";
const ADDRESS: &str = "10.0.2.15";
/// How often QEMU is asked about its sockets.
const POLL: Duration = Duration::from_millis(1);
/// Longer than QEMU takes for anything.
const PATIENCE_US: u64 = 20_000_000;

/// The program of a package in `protocol-core/examples`, built once for all tests. `None`: it cannot be built or
/// run here. The test was reported as skipped and must return.
pub(crate) fn program(package: &'static str) -> Option<PathBuf> {
    type Once = Arc<OnceLock<Result<PathBuf, String>>>;
    static PROGRAMS: Mutex<Option<HashMap<&str, Once>>> = Mutex::new(None);
    let once = {
        let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(programs.get_or_insert_default().entry(package).or_default())
    };
    match once.get_or_init(|| build(package)) {
        Ok(program) => Some(program.clone()),
        Err(reason) => {
            skip(reason);
            None
        }
    }
}

/// The program, or the reason to skip its tests.
fn build(package: &str) -> Result<PathBuf, String> {
    if let Some(reason) = missing() {
        return Err(reason.to_owned());
    }
    let mut cargo = build_command(package, Path::new(env!("FIRMWARE_TARGET_DIR")));
    let output = cargo.output().expect("cargo is installed, since it runs the tests");
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        if messages.contains("target may not be installed") {
            return Err(format!(
                "the target of {package} is not installed (see rustup target add)"
            ));
        }
        panic!("{package} does not build:\n{messages}");
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let built = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut programs = built.filter_map(|line| line["executable"].as_str().map(PathBuf::from));
    Ok(programs.next_back().unwrap_or_else(|| panic!("{package} has no program:\n{messages}")))
}

/// Reports that the test is skipped; fails if that is not allowed.
fn skip(reason: &str) {
    let required = std::env::var(VARIABLE).is_ok_and(|value| value == "required");
    assert!(!required, "{VARIABLE}=required, but {reason}");
    let thread = std::thread::current();
    // Written directly: libtest hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {reason}", thread.name().unwrap_or_default());
}

/// A running emulator. Dropping it ends it.
pub(crate) struct Emulator {
    child: Child,
    monitor: Mutex<Monitor>,
    program: PathBuf,
}

impl Emulator {
    /// Runs a program on a machine of QEMU, with a socket for each of its first `uarts` UARTs.
    pub(crate) fn start(program: &Path, machine: &str, uarts: usize) -> Self {
        let emulator = Self::paused(program, machine, uarts, &[]);
        emulator.run();
        emulator
    }

    /// The same, but the board does nothing before [`run`](Self::run), and its Ethernet is plugged in. Ports of
    /// this computer lead to these TCP ports of the board ([`tcp`](Self::tcp)).
    pub(crate) fn paused(program: &Path, machine: &str, uarts: usize, ports: &[u16]) -> Self {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", LIMIT_S, "taskset", "--cpu-list", &next_processor()]);
        command.args([QEMU, "-machine", machine, "-kernel"]).arg(program);
        command.args(["-display", "none", "-monitor", "none", "-qmp", "stdio", "-S"]);
        let forward = |port| format!(",hostfwd=tcp:127.0.0.1:0-{ADDRESS}:{port}");
        let forwards: String = ports.iter().map(forward).collect();
        if !ports.is_empty() {
            command.arg("-nic").arg(format!("user,id={NETWORK},restrict=on{forwards}"));
        }
        for uart in 0..uarts {
            let socket =
                format!("socket,id=uart{uart},host=127.0.0.1,port=0,server=on,wait=off,nodelay=on");
            command.args(["-chardev", &socket, "-serial", &format!("chardev:uart{uart}")]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command
            .spawn()
            .expect("QEMU, timeout (coreutils) and taskset (util-linux) are installed");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        // From here on, dropping it ends the process.
        let monitor = Mutex::new(Monitor::new(stdin, stdout));
        let emulator = Self { child, monitor, program: program.to_owned() };
        emulator.monitor().execute("qmp_capabilities");
        emulator
    }

    /// Lets the board run.
    pub(crate) fn run(&self) {
        self.monitor().execute("cont");
    }

    /// The address that leads to a TCP port of the board.
    pub(crate) fn tcp(&self, port: u16) -> SocketAddr {
        let forwarded = self.monitor().forwarded_port(port).expect("it was asked for");
        (Ipv4Addr::LOCALHOST, forwarded).into()
    }

    /// Plugs the cable of the board's Ethernet in, or pulls it out.
    pub(crate) fn plug_network(&self, up: bool) {
        self.monitor().execute_with("set_link", &json!({ "name": NETWORK, "up": up }));
    }

    /// The address of a UART. It takes one connection at a time: a second one waits until the first is closed.
    pub(crate) fn uart(&self, number: usize) -> SocketAddr {
        let socket = self.monitor().uart_socket(number);
        let address = socket.split("tcp:").nth(1).and_then(|rest| rest.split([',', ' ']).next());
        address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{socket}"))
    }

    /// Plugs a cable into a UART. From here on no byte is lost.
    pub(crate) fn plug(&self, number: usize) -> TcpStream {
        let socket = TcpStream::connect(self.uart(number)).expect("QEMU listens");
        socket.set_nodelay(true).expect("a socket");
        self.until_plugged(number, true);
        socket
    }

    /// The log that comes out of a UART, from now on.
    pub(crate) fn log(&self, number: usize) -> Log {
        let reader = program("mcu-log").expect("the running program was built, too");
        let log = Log::new(&reader, &self.program, self.uart(number));
        self.until_plugged(number, true);
        log
    }

    /// Waits until QEMU has noticed that the cable of a UART was pulled out.
    pub(crate) fn until_unplugged(&self, number: usize) {
        self.until_plugged(number, false);
    }

    fn until_plugged(&self, number: usize, plugged: bool) {
        let clock = Clock::start();
        while self.monitor().uart_socket(number).starts_with("disconnected:") == plugged {
            assert!(clock.now().as_micros() < PATIENCE_US, "UART {number} of QEMU");
            smol::block_on(smol::Timer::after(POLL));
        }
    }

    fn monitor(&self) -> MutexGuard<'_, Monitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The processor for the next emulator: each in turn. The two threads of QEMU pass every byte of a UART from
/// one to the other. On two processors, the thousand queries of `mcu_bridge` took 37 to 72 s; on one, 21 to 27 s.
fn next_processor() -> String {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let allowed = sched_getaffinity(None).expect("Linux reports the processors of a process");
    let allowed: Vec<_> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    allowed[number % allowed.len()].to_string()
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // An error: it has ended already, and its process group with it.
        let _ = pid.map(|pid| kill_process_group(pid, Signal::KILL));
        let _ = self.child.wait();
    }
}
