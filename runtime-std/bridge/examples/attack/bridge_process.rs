//! The bridge in a process of its own, so that its memory and descriptors are those of the bridge alone.
//! It is this program again, with a first argument that only this file knows. Linux only.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::channel;

use flamingo_bridge::settings::{Role, RoleRule};
use flamingo_bridge::{Bridge, BridgeSettings};

use crate::attacks::Attack;
use crate::crowd_addresses::READ_ONLY_NETWORKS;
use crate::figures::{Usage, ms};

/// The first argument of the process.
pub(crate) const SERVE: &str = "--serve-bridge";

/// The ports of a bridge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) control: SocketAddr,
    pub(crate) live: SocketAddr,
    pub(crate) callback: SocketAddr,
    pub(crate) status: SocketAddr,
}

pub(crate) struct BridgeProcess {
    child: Child,
    /// The process ends when this closes.
    #[allow(dead_code)] // only held
    stdin: ChildStdin,
    pub(crate) ports: Ports,
}

impl BridgeProcess {
    /// Starts the bridge of an attack, and waits until it is connected to the instrument.
    pub(crate) fn start(attack: &Attack, instrument: SocketAddr) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args([SERVE, attack.name, &instrument.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the bridge writes its ports");
        let addresses = line.split_whitespace().map(|word| word.parse().expect("an address"));
        let ports: Vec<SocketAddr> = addresses.collect();
        let [control, live, callback, status] = ports[..] else {
            panic!("the bridge did not start");
        };
        let stdin = child.stdin.take().expect("it is piped");
        Self { child, stdin, ports: Ports { control, live, callback, status } }
    }

    /// What it uses now.
    pub(crate) fn usage(&self) -> Usage {
        let folder = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        Usage {
            resident_kib: line
                .split_whitespace()
                .nth(1)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            descriptors: std::fs::read_dir(format!("{folder}/fd")).map_or(0, Iterator::count),
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for BridgeProcess {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process: runs the bridge until stdin closes.
pub(crate) fn serve(attack: &Attack, instrument: &str) {
    let mut settings = BridgeSettings::new(instrument);
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.listen.status = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let networks = READ_ONLY_NETWORKS.map(|text| text.parse().expect("a network")).to_vec();
    settings.access.roles = vec![RoleRule::new(networks, Role::ReadOnly)];
    (attack.settings)(&mut settings);
    let bridge = smol::block_on(Bridge::start(&settings)).expect("free ports");
    smol::block_on(bridge.until_connected());
    let on = "the port is on";
    let (live, callback) = (bridge.live().expect(on), bridge.callback().expect(on));
    let status = bridge.status_address().expect(on);
    println!("{} {live} {callback} {status}", bridge.control());
    let (end, ended) = channel();
    std::thread::spawn(move || {
        // Nothing is ever sent: this ends when the other process closes its end.
        let _ = std::io::stdin().read(&mut [0]);
        drop(end);
    });
    let stop = crate::figures::Stop(ended);
    while stop.after(if attack.reloads { ms(2) } else { ms(1000) }) {
        if attack.reloads {
            smol::block_on(bridge.reload(&settings));
        }
    }
}
