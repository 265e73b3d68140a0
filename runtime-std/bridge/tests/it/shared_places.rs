//! What a bridge does not share with others: the folder of its recording, and its status with the pages
//! of other web sites.

use std::io::{Read, Write};
use std::net::TcpStream;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_recording::{Recorder, RecorderOptions};

use crate::harness::bridge;
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::{PROMPT, simulator};

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
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET /status HTTP/1.1\r\n{headers}\r\n").expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        assert!(response.starts_with(&format!("HTTP/1.1 {code} ")), "{headers}: {response}");
        assert_eq!(response.contains("\"upstream\""), code == "200", "{headers}: {response}");
    }
}
