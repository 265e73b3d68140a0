//! What real instruments were observed to do with workflows: tiles by overlap, missing messages, rejections in words.

use flamingo_protocol_core::{CommandCode as Code, Frame};
use flamingo_runtime_testkit::raw_client::{
    PROMPT, RawClient, ReceivedMessage, codes, command, simulator, two_clients, workflow,
};

const FAST: &str = "[stage]\nspeed_factor = 5000\nsettle_ms = 0\n[images]\nwidth = 64\nheight = 32\n\
                    [camera]\npixel_size_mm = 0.015625\n[workflow]\nspeed_factor = 100\nstart_delay_ms = 0\n";

/// A workflow of two planes whose tiles reach from (7, 15) to (9, 16) mm. The field of view is 1 mm by 0.5 mm.
fn tiled(overlap: [&str; 2], lasers: usize) -> String {
    let [x, y] = overlap;
    let more = "    Laser 3 = 5.00 1\r\n    Laser 4 = 5.00 1\r\n";
    let more = &more[..24 * (lasers - 1)];
    workflow(2, "Tile", 20.0)
        .replace("settings 1 = 50", &format!("settings 1 = {x}"))
        .replace("settings 2 = 0", &format!("settings 2 = {y}"))
        .replace("<End Position>\r\n", "<End Position>\r\n    X (mm) = 9\r\n    Y (mm) = 16\r\n")
        .replace("<Illumination Source>\r\n", &format!("<Illumination Source>\r\n{more}"))
}

/// Uploads a workflow. Gives all frames up to its end.
fn run(client: &mut RawClient, file: &str) -> Vec<ReceivedMessage> {
    client.upload(&command(Code::CAMERA_WORK_FLOW_START), file.as_bytes());
    client.until_code(Code::SYSTEM_STATE_WORK_FLOW_RUNNING);
    client.until_code(Code::SYSTEM_STATE_IDLE).0
}

fn count(got: &[ReceivedMessage], code: Code) -> usize {
    got.iter().filter(|got| got.frame.code == code).count()
}

#[test]
fn tiles_follow_from_the_overlap_in_percent() {
    let simulator = simulator(FAST);
    let mut client = RawClient::connect(&simulator);
    // (2 + 1) / (1 * (1 - overlap)) and (1 + 0.5) / (0.5 * (1 - overlap)), rounded up.
    for (overlap, stacks) in
        [(["0", "0"], 9), (["10", "10"], 16), (["10.5", "0"], 12), (["50", "50"], 36)]
    {
        let got = run(&mut client, &tiled(overlap, 1));
        assert_eq!(count(&got, Code::CAMERA_STACK_COMPLETE), stacks, "{overlap:?}");
        assert_eq!(count(&got, Code::UI_SET_GAUGE_VALUE), 2 * stacks, "{overlap:?}");
    }
    let above = run(&mut client, &tiled(["80", "-3"], 1));
    assert_eq!(count(&above, Code::CAMERA_STACK_COMPLETE), 18, "clamped to 50 and 0");
}

#[test]
fn each_laser_that_is_on_takes_its_own_stacks() {
    let simulator = simulator(FAST);
    let mut client = RawClient::connect(&simulator);
    let got = run(&mut client, &tiled(["10", "10"], 2));
    assert_eq!(count(&got, Code::CAMERA_STACK_COMPLETE), 32);
    let got = run(&mut client, &tiled(["10", "10"], 2).replace("= Tile", "= ZStack"));
    assert_eq!(count(&got, Code::CAMERA_STACK_COMPLETE), 2, "without tiles too");
}

#[test]
fn the_stage_visits_the_corner_tiles() {
    let simulator = simulator(&format!("{FAST}\n[pushes]\nposition_hz = 0\n"));
    let mut client = RawClient::connect(&simulator);
    let got = run(&mut client, &tiled(["0", "0"], 1));
    let stops = |axis: i32| -> Vec<f64> {
        let stopped = |got: &&ReceivedMessage| {
            got.frame.code == Code::STAGE_MOTION_STOPPED && got.frame.selector() == axis
        };
        got.iter().filter(stopped).map(|got| got.frame.value).collect()
    };
    assert_eq!(stops(1), [7.0, 8.0, 9.0, 7.0, 8.0, 9.0, 7.0, 8.0, 9.0]);
    assert_eq!(stops(2).last(), Some(&16.0));
}

#[test]
fn one_tile_beyond_a_hard_limit_rejects_the_whole_file() {
    let simulator = simulator(FAST);
    let mut client = RawClient::connect(&simulator);
    let beyond = tiled(["0", "0"], 1).replace("X (mm) = 9", "X (mm) = 12.5");
    client.upload(&command(Code::CAMERA_CHECK_STACK), beyond.as_bytes());
    let report = client.until_code(Code::CAMERA_CHECK_STACK).1.payload;
    assert_eq!(report, b"X 12.500 is beyond its hard limit\n");
    client.upload(&command(Code::CAMERA_WORK_FLOW_START), beyond.as_bytes());
    let got = client.settle();
    assert_eq!(codes(&got), [Code::CAMERA_WORK_FLOW_START], "it does not run");
    assert_eq!(got[0].frame.text(), Ok("X 12.500 is beyond its hard limit"));
}

#[test]
fn a_rejection_can_come_as_a_text_of_an_unknown_code() {
    for in_payload in [false, true] {
        let simulator = simulator(&format!(
            "{FAST}[messages]\ncode = \"0x1ABC\"\nexplain_rejections = true\nin_payload = {in_payload}\n"
        ));
        let [mut client, mut witness] = two_clients(&simulator);
        let beyond = workflow(3, "None", 30.0);
        client.upload(&command(Code::CAMERA_WORK_FLOW_START), beyond.as_bytes());
        for client in [&mut client, &mut witness] {
            let got = client.next();
            assert_eq!((got.frame.code, got.frame.status), (Code(0x1ABC), 0));
            let text = if in_payload { &got.payload } else { got.frame.text().unwrap().as_bytes() };
            assert_eq!(text, b"Z 30.000 is beyond its hard limit");
            assert!(client.settle().is_empty(), "nothing else comes, and nothing runs");
        }
    }
}

#[test]
fn a_text_for_people_can_come_when_a_workflow_starts() {
    let simulator =
        simulator(&format!("{FAST}[messages]\nat_workflow_start = \"the disk is nearly full\"\n"));
    let mut client = RawClient::connect(&simulator);
    let got = run(&mut client, &workflow(2, "None", 20.0));
    let texts: Vec<_> = got.iter().filter(|got| got.frame.code == Code(0x10FE)).collect();
    assert_eq!(texts.len(), 1);
    assert_eq!(texts[0].frame.text(), Ok("the disk is nearly full"));
}

#[test]
fn a_workflow_can_end_without_complete_stacks_and_saved_images() {
    for (keys, missing) in [
        ("stack_complete = false", vec![Code::CAMERA_STACK_COMPLETE]),
        ("images_saved = false", vec![Code::UI_IMAGES_SAVED_TO_STORAGE]),
        (
            "stack_complete = false\nimages_saved = false",
            vec![Code::CAMERA_STACK_COMPLETE, Code::UI_IMAGES_SAVED_TO_STORAGE],
        ),
    ] {
        let simulator = simulator(&format!("{FAST}{keys}\n"));
        let mut client = RawClient::connect(&simulator);
        let got = run(&mut client, &workflow(2, "Tile", 20.0));
        for code in [Code::CAMERA_STACK_COMPLETE, Code::UI_IMAGES_SAVED_TO_STORAGE] {
            assert_eq!(count(&got, code) == 0, missing.contains(&code), "{keys}: {code}");
        }
        assert_eq!(count(&got, Code::UI_SET_GAUGE_VALUE), 4);
    }
}

#[test]
fn a_workflow_runs_on_a_server_that_sets_no_status() {
    let simulator = simulator(&format!("{FAST}[status]\nset_by = \"none\"\n{PROMPT}"));
    let mut client = RawClient::connect(&simulator);
    let got = run(&mut client, &workflow(2, "Tile", 20.0));
    assert_eq!(count(&got, Code::CAMERA_STACK_COMPLETE), 2);
    let state = client.ask(&Frame::new(Code::SYSTEM_STATE_GET)).frame;
    assert_eq!((state.status, state.selector()), (0, Code::SYSTEM_STATE_IDLE.0 as i32));
}
