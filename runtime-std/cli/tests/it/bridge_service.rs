//! `flamingo bridge` as a service: what the service manager is told, and what the operator reads if a
//! port is taken.
#![cfg(target_os = "linux")]

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use flamingo_runtime_testkit::folder::Folder;

use crate::program::{address, flamingo, start, start_in};

/// A port that this process has taken.
fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

#[test]
fn a_taken_port_is_explained_by_each_program() {
    let (_listener, port) = taken();
    let holder = format!("(process {}) listens on it", std::process::id());
    let bridge = ["bridge", "--upstream", "127.0.0.1:1", "--listen", "127.0.0.1:0"];
    let callback = [&bridge[..], &["--callback-port", &port]].concat();
    flamingo(&callback).expect_error(
        2,
        &["listen.callback", &holder, "ip_local_reserved_ports", "--callback-port", "\"off\""],
    );
    let status = format!("127.0.0.1:{port}");
    let status = [&bridge[..], &["--status", &status]].concat();
    flamingo(&status).expect_error(2, &["listen.status", &holder, "--status"]);
    flamingo(&["sim", "--port", &port]).expect_error(2, &[&holder, "another port"]);
    let nowhere = std::env::temp_dir().join("flamingo-never-written.pcapng");
    let nowhere = nowhere.to_str().unwrap();
    flamingo(&["record", "--out", nowhere, "--listen", &port])
        .expect_error(2, &[&holder, "another port"]);
}

#[test]
fn the_log_says_that_other_machines_may_only_read() {
    let folder = Folder::new("read-only");
    let (_instrument, nobody) = taken();
    let upstream = format!("127.0.0.1:{nobody}");
    let text = "[access]\nallow = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n";
    let file = folder.file("bridge.toml", text);
    let arguments = ["bridge", "--upstream", &upstream, "--listen", "127.0.0.1:0"];
    let bridge = start(&[&arguments[..], &["--config", &file]].concat());
    bridge.expect_log("access.default_role is not set");
    let control = address(&bridge.ports()["control"]);
    let moved =
        flamingo(&["send", "STAGE_POSITION_SET", "1", "--value", "1", "--connect", &control]);
    assert_ne!(moved.code, Some(0), "{moved:?}");
}

#[test]
fn the_service_manager_learns_that_the_bridge_is_alive() {
    let name = format!("flamingo-service-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let next = || {
        let mut bytes = [0; 200];
        let count = manager.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let socket = format!("@{name}");
    let environment = [("NOTIFY_SOCKET", socket.as_str()), ("WATCHDOG_USEC", "40000")];
    let (_instrument, nobody) = taken();
    let upstream = format!("127.0.0.1:{nobody}");
    let arguments = ["bridge", "--upstream", &upstream, "--listen", "127.0.0.1:0"];
    let bridge = start_in(&environment, &arguments);
    bridge.ports();
    assert_eq!(next(), "READY=1");
    for _ in 0..5 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    bridge.signal("-TERM");
    while next() != "STOPPING=1" {}
    assert_eq!(bridge.ended().code, Some(0));
}
