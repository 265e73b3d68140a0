//! A process that may open no more files: connected clients are served, and the others wait.

use std::fs::File;
use std::process::Command;

use crate::harness::{bridge, status};
use flamingo_protocol_core::CommandCode as Code;
use flamingo_runtime_testkit::raw_client::{PROMPT, RawClient, command, query, simulator};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Tells the process that it is the one whose limit is lowered, since that limits all its tests.
const IS_CHILD: &str = "FLAMINGO_TEST_FEW_DESCRIPTORS";

#[test]
fn without_descriptors_a_connected_client_may_still_halt() {
    if std::env::var_os(IS_CHILD).is_some() {
        return halts_without_descriptors();
    }
    let test = "descriptors::without_descriptors_a_connected_client_may_still_halt";
    let this = std::env::current_exe().expect("this program");
    let child = Command::new(this).args([test, "--exact"]).env(IS_CHILD, "1").output();
    let child = child.expect("it starts");
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

fn halts_without_descriptors() {
    let instrument = simulator(PROMPT);
    let bridge = bridge(instrument.control(), |_| ());
    let mut client = RawClient::to(bridge.control());
    assert_eq!(client.ask(&query(1)).frame.status, 1);
    let before = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux").count() as u64;
    let few = Rlimit { current: Some(open + 20), ..before };
    setrlimit(Resource::Nofile, few).expect("a lower limit");
    let mut files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One more file may be open: the socket of a client, but not that of the bridge to it.
    drop(files.pop());
    let mut waiting = RawClient::to(bridge.control());
    waiting.send(&query(2));
    let halt = command(Code::STAGE_HALT).with_selector(1);
    for _ in 0..200 {
        assert_eq!(client.ask(&halt).frame.status, 1);
    }
    assert_eq!(status(&bridge).clients.len(), 1, "the other client is not accepted");
    setrlimit(Resource::Nofile, before).expect("the limit of before");
    assert_eq!(waiting.next().frame.status, 1, "the client was accepted when that was possible");
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}
