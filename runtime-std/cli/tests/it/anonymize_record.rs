//! `flamingo record --anonymize`: what an instrument and its client say is written without secrets at once.

use crate::anonymize::{SECRETS, decoded, expect_no_secret, occurs, text_of};
use crate::program::{Running, address, flamingo, start};
use flamingo_runtime_testkit::folder::Folder;

/// A simulated instrument and a recorder in front of it that anonymizes.
fn anonymizing(file: &str) -> (Running, Running, String) {
    let instrument = start(&["sim", "--port", "0", "--json"]);
    let control = address(&instrument.ports()["control"]);
    let recorder = start(&[
        "record",
        "--out",
        file,
        "--listen",
        "0",
        "--connect",
        &control,
        "--json",
        "--anonymize",
    ]);
    let connect = address(&recorder.ports()["control"]);
    (instrument, recorder, connect)
}

#[test]
fn record_writes_an_anonymized_recording_at_once() {
    let folder = Folder::new("live");
    let (plain, file) = (folder.path("plain.pcapng"), folder.path("run.pcapng"));
    let (_instrument, recorder, connect) = anonymizing(&file);
    let before =
        start(&["record", "--out", &plain, "--listen", "0", "--connect", &connect, "--json"]);
    let connect = address(&before.ports()["control"]);
    flamingo(&["get", "settings", "--connect", &connect]).expect_done();
    flamingo(&["get", "drives", "--connect", &connect]).expect_done();
    let upload = folder.file("upload", &text_of(SECRETS[0])[..]);
    let send = ["send", "CAMERA_CHECK_STACK", "--payload", &upload, "--connect", &connect];
    flamingo(&[&send[..], &["--buffer", SECRETS[1]]].concat());
    flamingo(&["live", "--count", "2", "--connect", &connect]).expect_done();
    for recorder in [before, recorder] {
        recorder.interrupt();
        assert_eq!(recorder.ended().code, Some(0));
    }
    let bytes = std::fs::read(&file).unwrap();
    expect_no_secret(&bytes, &SECRETS);
    expect_no_secret(&bytes, &["127.0.0.1"]);
    assert!(!occurs(&bytes, &[127, 0, 0, 1]), "an address");
    let settings = decoded(&plain);
    let settings = settings.iter().find_map(|row| row["answer"]["payload_text"].as_str());
    let lines = settings.unwrap().lines().map(str::trim).filter(|line| line.len() > 6);
    for line in lines {
        assert!(!occurs(&bytes, line.as_bytes()), "{line}");
    }
    let asked = |file: &str| {
        let rows = decoded(file).into_iter().filter(|row| row["kind"] == "answered");
        let rows = rows.map(|row| ["name", "payload_bytes"].map(|key| row["answer"][key].clone()));
        let mut rows: Vec<_> = rows.map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    };
    assert_eq!(asked(&file), asked(&plain));
    let images = decoded(&file).into_iter().filter(|row| row["kind"] == "image").count();
    assert!(images >= 2);
}
