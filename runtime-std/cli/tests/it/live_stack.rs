//! `flamingo live` that only listens: it sends nothing, finds the stacks, and ends as it should. Where the
//! simulator cannot do what a test needs, a scripted port sends the images.

use std::io::{Read, Write};
use std::net::TcpStream;

use flamingo_protocol_core::{CommandCode, Flags, Frame};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::{self, RawClient, command};
use flamingo_runtime_testkit::test_microscope;
use serde_json::Value;

use crate::image_port::{Port, listener, nobody, ome, only_file, send_image};
use crate::program::{Running, Witness, address, flamingo, start};

#[test]
fn listening_to_a_running_workflow_sends_nothing() {
    let simulator = raw_client::simulator("[images]\nwidth = 64\nheight = 48\n");
    let mut client = RawClient::connect(&simulator);
    client.settle();
    let upload = command(CommandCode::CAMERA_WORK_FLOW_START);
    client.upload(&upload, test_microscope::workflow(3, 400).bytes());
    client.until_code(CommandCode::UI_SET_GAUGE_VALUE);
    let before = simulator.truth().received().len();
    let folder = Folder::new("stack-listen");
    let control = simulator.control().to_string();
    let out = folder.0.to_str().unwrap();
    let arguments = ["live", "--stack", "--count", "5", "--json", "--out", out, "--connect"];
    let told = flamingo(&[&arguments[..], &[&control]].concat());
    let told = told.expect_done().objects();
    assert_eq!((told.len(), &told[0]["width"], &told[0]["stack"]), (6, &64.into(), &1.into()));
    assert!(told[0].get("position_z_mm").is_none(), "unknown: {}", told[0]);
    let received = simulator.truth().received();
    assert_eq!(received.len(), before, "{:?}", &received[before..]);
    client.send(&command(CommandCode::SYSTEM_STATE_GET));
    let (_, state) = client.until_code(CommandCode::SYSTEM_STATE_GET);
    assert_eq!(state.frame.selector(), 0xA005, "the workflow goes on");
    let (pages, xml) = ome(&only_file(&folder));
    assert!(pages == 5 && xml.contains("SizeZ=\"5\" SizeC=\"1\" SizeT=\"1\""), "{xml}");
    assert!(!xml.contains("PhysicalSizeZ"), "{xml}");
}

#[test]
fn listening_to_a_live_view_sends_nothing() {
    let simulator =
        raw_client::simulator("[images]\nwidth = 64\nheight = 48\nframes_per_s = 100\n");
    let mut client = RawClient::connect(&simulator);
    client.ask(&command(CommandCode::CAMERA_LIVE_VIEW_START));
    let before = simulator.truth().received().len();
    let control = simulator.control().to_string();
    let told =
        flamingo(&["live", "--listen-only", "--count", "5", "--json", "--connect", &control]);
    assert_eq!(told.expect_done().objects()[5]["taken"], 5);
    let received = simulator.truth().received();
    assert_eq!(received.len(), before, "{:?}", &received[before..]);
}

#[test]
fn a_listener_sends_no_byte_to_any_port() {
    for (mode, port_option) in [("--stack", "--stack-port"), ("--listen-only", "--live-port")] {
        let (images, events, control) = (Port::open(), Port::open(), Witness::new());
        let (port, pushes, address) = (images.number(), events.address(), control.address());
        let arguments = ["live", mode, "--json", "--connect", &address, port_option, &port];
        let running = start(&[&arguments[..], &["--events", &pushes]].concat());
        let (mut pushes, mut viewer) = (events.accept(), images.accept());
        go_to(&mut pushes, &mut viewer, &running, 7.0, 19.0);
        running.interrupt();
        assert_eq!(running.ended().code, Some(0));
        for mut stream in [pushes, viewer] {
            let mut sent = Vec::new();
            stream.read_to_end(&mut sent).unwrap();
            assert_eq!(sent, [0; 0], "{mode}");
        }
        control.expect_nobody();
    }
}

#[test]
fn each_stack_is_a_series_of_its_own() {
    let (stack, folder) = (Port::open(), Folder::new("stack-series"));
    let running = listener(&stack, &["--out", folder.0.to_str().unwrap(), "--count", "7"]);
    let mut viewer = stack.accept();
    let mut stacks = Vec::new();
    // The index goes back where a stack begins.
    for (at, index) in [0, 1, 2, 0, 1, 2, 3].into_iter().enumerate() {
        let told = send_image(&mut viewer, &running, index, u16::try_from(at).unwrap());
        stacks.push(told["stack"].as_u64().unwrap());
    }
    assert_eq!(stacks, [1, 1, 1, 2, 2, 2, 2]);
    let ended = running.ended();
    let totals = ended.expect_done().object();
    assert_eq!((&totals["series"], &totals["written"]), (&2.into(), &7.into()));
    let files = folder.files();
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(totals["bytes_written"], bytes);
    let sizes: Vec<_> = files.iter().map(|file| ome(file)).collect();
    assert_eq!((sizes.len(), sizes[0].0, sizes[1].0), (2, 3, 4));
    assert!(sizes[1].1.contains("SizeZ=\"4\" SizeC=\"1\" SizeT=\"1\""), "{}", sizes[1].1);
    assert!(files[1].to_str().unwrap().ends_with("-002.ome.tif"), "{files:?}");
}

#[test]
fn each_stack_of_a_workflow_is_a_series_behind_a_bridge() {
    let simulator = raw_client::simulator("[images]\nwidth = 64\nheight = 48\n");
    let upstream = simulator.control().to_string();
    let bridge = start(&["bridge", "--upstream", &upstream, "--listen", "127.0.0.1:0"]);
    let ports = bridge.ports();
    let [control, events] = [&ports["control"], &ports["callback"]].map(address);
    let folder = Folder::new("stack-workflow");
    let images = folder.path("images");
    let arguments = ["live", "--stack", "--json", "--connect", &control, "--events", &events];
    let listener = start(&[&arguments[..], &["--out", &images]].concat());
    // The listener is at the port of the events already.
    bridge.expect_log("connected to the instrument port=stack");
    let file = folder.file("workflow.txt", test_microscope::workflow(3, 10).bytes());
    flamingo(&["workflow", "run", &file, "--connect", &control]).expect_done();
    let told = listener.ended().expect_done().objects();
    let totals = told.last().unwrap();
    assert_eq!((&totals["series"], &totals["written"]), (&3.into(), &30.into()), "{told:?}");
    for file in std::fs::read_dir(&images).unwrap() {
        let (pages, xml) = ome(&file.unwrap().path());
        assert!(pages == 10 && xml.contains("SizeZ=\"10\" SizeC=\"1\" SizeT=\"1\""), "{xml}");
    }
}

#[test]
fn a_workflow_that_has_ended_ends_the_listener() {
    let (stack, events) = (Port::open(), Port::open());
    let address = events.address();
    let running = listener(&stack, &["--events", &address]);
    let mut pushes = events.accept();
    let mut viewer = stack.accept();
    let mut push = |code| pushes.write_all(&Frame::new(code).encode()).unwrap();
    push(CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING);
    send_image(&mut viewer, &running, 0, 5);
    send_image(&mut viewer, &running, 1, 5);
    push(CommandCode::SYSTEM_STATE_IDLE);
    assert_eq!(running.ended().expect_done().object()["taken"], 2);
}

/// Pushes a position until an image is known to be there. The images before it count as well.
fn go_to(pushes: &mut TcpStream, viewer: &mut TcpStream, running: &Running, x: f64, z: f64) {
    let mut push = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(3).with_value(z);
    push.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    push.set_text(&format!("1={x}\n2=15\n3={z}\n")).unwrap();
    pushes.write_all(&push.encode()).unwrap();
    for _ in 0..1000 {
        let told = send_image(viewer, running, 0, 5);
        let is_at =
            |key: &str, at: f64| told[key].as_f64().is_some_and(|it| (it - at).abs() < 1e-9);
        if is_at("position_x_mm", x) && is_at("position_z_mm", z) {
            return;
        }
    }
    panic!("no image is known to be at {x}, {z}");
}

#[test]
fn pushed_positions_decide_z_and_tile() {
    let (live, events, folder) = (Port::open(), Port::open(), Folder::new("stack-tiles"));
    let (address, port, control) = (events.address(), live.number(), nobody());
    let running = start(&[
        "live",
        "--listen-only",
        "--json",
        "--connect",
        &control,
        "--live-port",
        &port,
        "--events",
        &address,
        "--arrange",
        "position",
        "--out",
        folder.0.to_str().unwrap(),
    ]);
    let mut pushes = events.accept();
    let mut viewer = live.accept();
    for x in [7.0, 7.5] {
        for z in [19.0, 19.005, 19.01] {
            go_to(&mut pushes, &mut viewer, &running, x, z);
        }
    }
    drop(viewer);
    running.ended().expect_done();
    let (_, xml) = ome(&only_file(&folder));
    assert_eq!(xml.matches("<Image ").count(), 2, "{xml}");
    assert_eq!(xml.matches("SizeZ=\"3\"").count(), 2, "{xml}");
    assert_eq!(xml.matches("PhysicalSizeZ=\"5\"").count(), 2, "{xml}");
    assert!(xml.contains("<StageLabel Name=\"tile 1\" X=\"7.5\""), "{xml}");
    assert!(!xml.contains("NaN"), "R is not known: {xml}");
}

#[test]
fn positions_are_unknown_when_their_port_is_closed() {
    let (stack, events) = (Port::open(), Port::open());
    let address = events.address();
    let running = listener(&stack, &["--events", &address]);
    let mut pushes = events.accept();
    let mut viewer = stack.accept();
    go_to(&mut pushes, &mut viewer, &running, 7.0, 19.0);
    drop(pushes);
    running.expect_log("positions and the end of the workflow are not known");
    let told = send_image(&mut viewer, &running, 0, 5);
    assert!(told.get("position_x_mm").is_none(), "{told}");
    drop(viewer);
    assert_eq!(running.ended().code, Some(0));
}

#[test]
fn a_listener_ends_as_it_was_told() {
    let stack = Port::open();
    let running = listener(&stack, &["--for", "50ms"]);
    let _viewer = stack.accept();
    running.ended().expect_error(4, &["no image came"]);
    let running = listener(&stack, &["--idle", "50ms"]);
    drop(stack.accept());
    running.ended().expect_error(7, &["closed the image port"]);
    let running = listener(&stack, &["--idle", "50ms"]);
    let mut viewer = stack.accept();
    send_image(&mut viewer, &running, 0, 5);
    assert_eq!(running.ended().expect_done().object()["taken"], 1);
    let running = listener(&stack, &["--count", "2"]);
    let mut viewer = stack.accept();
    send_image(&mut viewer, &running, 0, 5);
    drop(viewer);
    running.ended().expect_error(7, &["closed the image port"]);
}

#[test]
fn each_stack_is_a_zarr_along_z() {
    let (stack, folder) = (Port::open(), Folder::new("stack-zarr"));
    let out = ["--out", folder.0.to_str().unwrap(), "--format", "ome-zarr", "--count", "5"];
    let running = listener(&stack, &out);
    let mut viewer = stack.accept();
    for (at, index) in [0, 1, 2, 0, 1].into_iter().enumerate() {
        send_image(&mut viewer, &running, index, u16::try_from(at).unwrap());
    }
    running.ended().expect_done();
    let mut planes = Vec::new();
    for image in folder.files() {
        let text = std::fs::read(image.join("0/zarr.json")).unwrap();
        let array: Value = serde_json::from_slice(&text).unwrap();
        planes.push(array["shape"].to_string());
    }
    assert!(planes.len() == 2 && planes[0].starts_with("[1,1,3,"), "{planes:?}");
    assert!(planes[1].starts_with("[1,1,2,"), "{planes:?}");
}

#[test]
fn ctrl_c_completes_the_stack_that_is_written() {
    let (stack, folder) = (Port::open(), Folder::new("stack-ctrl-c"));
    let running = listener(&stack, &["--out", folder.0.to_str().unwrap()]);
    let mut viewer = stack.accept();
    for index in 0..3 {
        send_image(&mut viewer, &running, index, 5);
    }
    running.interrupt();
    running.ended().expect_done();
    let (pages, xml) = ome(&only_file(&folder));
    assert!(pages == 3 && xml.contains("SizeZ=\"3\""), "{xml}");
}

#[test]
fn options_of_listeners_need_a_listener() {
    for arguments in [
        &["--events", "127.0.0.1:1"][..],
        &["--idle", "1s"],
        &["--stack-port", "5"],
        &["--snapshot", "--stack"],
        &["--snapshot", "--listen-only"],
        &["--stack", "--arrange", "time"],
    ] {
        let ended = flamingo(&[&["live"], arguments].concat());
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    }
}
