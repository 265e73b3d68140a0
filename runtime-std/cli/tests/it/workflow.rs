//! `flamingo workflow check` and `flamingo workflow run`.

use crate::program::{Witness, flamingo, flamingo_fed, start};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::peer;
use flamingo_runtime_testkit::test_microscope;
use flamingo_simulator::Simulator;
use serde_json::Value;
use smol::future;

fn simulator(scenario: &str) -> (Simulator, String) {
    let simulator = smol::block_on(test_microscope::simulator(scenario));
    let address = simulator.control().to_string();
    (simulator, address)
}

fn sent(simulator: &Simulator, code: CommandCode) -> usize {
    simulator.truth().received().iter().filter(|record| record.frame.code == code).count()
}

/// Three stacks, in about a second and a half.
const BRISK: &str =
    "[workflow]\nspeed_factor = 1.0\nstale_idle = true\n[stage]\nspeed_factor = 50.0\n";

#[test]
fn a_valid_workflow_is_summarised() {
    let folder = Folder::new("fine");
    let file = folder.file("fine.txt", test_microscope::WORKFLOW);
    let checked = flamingo(&["workflow", "check", &file, "--json"]);
    let summary = checked.expect_done().object();
    assert_eq!((&summary["ok"], &summary["stacks"]), (&true.into(), &3.into()));
    assert_eq!((&summary["planes"], &summary["images"]), (&10.into(), &30.into()));
    assert_eq!(summary["acquisition_ms"], 750.0);
    let text =
        flamingo_fed(&["workflow", "check", "-"], test_microscope::WORKFLOW.replace('\n', "\r\n"));
    let expected = "ok: 3 stacks of 10 planes, 30 images, at least 1s, to /media/data/ssd1\n";
    assert_eq!(text.expect_done().stdout, expected);
}

#[test]
fn errors_in_a_workflow_are_reported_with_their_line() {
    let folder = Folder::new("wrong");
    let wrong = test_microscope::WORKFLOW
        .replace("X (mm) = 7.5", "X (mm) = seven")
        .replace("4.50 1", "4.50 0");
    let file = folder.file("wrong.txt", wrong);
    let checked = flamingo(&["workflow", "check", &file, "--json"]);
    checked.expect_error(2, &["wrong.txt", "cannot run"]);
    let said = checked.objects();
    let line = said.iter().find(|finding| finding["severity"] == "error").unwrap();
    assert_eq!(line["line"], 23, "{said:?}");
    assert!(line["message"].as_str().unwrap().contains("\"seven\""), "{said:?}");
    assert!(said.iter().any(|finding| finding["severity"] == "warning"), "{said:?}");
    let text = flamingo(&["workflow", "check", &file]);
    assert!(text.stdout.contains(&format!("{file}:23: error: X (mm)")), "{text:?}");
    let none = folder.file("none.txt", "<Workflow Settings>\nx\n</Workflow Settings>");
    flamingo(&["workflow", "check", &none]).expect_error(2, &["none.txt", "line 2"]);
    flamingo(&["workflow", "check", &folder.path("missing")]).expect_error(2, &["cannot read"]);
}

#[test]
fn limits_come_from_a_file_or_from_the_instrument() {
    let folder = Folder::new("limits");
    let file = folder.file("workflow.txt", test_microscope::WORKFLOW.replace("= 7.5", "= 12.2"));
    let settings = folder.file("settings.txt", test_microscope::SETTINGS);
    let checked = flamingo(&["workflow", "check", &file, "--settings", &settings]);
    checked.expect_error(2, &["cannot run"]);
    assert!(checked.stdout.contains("Soft limit max x-axis, line 2"), "{checked:?}");
    let (simulator, address) = simulator("");
    let checked = flamingo(&["workflow", "check", &file, "--connect", &address, "--json"]);
    assert_eq!(checked.expect_done().object()["instrument"], "Stack settings are valid");
    let beyond = folder.file("beyond.txt", test_microscope::WORKFLOW.replace("= 7.5", "= 12.4"));
    let checked = flamingo(&["workflow", "check", &beyond, "--connect", &address]);
    checked.expect_error(2, &["cannot run"]);
    assert!(checked.stdout.contains("hard limit"), "{checked:?}");
    assert_eq!(sent(&simulator, CommandCode::CAMERA_WORK_FLOW_START), 0);
}

#[test]
fn a_refusal_by_the_instrument_alone_has_its_own_exit_code() {
    smol::block_on(async {
        let (listener, options) = peer::listen();
        let folder = Folder::new("objects");
        let file = folder.file("workflow.txt", test_microscope::WORKFLOW);
        let arguments = ["workflow", "check", &file, "--connect", &options.address];
        let server = async {
            let mut peer = peer::Peer::accept_and_shake_hands(&listener).await;
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            test_microscope::answer_with(&mut peer, &query, test_microscope::SETTINGS.as_bytes())
                .await;
            let check = peer.expect(CommandCode::CAMERA_CHECK_STACK).await;
            peer.read_bytes(check.payload_len as usize).await;
            test_microscope::answer_with(&mut peer, &check, b"Z 19.045 is beyond its Hard Limit\n")
                .await;
            peer
        };
        let (checked, _peer) =
            future::zip(crate::program::flamingo_meanwhile(&arguments), server).await;
        checked.expect_error(5, &["cannot run"]);
        assert!(checked.stdout.contains("the instrument reports: Z 19.045"), "{checked:?}");
    });
}

/// Runs the program while another client sends queries as fast as it gets answers.
fn flooded(arguments: &[&str], address: &str) -> crate::program::Ended {
    let running = start(arguments);
    smol::block_on(async {
        let options = flamingo_runtime_std::Options::new(address);
        let client = flamingo_runtime_std::Client::connect(options).await.unwrap();
        let flood = async {
            loop {
                for axis in 1..=4 {
                    client.request(peer::position_of(axis)).await.unwrap();
                }
                client.request(Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET)).await.unwrap();
            }
        };
        future::or(smol::unblock(move || running.ended()), flood).await
    })
}

#[test]
fn a_workflow_runs_to_idle_while_another_client_floods() {
    let folder = Folder::new("run");
    let file = folder.file("workflow.txt", test_microscope::WORKFLOW);
    let (simulator, address) = simulator(BRISK);
    let ended = flooded(&["workflow", "run", &file, "--connect", &address, "--json"], &address);
    let told = ended.expect_done().objects();
    let of = |event: &str| told.iter().filter(|told| told["event"] == event).collect::<Vec<_>>();
    assert_eq!((of("uploaded").len(), of("started").len(), of("stack").len()), (1, 1, 3));
    let done: Vec<i64> =
        of("progress").iter().map(|told| told["images_done"].as_i64().unwrap()).collect();
    assert!(done.is_sorted() && done.last() == Some(&30), "{done:?}");
    let last = told.last().unwrap();
    assert_eq!((&last["event"], &last["images"]), (&"ended".into(), &30.into()));
    assert_eq!((&last["saved"], &last["aborted"]), (&true.into(), &false.into()));
    let before_last = &told[told.len() - 2];
    assert_eq!(before_last["event"], "images_saved", "the end comes behind everything else");
    assert_eq!(sent(&simulator, CommandCode::CAMERA_WORK_FLOW_START), 1);
    let state = flamingo(&["get", "state", "--connect", &address, "--json"]);
    assert_eq!(state.expect_done().object()["state"], "IDLE");
}

#[test]
fn ctrl_c_stops_the_workflow_and_waits_for_its_end() {
    let folder = Folder::new("stop");
    let file = folder.file("workflow.txt", test_microscope::workflow(3, 400).bytes());
    let (simulator, address) = simulator(BRISK);
    let running = start(&["workflow", "run", &file, "--connect", &address, "--json"]);
    while !running.line().contains("progress") {}
    running.interrupt();
    let ended = running.ended();
    ended.expect_error(130, &["interrupted, workflow stopped after"]);
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["aborted"]), (&"ended".into(), &true.into()));
    assert_eq!(sent(&simulator, CommandCode::CAMERA_WORK_FLOW_STOP), 1);
}

#[test]
fn a_workflow_with_errors_is_not_sent() {
    let folder = Folder::new("refused");
    let (simulator, address) = simulator(BRISK);
    let beyond = folder.file("beyond.txt", test_microscope::WORKFLOW.replace("= 7.5", "= 77.5"));
    let refused = flamingo(&["workflow", "run", &beyond, "--connect", &address]);
    refused.expect_error(2, &["nothing was sent", "77.5"]);
    let other = flamingo(&["workflow", "run", &folder.file("x", "x = 1"), "--connect", &address]);
    other.expect_error(2, &["Workflow Settings"]);
    assert_eq!(sent(&simulator, CommandCode::CAMERA_WORK_FLOW_START), 0);
    let witness = Witness::new();
    let missing = ["workflow", "run", &folder.path("none"), "--connect", &witness.address()];
    flamingo(&missing).expect_error(2, &["cannot read"]);
    witness.expect_nobody();
}

#[test]
fn a_workflow_that_another_client_stops_is_a_failure() {
    let folder = Folder::new("else");
    let file = folder.file("workflow.txt", test_microscope::workflow(3, 400).bytes());
    let (_simulator, address) = simulator(BRISK);
    let running = start(&["workflow", "run", &file, "--connect", &address, "--json"]);
    while !running.line().contains("progress") {}
    flamingo(&["send", "CAMERA_WORK_FLOW_STOP", "--connect", &address]).expect_done();
    running.ended().expect_error(5, &["after 0 of 3 stacks"]);
}
