//! `flamingo queue` against simulators: order, pauses, requests, lost instruments and programs that are killed. What the
//! instruments received decides, not what the queue says.

use std::collections::BTreeMap;

use crate::program::{Ended, Running, flamingo, start};
use crate::simulator::simulator;
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::changing_peer::ChangingPeer;
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::test_microscope;
use flamingo_simulator::Truth;
use serde_json::Value;

/// One stack in about 100 ms.
const QUICK: &str = "[workflow]\nspeed_factor = 10.0\n[stage]\nspeed_factor = 100.0\n";

/// Workflow files that differ in their lengths, so that the length tells which one was sent.
fn workflows(folder: &Folder, count: usize) -> Vec<String> {
    let one_laser = test_microscope::WORKFLOW.replace("561 nm MLE = 4.50 1", "561 nm MLE = 4.50 0");
    let one_laser = one_laser.replace("405 nm MLE = 4.50 1", "405 nm MLE = 4.50 0");
    (0..count)
        .map(|number| {
            let text =
                one_laser.replace("Comments = ", &format!("Comments = {}", "x".repeat(number)));
            folder.file(&format!("{number}.txt"), text)
        })
        .collect()
}

/// How often each length was sent to these instruments.
fn sent(truths: &[Truth]) -> BTreeMap<u32, usize> {
    let mut sent = BTreeMap::new();
    for truth in truths {
        for record in truth.received() {
            if record.frame.code == CommandCode::CAMERA_WORK_FLOW_START {
                *sent.entry(record.frame.payload_len).or_default() += 1;
            }
        }
    }
    sent
}

fn length(file: &str) -> u32 {
    u32::try_from(std::fs::metadata(file).unwrap().len()).unwrap()
}

/// The stage of each workflow.
fn stages(state: &str) -> Vec<String> {
    let status = flamingo(&["queue", "status", "--state", state, "--json"]);
    let rows = status.expect_done().objects();
    let stage = |row: &Value| row["stage"].as_str().map(str::to_owned);
    rows.iter().filter_map(stage).collect()
}

fn queue<'a>(
    files: &'a [String],
    address: &'a str,
    state: &'a str,
    more: &[&'a str],
) -> Vec<&'a str> {
    let mut arguments = vec!["queue", "run"];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(["--connect", address, "--state", state, "--retry", "100ms"]);
    arguments.extend(more);
    arguments
}

#[test]
fn workflows_run_one_after_another_and_are_done() {
    let folder = Folder::new("queue_order");
    let (simulator, address) = simulator(QUICK);
    let (files, state) = (workflows(&folder, 3), folder.path("queue.json"));
    let ended = flamingo(&queue(&files, &address, &state, &["--repeat", "2", "--json"]));
    let events = ended.expect_done().objects();
    let done = events.iter().filter(|event| event["event"] == "done").count();
    assert_eq!(done, 6, "{events:?}");
    assert_eq!(stages(&state), ["done"; 6]);
    assert_eq!(sent(&[simulator.truth()]).into_values().collect::<Vec<_>>(), [2, 2, 2]);
    let status = flamingo(&["queue", "status", "--state", &state]);
    assert!(status.expect_done().stdout.contains("6 workflows: 6 done; over"), "{status:?}");
}

#[test]
fn no_workflow_runs_twice_if_the_instrument_is_lost() {
    let folder = Folder::new("queue_lost");
    let (files, state) = (workflows(&folder, 50), folder.path("queue.json"));
    let (first, _) = simulator(QUICK);
    let instrument = ChangingPeer::before(first.control());
    let address = instrument.address().to_string();
    let running = start(&queue(&files, &address, &state, &["--json"]));
    let (mut simulator, mut truths) = (first, Vec::new());
    for round in 1..=5 {
        // It is lost in the middle of a workflow.
        let number = round * 8;
        wait_for(&running, "started", number);
        truths.push(simulator.truth());
        instrument.change(None);
        smol::block_on(simulator.stop());
        (simulator, _) = self::simulator(QUICK);
        instrument.change(Some(simulator.control()));
    }
    let ended = running.ended();
    ended.expect_code(7);
    truths.push(simulator.truth());
    expect_each_once(&files, &state, &truths);
    let unknown = stages(&state).iter().filter(|stage| *stage == "unknown").count();
    assert!((1..=5).contains(&unknown), "{unknown} unknown");
}

/// Every workflow was sent at most once; each that is done was sent; the others are unknown.
#[track_caller]
fn expect_each_once(files: &[String], state: &str, truths: &[Truth]) {
    let (sent, stages) = (sent(truths), stages(state));
    assert_eq!(stages.len(), files.len());
    for (file, stage) in files.iter().zip(stages) {
        let times = sent.get(&length(file)).copied().unwrap_or(0);
        match stage.as_str() {
            "done" => assert_eq!(times, 1, "{file}"),
            "unknown" => assert!(times <= 1, "{file} was sent {times} times"),
            other => panic!("{file} is {other}"),
        }
    }
}

/// Waits for this event of the workflow with this number.
fn wait_for(running: &Running, event: &str, number: usize) {
    loop {
        let line: Value = serde_json::from_str(&running.line()).unwrap();
        if line["event"] == event && line["number"] == number {
            return;
        }
    }
}

#[test]
fn no_workflow_runs_twice_if_the_program_is_killed() {
    let folder = Folder::new("queue_killed");
    let (files, state) = (workflows(&folder, 24), folder.path("queue.json"));
    let (simulator, address) = simulator(QUICK);
    let mut running = start(&queue(&files, &address, &state, &["--json"]));
    let resume = ["queue", "resume", "--connect", &address, "--state", &state, "--json"];
    for round in 1..=5 {
        wait_for(&running, "started", round * 4);
        running.signal("-KILL");
        running.ended();
        running = start(&resume);
    }
    let ended = running.ended();
    assert!(matches!(ended.code, Some(0 | 7)), "{ended:?}");
    expect_each_once(&files, &state, &[simulator.truth()]);
}

#[test]
fn a_queue_pauses_resumes_and_stops_on_request() {
    let folder = Folder::new("queue_requests");
    let (files, state) = (workflows(&folder, 4), folder.path("queue.json"));
    let (simulator, address) = simulator(QUICK);
    let running = start(&queue(&files, &address, &state, &["--json", "--pause", "2s"]));
    let ask = |what: &[&str]| flamingo(&[&["queue"], what, &["--state", &state]].concat());
    wait_for(&running, "started", 1);
    ask(&["pause"]).expect_done();
    wait_for(&running, "paused", 2);
    assert_eq!(sent(&[simulator.truth()]).len(), 1, "it waits");
    assert!(ask(&["status"]).stdout.contains("a program runs it"));
    ask(&["resume"]).expect_done();
    wait_for(&running, "done", 2);
    ask(&["stop"]).expect_done();
    running.ended().expect_code(0);
    let stages = stages(&state);
    assert_eq!((stages[1].as_str(), stages[3].as_str()), ("done", "waiting"));
    ask(&["pause"]).expect_error(2, &["no program runs this queue"]);
    let again = flamingo(&queue(&files, &address, &state, &[]));
    again.expect_error(2, &["not over", "queue resume"]);
}

#[test]
fn ctrl_c_stops_the_workflow_and_the_queue_goes_on_later() {
    let folder = Folder::new("queue_ctrl_c");
    let (files, state) = (workflows(&folder, 2), folder.path("queue.json"));
    let (simulator, address) =
        simulator("[workflow]\nspeed_factor = 0.01\n[stage]\nspeed_factor = 100.0\n");
    let running = start(&queue(&files, &address, &state, &["--json"]));
    wait_for(&running, "started", 1);
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert_eq!(stages(&state), ["stopped", "waiting"]);
    let stops = simulator.truth().received();
    assert!(stops.iter().any(|sent| sent.frame.code == CommandCode::CAMERA_WORK_FLOW_STOP));
}

#[test]
fn a_stop_by_another_program_ends_the_queue() {
    let folder = Folder::new("queue_stopped");
    let (files, state) = (workflows(&folder, 2), folder.path("queue.json"));
    let slow = "[workflow]\nspeed_factor = 0.05\n[stage]\nspeed_factor = 100.0\n";
    let (simulator, address) = simulator(slow);
    let running = start(&queue(&files, &address, &state, &["--json"]));
    wait_for(&running, "started", 1);
    let stop = ["send", "CAMERA_WORK_FLOW_STOP", "--no-callback", "--connect", &address];
    flamingo(&stop).expect_done();
    let ended = running.ended();
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("another program stopped a workflow"), "{ended:?}");
    assert_eq!(stages(&state), ["stopped", "waiting"]);
    assert_eq!(sent(&[simulator.truth()]).len(), 1, "nothing moves after a stop");
}

#[test]
fn a_file_with_an_error_is_refused_before_anything_is_sent() {
    let folder = Folder::new("queue_refused");
    let mut files = workflows(&folder, 1);
    files.push(folder.file("bad.txt", "<Workflow Settings>\nx\n</Workflow Settings>"));
    let (simulator, address) = simulator(QUICK);
    let refused = flamingo(&queue(&files, &address, &folder.path("queue.json"), &[]));
    refused.expect_error(2, &["bad.txt", "line 2", "nothing was sent"]);
    assert!(simulator.truth().received().is_empty());
    let none: Ended = flamingo(&["queue", "status", "--state", &folder.path("no.json")]);
    none.expect_error(2, &["there is no queue"]);
}

#[test]
fn a_workflow_beyond_the_limits_fails_and_the_next_one_runs() {
    let folder = Folder::new("queue_beyond");
    let beyond = test_microscope::WORKFLOW.replace("X (mm) = 7.5", "X (mm) = 99");
    let files = [folder.file("beyond.txt", beyond), workflows(&folder, 1).remove(0)];
    let (simulator, address) = simulator(QUICK);
    let state = folder.path("queue.json");
    flamingo(&queue(&files, &address, &state, &[])).expect_code(5);
    assert_eq!(stages(&state), ["failed", "done"]);
    assert_eq!(
        sent(&[simulator.truth()]).into_iter().collect::<Vec<_>>(),
        [(length(&files[1]), 1)]
    );
}

#[test]
fn the_stage_returns_to_where_it_stood() {
    let folder = Folder::new("queue_return");
    let (files, state) = (workflows(&folder, 1), folder.path("queue.json"));
    let (_simulator, address) = simulator(QUICK);
    let position = || flamingo(&["get", "position", "--connect", &address]).stdout;
    let before = position();
    flamingo(&queue(&files, &address, &state, &["--return-to-start"])).expect_done();
    assert_eq!(position(), before);
}

#[test]
fn a_command_is_run_at_each_event() {
    let folder = Folder::new("queue_hooks");
    let (files, state) = (workflows(&folder, 1), folder.path("queue.json"));
    let (_simulator, address) = simulator(QUICK);
    let log = folder.path("log");
    let hook = format!(
        "echo $FLAMINGO_EVENT $FLAMINGO_NUMBER/$FLAMINGO_TOTAL >> {log}; [ $FLAMINGO_EVENT != done ]"
    );
    let ended = flamingo(&queue(&files, &address, &state, &["--on-event", &hook]));
    ended.expect_code(0);
    assert!(ended.stderr.contains("warning: --on-event: it ended with"), "{ended:?}");
    let told = std::fs::read_to_string(&log).unwrap();
    assert_eq!(told, "queue-started 1/1\nstarted 1/1\ndone 1/1\nqueue-ended 1/1\n");
}

#[test]
fn a_web_server_is_told_each_event() {
    let folder = Folder::new("queue_web");
    let (files, state) = (workflows(&folder, 1), folder.path("queue.json"));
    let (_simulator, address) = simulator(QUICK);
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", server.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        while bodies.len() < 4 {
            let (stream, _) = server.accept().unwrap();
            bodies.push(answer(stream));
        }
        bodies
    });
    flamingo(&queue(&files, &address, &state, &["--notify", &url])).expect_done();
    let events: Vec<_> = served.join().unwrap().iter().map(|body| body["event"].clone()).collect();
    assert_eq!(events, ["queue-started", "started", "done", "queue-ended"]);
    let refused = flamingo(&queue(&files, &address, &state, &["--notify", "https://lab"]));
    refused.expect_error(2, &["--on-event"]);
}

/// Answers one request; returns its body.
fn answer(stream: std::net::TcpStream) -> Value {
    use std::io::{BufRead, BufReader, Read, Write};
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    serde_json::from_slice(&body).unwrap()
}
