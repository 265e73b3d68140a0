//! `flamingo live`: counts images, shows pictures, and restores the live view. Its files are in `live_files.rs`.

use flamingo_runtime_testkit::peer;
use flamingo_runtime_testkit::raw_client;
use flamingo_runtime_testkit::test_microscope;
use std::path::Path;

use crate::program::{flamingo, start};
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::folder::Folder;
use flamingo_simulator::Simulator;
use smol::future;

pub(crate) const QUICK: &str = "[images]\nwidth = 320\nheight = 200\nframes_per_s = 100\n";

pub(crate) fn simulator(scenario: &str) -> (Simulator, String) {
    let simulator = raw_client::simulator(scenario);
    let address = simulator.control().to_string();
    (simulator, address)
}

pub(crate) fn live(address: &str, arguments: &[&str]) -> crate::program::Ended {
    flamingo(&[&["live", "--connect", address], arguments].concat())
}

pub(crate) fn sent(simulator: &Simulator, code: CommandCode) -> usize {
    simulator.truth().received().iter().filter(|record| record.frame.code == code).count()
}

#[track_caller]
pub(crate) fn assert_idle(address: &str) {
    let state = flamingo(&["get", "state", "--connect", address, "--json"]);
    assert_eq!(state.expect_done().object()["state"], "IDLE");
}

#[test]
fn images_are_counted_and_the_live_view_is_stopped() {
    let (simulator, address) = simulator(QUICK);
    let ended = live(&address, &["--count", "5", "--json"]);
    let told = ended.expect_done().objects();
    assert_eq!(told.len(), 6);
    let image = &told[0];
    assert_eq!((&image["width"], &image["height"]), (&320.into(), &200.into()));
    assert_eq!((&image["min"], &image["position_x_mm"]), (&200.into(), &7.5.into()));
    assert_eq!((&image["scale_min"], &image["options"]), (&200.into(), &16.into()));
    let indices: Vec<_> = told[..5].iter().map(|i| i["index_start"].as_i64().unwrap()).collect();
    assert!(indices.is_sorted(), "{indices:?}");
    let closing = &told[5];
    assert_eq!((&closing["taken"], &closing["written"]), (&5.into(), &0.into()));
    assert!(closing["frames_per_s"].as_f64().unwrap() > 10.0, "{closing}");
    assert!(closing["mb_per_s"].as_f64().unwrap() > 1.0, "{closing}");
    assert_eq!(sent(&simulator, CommandCode::CAMERA_LIVE_VIEW_STOP), 1);
    assert_idle(&address);
    let text = live(&address, &["--for", "300ms"]);
    let text = &text.expect_done().stdout;
    assert!(text.contains("320 x 200  min 200") && text.contains(" dropped; "), "{text}");
}

pub(crate) fn read_png(path: &Path) -> (u32, Vec<u8>) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut bytes).unwrap();
    (frame.width, bytes)
}

#[test]
fn each_image_has_the_position_at_its_capture() {
    let (_simulator, address) = simulator(QUICK);
    let running = start(&["live", "--count", "60", "--json", "--connect", &address]);
    running.line();
    flamingo(&["move", "z", "19.2", "--wait", "--connect", &address]).expect_done();
    let told = running.ended().objects();
    let z: Vec<f64> = told.iter().filter_map(|image| image["position_z_mm"].as_f64()).collect();
    assert!(z.is_sorted(), "{z:?}");
    assert!(z.iter().any(|z| *z > 19.0 && *z < 19.2), "on the way: {z:?}");
    assert!((z.last().unwrap() - 19.2).abs() < 1e-9, "at rest: {z:?}");
}

#[test]
fn a_snapshot_is_one_image_and_starts_no_live_view() {
    let (simulator, address) = simulator(QUICK);
    let folder = Folder::new("snapshot");
    let file = folder.0.join("eye.png");
    let preview = format!("--preview={}", file.display());
    let ended = live(&address, &["--snapshot", &preview, "--json"]);
    assert_eq!(ended.expect_done().objects()[1]["taken"], 1);
    let (width, grey) = read_png(&file);
    assert_eq!((width, grey.len()), (320, 320 * 200));
    assert!(grey.contains(&0) && grey.contains(&255), "its contrast is stretched");
    assert_eq!(sent(&simulator, CommandCode::CAMERA_LIVE_VIEW_START), 0);
    live(&address, &["--snapshot", &preview]).expect_error(2, &["exists already"]);
    let ended = live(&address, &["--snapshot", "--preview", "--json"]);
    ended.expect_error(2, &["no terminal", "--preview=FILE.png"]);
}

#[test]
fn a_live_view_that_was_on_stays_on() {
    let (simulator, address) = simulator(QUICK);
    flamingo(&["send", "CAMERA_LIVE_VIEW_START", "--connect", &address]).expect_done();
    live(&address, &["--count", "3"]).expect_done();
    assert_eq!(sent(&simulator, CommandCode::CAMERA_LIVE_VIEW_START), 1);
    assert_eq!(sent(&simulator, CommandCode::CAMERA_LIVE_VIEW_STOP), 0);
    let state = flamingo(&["get", "state", "--connect", &address, "--json"]);
    assert_eq!(state.object()["state"], "LIVE_VIEW");
}

#[test]
fn the_live_view_is_not_started_while_a_workflow_runs() {
    let (simulator, address) = simulator(QUICK);
    let folder = Folder::new("workflow");
    let file = folder.0.join("workflow.txt");
    std::fs::write(&file, test_microscope::workflow(3, 400).bytes()).unwrap();
    let arguments = ["workflow", "run", file.to_str().unwrap(), "--json", "--connect", &address];
    let running = start(&arguments);
    while !running.line().contains("progress") {}
    for arguments in [&["--count", "1"][..], &["--snapshot"]] {
        live(&address, arguments).expect_error(2, &["a workflow runs", "nothing was sent"]);
    }
    assert_eq!(sent(&simulator, CommandCode::CAMERA_LIVE_VIEW_START), 0);
    running.interrupt();
    running.ended();
}

#[test]
fn each_failure_of_the_stream_has_its_own_exit_code() {
    let (_simulator, address) =
        simulator("[images]\nframes_per_s = 50\n[faults.image_headers]\nevery_n = 3\n");
    let broken = live(&address, &["--count", "9"]);
    broken.expect_error(6, &["imageSize", "image 3"]);
    assert_idle(&address);
    let (_cut, address) = {
        let (simulator, address) = simulator("[faults.image_cuts]\nevery_n = 2\n");
        (simulator, address)
    };
    live(&address, &["--count", "9"]).expect_error(7, &["ended after", "image 2"]);
    let nobody = raw_client::simulator(QUICK);
    let address = nobody.control().to_string();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    live(&address, &["--live-port", &port]).expect_error(3, &[&port]);
    assert_idle(&address);
    let file = Folder::new("file");
    let name = file.0.join("name");
    std::fs::write(&name, "").unwrap();
    let out = name.to_str().unwrap();
    live(&address, &["--out", out]).expect_error(2, &["cannot create the folder"]);
}

#[test]
fn a_missing_image_and_a_refused_start_are_failures() {
    smol::block_on(async {
        for refuse in [false, true] {
            let (listener, options) = peer::listen();
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let live_port = port.local_addr().unwrap().port().to_string();
            let arguments = [
                "live",
                "--timeout",
                "300ms",
                "--live-port",
                &live_port,
                "--connect",
                &options.address,
            ];
            let server = async {
                let mut peer = peer::Peer::accept_and_shake_hands(&listener).await;
                loop {
                    let query = peer.read().await;
                    let mut answer = peer::answer_to(&query, 1.0);
                    match query.code {
                        CommandCode::SYSTEM_STATE_GET => answer = answer.with_selector(0xA002),
                        CommandCode::CAMERA_EXPOSURE_GET => answer = answer.with_selector(10),
                        CommandCode::CAMERA_LIVE_VIEW_START if refuse => answer.status = 0,
                        _ => {}
                    }
                    peer.write(&answer).await;
                    let stop = query.code == CommandCode::CAMERA_LIVE_VIEW_STOP;
                    if stop || (refuse && query.code == CommandCode::CAMERA_LIVE_VIEW_START) {
                        return peer;
                    }
                }
            };
            let (ended, _peer) =
                future::zip(crate::program::flamingo_meanwhile(&arguments), server).await;
            if refuse {
                ended.expect_error(5, &["live view", "status 0"]);
            } else {
                ended.expect_error(4, &["no image within 300ms"]);
            }
        }
    });
}

#[test]
fn a_preview_is_drawn_on_a_terminal() {
    // util-linux's `script` lends a terminal; where it is not, there is nothing to see.
    let (_simulator, address) = simulator(QUICK);
    let command =
        format!("{} live --snapshot --preview --connect {address}", env!("CARGO_BIN_EXE_flamingo"));
    let script = std::process::Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .stdin(std::process::Stdio::null())
        .output();
    let Ok(output) = script else {
        eprintln!("skipped: `script` is not here");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains('\u{2584}') || text.contains('\u{2580}'), "half blocks: {text:?}");
}

#[test]
fn an_update_of_the_options_is_not_counted_as_an_image() {
    let (_simulator, address) = simulator("[images]\nframes_per_s = 100\noptions_every_n = 1\n");
    let told = live(&address, &["--count", "4", "--json"]);
    let told = told.expect_done().objects();
    assert_eq!(told.len(), 5);
    assert!(told[4]["options"].as_u64().unwrap() >= 4, "{:?}", told[4]);
}

#[test]
fn a_contact_sheet_shows_images_of_the_whole_acquisition() {
    let (_simulator, address) = simulator(QUICK);
    let folder = Folder::new("sheet");
    let file = folder.0.join("sheet.png");
    let sheet = format!("--thumbnail={}", file.display());
    live(&address, &["--count", "6", "--mode", "every", &sheet]).expect_done();
    let (width, grey) = read_png(&file);
    // Four across, each 107 pixels wide and 67 high, with 2 pixels between.
    assert_eq!((width, grey.len()), (4 * 109, 4 * 109 * 2 * 69));
    assert!(grey.contains(&255));
    live(&address, &["--count", "1", &sheet]).expect_error(2, &["exists already"]);
    let ended = live(&address, &["--count", "1", "--thumbnail", "--json"]);
    ended.expect_error(2, &["no terminal", "--thumbnail=FILE.png"]);
}

#[test]
fn pictures_are_plain_text_without_a_terminal() {
    let (_simulator, address) = simulator(QUICK);
    let told = live(&address, &["--count", "2", "--mode", "every", "--preview", "--thumbnail"]);
    let told = &told.expect_done().stdout;
    assert!(told.is_ascii() && !told.contains('\x1b'), "no colours and no half blocks: {told}");
    // 5 x 10 pixels of the image for each character of the preview, which has 20 lines.
    let lines: Vec<_> = told.lines().collect();
    let preview = lines.iter().filter(|line| line.len() == 64).count();
    assert!(preview >= 20 && told.contains(".:"), "{told}");
    assert!(told.contains("image 1") && told.contains("image 2"), "{told}");
}
