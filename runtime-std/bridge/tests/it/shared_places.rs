//! Three things that others may want of a bridge: another recorder its folder, a web site its status, and
//! a later client the name of an earlier one in the metrics.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_recording::{Recorder, RecorderOptions};

use crate::harness::{bridge, until};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::{PROMPT, RawClient, query, simulator};

/// Sends a request with these headers and returns the response.
fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    response
}

#[test]
fn two_bridges_do_not_record_into_one_folder() {
    let folder = Folder::new("two-bridges");
    let instrument = simulator(PROMPT);
    let place = folder.path("wire");
    let first = bridge(instrument.control(), |settings| settings.record.folder = place.clone());
    let mut settings = BridgeSettings::new(instrument.control().to_string());
    settings.listen.control = ([127, 0, 0, 1], 0).into();
    settings.record.folder = place.clone();
    let error = smol::block_on(Bridge::start(&settings)).expect_err("the folder is in use");
    assert!(error.to_string().starts_with("record.folder: cannot write into"), "{error}");
    assert!(error.to_string().contains(&place), "{error}");
    let file = folder.0.join("wire/other.pcapng");
    let error = Recorder::to_file(&file, RecorderOptions::default()).expect_err("it is in use");
    assert!(error.to_string().contains(&place), "{error}");
    smol::block_on(first.stop());
    smol::block_on(async { Bridge::start(&settings).await.expect("the first has ended") });
}

#[test]
fn the_status_is_not_given_to_another_site() {
    let instrument = simulator(PROMPT);
    let bridge = bridge(instrument.control(), |settings| {
        settings.listen.status = Some(([127, 0, 0, 1], 0).into());
        settings.listen.status_hosts = vec!["scope.lab".to_owned()];
    });
    let address = bridge.status_address().expect("the status page is on");
    for (headers, code) in [
        (format!("Host: {address}\r\n"), "200"),
        ("Host: scope.lab\r\n".to_owned(), "200"),
        ("Host: rebound.example\r\n".to_owned(), "421"),
        (format!("Host: {address}\r\nOrigin: http://evil.example\r\n"), "403"),
        (format!("Host: {address}\r\nSec-Fetch-Site: cross-site\r\n"), "403"),
    ] {
        let response = get(address, "/status", &headers);
        assert!(response.starts_with(&format!("HTTP/1.1 {code} ")), "{headers}: {response}");
        assert_eq!(response.contains("\"upstream\""), code == "200", "{headers}: {response}");
    }
}

#[test]
fn a_client_that_connects_again_makes_no_new_metrics() {
    let instrument = simulator(PROMPT);
    let bridge = bridge(instrument.control(), |settings| {
        settings.listen.status = Some(([127, 0, 0, 1], 0).into());
    });
    let address = bridge.status_address().expect("the status page is on");
    let names = || {
        let metrics = get(address, "/metrics", "Host: localhost\r\n");
        let lines = metrics.lines().filter(|line| line.starts_with("flamingo_bridge_client_"));
        lines.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let mut first = Vec::new();
    for _ in 0..5 {
        let mut client = RawClient::to(bridge.control());
        assert_eq!(client.ask(&query(1)).frame.status, 1);
        let names = names();
        assert!(names.iter().any(|name| name.contains("client=\"127.0.0.1#1\"")), "{names:?}");
        if first.is_empty() {
            first.clone_from(&names);
        }
        assert_eq!(names, first);
        drop(client);
        until(&bridge, |status| status.clients.is_empty());
    }
}
