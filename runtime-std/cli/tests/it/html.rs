//! `flamingo decode --html`: the file and its data. `scripts/check-html` opens pages in a browser.

use std::io::Write;
use std::path::Path;

use crate::program::{address, flamingo, flamingo_fed, start, start_with_open_stdin};
use crate::wire_capture::WireCapture;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::folder::Folder;
use serde_json::Value;

/// The blocks of data of a page: rows, and the facts beside them.
fn data(page: &str) -> (Vec<Value>, Value) {
    let block = |rest: &str| {
        let (json, _) = rest.split_once("</script>").unwrap();
        serde_json::from_str::<Value>(json).unwrap()
    };
    let rows = page.split("class=\"rows\">").skip(1).map(block);
    let rows = rows.flat_map(|rows| rows.as_array().unwrap().clone()).collect();
    let facts = page.split_once("id=\"facts\">").map(|(_, rest)| block(rest));
    (rows, facts.unwrap())
}

#[test]
fn the_page_has_the_rows_and_totals_of_decode() {
    let folder = Folder::new("page");
    let file = folder.path("run.pcapng");
    let instrument = start(&["sim", "--port", "0", "--json"]);
    let control = address(&instrument.ports()["control"]);
    let recorder =
        start(&["record", "--out", &file, "--listen", "0", "--connect", &control, "--json"]);
    let connect = address(&recorder.ports()["control"]);
    flamingo(&["move", "x", "7.4", "--wait", "--connect", &connect]).expect_done();
    flamingo(&["live", "--count", "2", "--connect", &connect]).expect_done();
    recorder.interrupt();
    recorder.ended();
    let page = folder.path("run.html");
    let written = flamingo(&["decode", "--html", &page, "--json", &file]).expect_done().object();
    let rows = flamingo(&["decode", "--json", &file]).expect_done().objects();
    assert_eq!(written["rows"], rows.len());
    let (shown, facts) = data(&std::fs::read_to_string(&page).unwrap());
    assert_eq!(shown.len(), rows.len());
    for (shown, row) in shown.iter().zip(&rows) {
        let kind = facts["kinds"][usize::try_from(shown[0].as_u64().unwrap()).unwrap()].clone();
        assert_eq!((kind, &shown[2]), (row["kind"].clone(), &row["connection"]));
        let code = row["request"]["code"].as_i64().or_else(|| row["frame"]["code"].as_i64());
        assert_eq!(shown[3].as_i64(), Some(code.unwrap_or(-1)));
        if let Some(ms) = row["answer"]["elapsed_ms"].as_f64() {
            let shown = shown[4].as_f64().unwrap();
            assert!((shown - ms * 1_000.0).abs() <= 1.0, "{shown} µs, {ms} ms");
        }
    }
    let totals = flamingo(&["decode", "--summary", "--json", &file]).objects();
    let (last, codes) = totals.split_last().unwrap();
    assert_eq!(facts["codes"].as_array().unwrap(), codes);
    assert_eq!(facts["totals"]["images"], last["images"]);
    flamingo(&["decode", "--html", &page, &file]).expect_error(2, &["run.html", "exists already"]);
    std::fs::write(&page, "an older page").unwrap();
    flamingo(&["decode", "--html", &page, "--overwrite", &file]).expect_done();
    data(&std::fs::read_to_string(&page).unwrap());
    let bytes = std::fs::read(&file).unwrap();
    for option in ["--html", "--anonymize"] {
        let ended = flamingo(&["decode", option, &file, "--overwrite", &file]);
        ended.expect_error(2, &["is the capture itself"]);
    }
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn no_text_of_a_recording_becomes_a_part_of_the_page() {
    let hostile = "</script><script>x()</script><img src=x onerror=x()>\u{202e}";
    let mut capture = WireCapture::new(1_709_618_828_000_000, hostile);
    let mut link = capture.open("10.0.0.7:51234", "10.0.0.5:53717");
    let mut frame = Frame::new(CommandCode(0x7F31));
    frame.set_text(hostile).unwrap();
    let length = u32::try_from(hostile.len()).unwrap();
    let sent = [&frame.with_payload_len(length).encode()[..], hostile.as_bytes()].concat();
    capture.send(&mut link, 1, &sent, 100);
    let folder = Folder::new("hostile");
    let page = folder.path("run.html");
    flamingo_fed(&["decode", "--html", &page, "-"], capture.bytes()).expect_done();
    let page = std::fs::read_to_string(&page).unwrap();
    let (rows, _) = data(&page);
    let shown = rows.last().unwrap();
    assert!(shown[6].to_string().contains("<script>x()"), "{shown}");
    assert!(shown[7].as_str().unwrap().contains("\\u{202e}"), "{shown}");
    for part in ["<script>x()", "<img", "\u{202e}"] {
        assert!(!page.contains(part), "{part}");
    }
    // Nothing is fetched, and only what has the number of the page runs.
    assert!(page.contains("default-src 'none'"));
    let page = page.replace("src=x", "");
    for word in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
    let nonce = page.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert_eq!(nonce.len(), 32);
    let scripts =
        page.matches("<script").count() - page.matches("<script type=\"application/json\"").count();
    assert_eq!(scripts, page.matches(&format!("<script nonce=\"{nonce}\"")).count());
}

#[test]
fn a_page_that_is_interrupted_opens_and_says_so() {
    let folder = Folder::new("interrupted");
    let page = folder.path("run.html");
    let (running, mut pipe) = start_with_open_stdin(&["decode", "--html", &page, "-"]);
    let mut capture = WireCapture::new(1_709_618_828_000_000, "x");
    let mut link = capture.open("10.0.0.7:51234", "10.0.0.5:53717");
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    capture.send(&mut link, 1, &idle, 128);
    pipe.write_all(&capture.bytes()).unwrap();
    while !Path::new(&page).exists() {
        std::thread::yield_now();
    }
    running.interrupt();
    assert_eq!(running.ended().code, Some(130));
    let (rows, facts) = data(&std::fs::read_to_string(&page).unwrap());
    assert_eq!(facts["rows"], rows.len());
    assert_eq!(facts["cut"], "it was interrupted");
}

#[test]
fn the_page_of_a_cut_recording_says_so() {
    let folder = Folder::new("cut");
    let mut capture = WireCapture::new(1_709_618_828_000_000, "x");
    let mut link = capture.open("10.0.0.7:51234", "10.0.0.5:53717");
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    capture.send(&mut link, 1, &[idle, idle].concat(), 128);
    let bytes = capture.bytes();
    let file = folder.file("cut.pcapng", &bytes[..bytes.len() - 9]);
    let page = folder.path("run.html");
    flamingo(&["decode", "--html", &page, &file]).expect_error(6, &["middle of a packet"]);
    let (rows, facts) = data(&std::fs::read_to_string(&page).unwrap());
    assert_eq!((rows.len(), facts["rows"].as_u64()), (2, Some(2)));
    assert!(facts["cut"].as_str().unwrap().contains("middle of a packet"), "{facts}");
    let notes = folder.file("notes.txt", "5");
    let other = folder.path("other.html");
    flamingo(&["decode", "--html", &other, &notes]).expect_error(2, &["--html", "capture"]);
    assert!(!Path::new(&other).exists());
}
