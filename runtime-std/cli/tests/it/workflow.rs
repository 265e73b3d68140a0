//! `flamingo workflow check` and `flamingo workflow run`.

use crate::misbehaving_peer::against;
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
    while !running.line().contains("\"images_done\":2,") {}
    running.interrupt();
    let ended = running.ended();
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["aborted"]), (&"ended".into(), &true.into()));
    let images = last["images"].as_u64().unwrap();
    assert!(images > 0, "images of a stack that is not complete count: {last}");
    let stopped =
        format!("workflow stopped after {images} of 1200 images and 0 of 3 complete stacks");
    ended.expect_error(130, &["interrupted", &stopped]);
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
fn a_workflow_is_not_sent_without_settings_that_can_be_read() {
    let folder = Folder::new("unreadable");
    let file = folder.file("workflow.txt", test_microscope::WORKFLOW);
    let wide = test_microscope::SETTINGS.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for settings in [Some(wide), None] {
        let arguments = ["workflow", "run", &file, "--timeout", "300ms"];
        let expected = if settings.is_some() { "UTF-16" } else { "no answer" };
        let ended = smol::block_on(against(&arguments, async |mut peer: peer::Peer| {
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            if let Some(settings) = &settings {
                let settings: &Vec<u8> = settings;
                test_microscope::answer_with(&mut peer, &query, settings).await;
            }
            let mut rest = Vec::new();
            smol::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut rest).await.unwrap();
            assert!(rest.is_empty(), "the workflow was sent");
            peer
        }));
        ended.expect_error(2, &["limits of the stage are not known", expected, "nothing was sent"]);
    }
}

#[test]
fn a_workflow_that_another_client_stops_is_a_warning() {
    let folder = Folder::new("else");
    let file = folder.file("workflow.txt", test_microscope::workflow(3, 400).bytes());
    let (_simulator, address) = simulator(BRISK);
    let running = start(&["workflow", "run", &file, "--connect", &address, "--json"]);
    while !running.line().contains("progress") {}
    flamingo(&["send", "CAMERA_WORK_FLOW_STOP", "--connect", &address]).expect_done();
    let ended = running.ended();
    assert_eq!(ended.code, Some(0), "counts fail nothing: {ended:?}");
    let warned = ["of 1200 images and 0 of 3 complete stacks", "did another client stop"];
    assert!(warned.iter().all(|said| ended.stderr.contains(said)), "{ended:?}");
}

/// A stage and a camera that take no time. One image shows 0.672 mm.
const FAST: &str = "[stage]\nspeed_factor = 5000\nsettle_ms = 0\n[images]\nwidth = 64\nheight = 64\n\
    [camera]\npixel_size_mm = 0.0105\n[workflow]\nspeed_factor = 1000\nstart_delay_ms = 0\n";

/// A workflow whose corner tiles are 2 mm apart in X and Y.
fn tiled(overlap: &str, lasers: u32) -> String {
    let text = String::from_utf8(test_microscope::workflow(lasers, 2).bytes().to_vec()).unwrap();
    let (before, end) = text.split_once("<End Position>").unwrap();
    let end = end.replacen("= 7.5", "= 9.5", 1).replacen("(mm) = 15", "(mm) = 17", 1);
    let before = before
        .replace("= ZStack", "= Tile")
        .replace("settings 1 = 0", &format!("settings 1 = {overlap}"))
        .replace("settings 2 = 0", &format!("settings 2 = {overlap}"));
    format!("{before}<End Position>{end}")
}

#[test]
fn tiles_are_counted_by_the_field_of_view_if_it_is_known() {
    let folder = Folder::new("tiles");
    let (simulator, address) = simulator(FAST);
    let view = CommandCode::CAMERA_LIVE_VIEW_START;
    for (overlap, lasers, tiles) in
        [("0", 1, 16), ("10", 2, 25), ("10.5", 1, 25), ("50", 1, 64), ("50", 2, 64)]
    {
        let file = folder.file("tiles.txt", tiled(overlap, lasers));
        let stacks = Value::from(tiles * lasers);
        let check = ["workflow", "check", &file, "--connect", &address, "--json"];
        let run = ["workflow", "run", &file, "--connect", &address, "--json"];
        // Without live view the instrument does not tell the size of an image.
        assert_eq!(flamingo(&check).expect_done().object()["stacks"], Value::Null);
        let ran = flamingo(&run).expect_done().objects();
        let ended = ran.last().unwrap();
        assert_eq!((&ended["stacks_expected"], &ended["stacks"]), (&Value::Null, &stacks));
        let client = smol::block_on(test_microscope::client(&simulator));
        smol::block_on(client.request(Frame::command(view))).unwrap();
        assert_eq!(flamingo(&check).expect_done().object()["stacks"], stacks, "{overlap} %");
        let ran = flamingo(&run).expect_done().objects();
        let ended = ran.last().unwrap();
        assert_eq!((&ended["stacks_expected"], &ended["stacks"]), (&stacks, &stacks));
    }
}

#[test]
fn tiles_of_a_known_size_give_a_known_number_of_stacks() {
    let folder = Folder::new("counted");
    // One image shows 0.518144 mm, as 2048 pixels of 0.000253 mm do.
    let (simulator, address) = simulator(&FAST.replace("0.0105", "0.008096"));
    let text = tiled("10.5", 2).replace("= 9.5", "= 10.7").replace("= 17", "= 16.34");
    let file = folder.file("tiles.txt", text);
    let client = smol::block_on(test_microscope::client(&simulator));
    let live = Frame::command(CommandCode::CAMERA_LIVE_VIEW_START);
    smol::block_on(client.request(live)).unwrap();
    let check = ["workflow", "check", &file, "--connect", &address, "--json"];
    // 9 tiles in X, 5 in Y, and 2 lasers.
    assert_eq!(flamingo(&check).expect_done().object()["stacks"], 90);
    let run = ["workflow", "run", &file, "--connect", &address, "--json"];
    let ran = flamingo(&run).expect_done().objects();
    let ended = ran.last().unwrap();
    assert_eq!((&ended["stacks_expected"], &ended["stacks"]), (&90.into(), &90.into()));
}

#[test]
fn a_run_without_complete_stacks_is_a_success_and_says_so() {
    let folder = Folder::new("untold");
    let file = folder.file("workflow.txt", test_microscope::WORKFLOW);
    for keys in ["stack_complete = false", "stack_complete = false\nimages_saved = false"] {
        let (_simulator, address) = simulator(&format!("{FAST}{keys}\n"));
        let run = ["workflow", "run", &file, "--connect", &address];
        let text = flamingo(&run).expect_done().stdout.clone();
        assert!(text.contains("0 stacks (complete stacks were not told), 30 images"), "{text}");
        let told = flamingo(&[&run[..], &["--json"]].concat()).expect_done().objects();
        let ended = told.last().unwrap();
        assert_eq!((&ended["stacks_told"], &ended["images"]), (&false.into(), &30.into()));
    }
}

#[test]
fn texts_that_arrive_during_a_run_are_shown() {
    let folder = Folder::new("texts");
    let file = folder.file("workflow.txt", test_microscope::WORKFLOW);
    let scenario = format!(
        "{FAST}[messages]\ncode = \"0x1ABC\"\nat_workflow_start = \"the disk is nearly full\"\n"
    );
    let (_simulator, address) = simulator(&scenario);
    let run = ["workflow", "run", &file, "--connect", &address];
    let text = flamingo(&run).expect_done().stdout.clone();
    assert!(text.contains("message     0x1ABC \"the disk is nearly full\""), "{text}");
    let told = flamingo(&[&run[..], &["--json"]].concat()).expect_done().objects();
    let texts: Vec<_> = told.iter().filter(|told| told["event"] == "text").collect();
    assert_eq!(texts.len(), 1, "{told:?}");
    assert_eq!(
        (&texts[0]["code"], &texts[0]["text"]),
        (&0x1ABC.into(), &"the disk is nearly full".into())
    );
}

#[test]
fn what_the_server_makes_otherwise_is_a_warning_with_its_line() {
    let folder = Folder::new("otherwise");
    let (_simulator, address) = simulator(FAST);
    let whole = test_microscope::WORKFLOW;
    let short = "    Camera 1 capture mode = 2\n  </Stack Settings>";
    for (name, text, line, said) in [
        ("bom", format!("\u{FEFF}{whole}"), 1, "byte order mark"),
        ("comment", format!("# by hand\n{whole}"), 1, "comment"),
        ("slashes", whole.replace("</Experiment", "<//Experiment"), 13, "another slash"),
        ("doubled", format!("{whole}</Workflow Settings>\n"), whole.lines().count() + 1, "again"),
        (
            "duplicate",
            whole.replacen("    Comments", "    Plane spacing (um) = 5\n    Comments", 1),
            10,
            "line 3",
        ),
        ("directory", whole.replace("directory = test", "directory = a/b"), 9, "one level"),
        ("short", whole.replace("  </Stack Settings>", short), 21, "short name"),
        (
            "large",
            whole.replace("= Raw", "= Tiff").replace("planes = 10", "planes = 600"),
            11,
            "BigTiff",
        ),
    ] {
        let file = folder.file(&format!("{name}.txt"), text);
        let checked = flamingo(&["workflow", "check", &file]);
        let stdout = &checked.expect_done().stdout;
        let warned = |line: &str| {
            stdout.lines().any(|found| found.starts_with(line) && found.contains(said))
        };
        assert!(warned(&format!("{file}:{line}: warning: ")), "{name}: {stdout}");
        let ran = flamingo(&["workflow", "run", &file, "--connect", &address]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(&format!("line {line}: ")), "{name}: {ran:?}");
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
    }
}

#[test]
fn a_file_that_the_server_may_read_otherwise_is_refused() {
    let folder = Folder::new("mistakable");
    let whole = test_microscope::WORKFLOW;
    let wide: Vec<u8> = whole.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, said) in [
        ("returns", whole.replace('\n', "\r").into_bytes(), "line 1: expected a line end LF"),
        ("spaces", whole.replace("    X", "\u{A0}   X").into_bytes(), "line 23: expected plain"),
        ("open", whole.replace("  </Stack Settings>\n", "").into_bytes(), "</Stack Settings>"),
        ("wide", [&[0xFF, 0xFE], &wide[..]].concat(), "UTF-16"),
        ("unmarked", wide, "UTF-16"),
    ] {
        let file = folder.file(&format!("{name}.txt"), bytes);
        flamingo(&["workflow", "check", &file]).expect_error(2, &[said]);
    }
}

#[test]
fn settings_with_a_bad_line_limit_the_other_axes() {
    let folder = Folder::new("badline");
    let file = folder.file("workflow.txt", test_microscope::WORKFLOW);
    let bad = test_microscope::SETTINGS.replace("max y-axis = 25.000", "max y-axis = 25,000");
    let settings = folder.file("settings.txt", bad);
    let checked = flamingo(&["workflow", "check", &file, "--settings", &settings]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.stderr.contains("settings.txt: line 3: Soft limit max y-axis"), "{checked:?}");
    let errors: Vec<_> = checked.stdout.lines().filter(|line| line.contains(" error: ")).collect();
    assert_eq!(errors.len(), 2, "start and end of y only: {errors:?}");
    assert!(errors[0].contains("limits of axis y not known: line 3"), "{errors:?}");
}
