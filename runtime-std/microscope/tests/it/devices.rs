//! Every method of the typed layer against the simulator, healthy and with faults: its result is
//! right, or it reports that no answer arrived. Motions, workflows, settings and images have files of their
//! own as well.

use std::fmt::Debug;

use flamingo_microscope::Axis;
use flamingo_microscope::units::{Degrees, DegreesPerSecond, Micros, Mm, MmPerSecond, Percent};
use flamingo_microscope::{
    Error, ImageSize, Laser, LedColour, LiveUpdates, Microscope, RunEvent, SystemState,
};
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::peer::soon;
use flamingo_runtime_testkit::test_microscope::{
    self, client, microscope, microscope_and_peer, simulator,
};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};
use smol::future;

/// Each fault occurs often enough to meet every method.
const FAULTS: [(&str, &str); 12] = [
    ("none", ""),
    ("split writes", "[faults]\nsplit_writes.every_n = 2\nsplit_pause_ms = 1"),
    ("junk", "[faults]\njunk.every_n = 2"),
    ("broken markers", "[faults]\nbroken_markers.every_n = 2"),
    ("false markers", "[faults]\nfalse_markers.every_n = 2"),
    ("late answers", "[faults]\nlate_answers.every_n = 7\nlate_by_ms = 500"),
    ("lost answers", "[faults]\nlost_answers.every_n = 7"),
    ("stale bytes after connecting", "[faults]\nstale_prefix_bytes = 300"),
    ("answers under 0x1007", "[settings]\nanswer_under_1007 = true"),
    ("drives in the buffer", "[settings]\ndrives_in_buffer = true"),
    ("a push behind each SET", "[pushes]\nget_after_set = true"),
    (
        "background",
        "[background]\nframes_per_s = 400\n\
            codes = [\"UI_SET_GAUGE_SIZE\", \"LASER_LEVEL_GET\", \"LED_PREVIEW_DISABLE\"]",
    ),
];

/// Repeats a call until it succeeds. Only a missing answer may make it fail.
async fn sure<T: Debug, F: Future<Output = Result<T, Error>>>(
    fault: &str,
    what: &str,
    ask: impl Fn() -> F,
) -> T {
    // The client does not repeat a request while its answer may still arrive.
    for _ in 0..12 {
        match soon(what, ask()).await {
            Ok(value) => return value,
            // The effect of the fault.
            Err(Error::Timeout { .. } | Error::Unsupported { .. }) => {}
            Err(error) => panic!("{fault}: {what}: {error}"),
        }
    }
    panic!("{fault}: {what}: no answer, twelve times");
}

async fn patient(address: String) -> Microscope {
    let mut options = flamingo_runtime_std::Options::new(address);
    options.timeout = std::time::Duration::from_millis(250);
    // Longer than the answers are late.
    options.protocol.grace = flamingo_protocol_core::time::Duration::from_millis(600);
    Microscope::connect(options).await.unwrap()
}

/// Runs a test with each fault. They run side by side, each on a thread of its own, because most of
/// their time is waiting for answers that do not arrive.
fn for_each_fault(test: impl AsyncFn(&str, Microscope) + Copy + Send) {
    std::thread::scope(|scope| {
        for (name, scenario) in FAULTS {
            scope.spawn(move || smol::block_on(with_fault(name, scenario, &test)));
        }
    });
}

async fn with_fault(name: &str, scenario: &str, test: &impl AsyncFn(&str, Microscope)) {
    let mut scenario = Scenario::from_toml(scenario).unwrap();
    scenario.stage.speed_factor = 20.0;
    let options = SimulatorOptions::new(scenario);
    let simulator = Simulator::start(options).await.unwrap();
    let address = simulator.control().to_string();
    let mut connected = None;
    for _ in 0..4 {
        let options = flamingo_runtime_std::Options::new(&address);
        if let Ok(microscope) = Microscope::connect(options).await {
            connected = Some(microscope);
            break;
        }
    }
    drop(connected.expect("a connection"));
    test(name, patient(address).await).await;
}

#[test]
fn every_setting_of_the_camera_is_what_was_set() {
    for_each_fault(async |fault, microscope| {
        let camera = microscope.camera();
        sure(fault, "set exposure", || camera.set_exposure(Micros(12_345))).await;
        assert_eq!(sure(fault, "exposure", || camera.exposure()).await.value, Micros(12_345));
        sure(fault, "set left edge", || camera.set_left_edge(101)).await;
        sure(fault, "set top edge", || camera.set_top_edge(51)).await;
        assert_eq!(sure(fault, "left edge", || camera.left_edge()).await.value, 101);
        assert_eq!(sure(fault, "top edge", || camera.top_edge()).await.value, 51);
        let size = sure(fault, "pixel size", || camera.pixel_size()).await.value.0;
        assert!((size - 0.000_253).abs() < 1e-9, "{fault}: {size}");
    });
}

#[test]
fn the_live_view_changes_only_state_and_image_size() {
    for_each_fault(async |fault, microscope| {
        let camera = microscope.camera();
        assert_eq!(sure(fault, "image size", || camera.image_size()).await.value, None, "{fault}");
        sure(fault, "start", || camera.start_live_view(LiveUpdates::OnChange)).await;
        let size = sure(fault, "image size", || camera.image_size()).await.value;
        assert_eq!(size, Some(ImageSize { width: 512, height: 512 }), "{fault}");
        let state = sure(fault, "state", || microscope.state()).await.value;
        assert_eq!(state, SystemState::LiveView, "{fault}");
        sure(fault, "stop", || camera.stop_live_view()).await;
        assert_eq!(sure(fault, "state", || microscope.state()).await.value, SystemState::Idle);
        sure(fault, "snapshot", || camera.snapshot()).await;
    });
}

#[test]
fn positions_are_those_of_their_own_axes() {
    for_each_fault(async |fault, microscope| {
        let stage = microscope.stage();
        let pose = sure(fault, "pose", || stage.pose()).await;
        let found = [pose.x.0, pose.y.0, pose.z.0, pose.r.0];
        for (found, home) in found.into_iter().zip([7.5, 15.0, 19.0, 0.0]) {
            assert!((found - home).abs() < 1e-9, "{fault}: {found}, expected {home}");
        }
        sure(fault, "velocity", || stage.set_velocity(Axis::X, MmPerSecond(40.0))).await;
        sure(fault, "velocity", || stage.set_velocity(Axis::R, DegreesPerSecond(400.0))).await;
        // A move without an acknowledgement may be under way: only its end counts.
        let x =
            sure(fault, "move", || async { stage.move_to(Axis::X, Mm(8.25)).await?.wait().await })
                .await;
        assert_eq!(x.axis, Axis::X);
        let x = sure(fault, "position", || stage.position(Axis::X)).await.value.value();
        assert!((x - 8.25).abs() < 1e-9, "{fault}: {x}");
        sure(fault, "move", || async {
            stage.move_to(Axis::R, Degrees(-20.0)).await?.wait().await
        })
        .await;
        // A HALT never waits for earlier ones, so after a lost answer the next ones are ambiguous.
        for halted in [stage.halt(Axis::R).await, stage.halt_all().await] {
            let unclear = fault.ends_with("answers")
                && matches!(halted, Err(Error::Timeout { .. } | Error::Unsupported { .. }));
            assert!(halted.is_ok() || unclear, "{fault}: {halted:?}");
        }
    });
}

#[test]
fn axes_that_move_together_or_home_arrive() {
    for_each_fault(async |fault, microscope| {
        let stage = microscope.stage();
        let mut pose_tracker = sure(fault, "pose tracker", || stage.pose_tracker()).await;
        for axis in [Axis::X, Axis::Y] {
            sure(fault, "velocity", || stage.set_velocity(axis, MmPerSecond(40.0))).await;
        }
        let targets = [(Axis::X, Mm(8.5).into()), (Axis::Y, Mm(16.0).into())];
        let arrived =
            sure(fault, "move", || async { stage.move_together(&targets).await?.wait().await });
        assert_eq!(arrived.await.len(), 2);
        sure(fault, "home", || async { stage.home(Axis::X).await?.wait().await }).await;
        sure(fault, "reference", || async { stage.find_reference(Axis::Y).await?.wait().await })
            .await;
        for (axis, home) in [(Axis::X, 7.5), (Axis::Y, 15.0)] {
            let at = sure(fault, "position", || stage.position(axis)).await.value.value();
            assert!((at - home).abs() < 1e-9, "{fault}: {axis} at {at}");
        }
        // Without an answer the last push counts; it is at most one step away.
        let pose = pose_tracker.now().await.unwrap();
        assert!((pose.x.0 - 7.5).abs() < 1.1 && (pose.y.0 - 15.0).abs() < 1.1, "{fault}: {pose:?}");
    });
}

#[test]
fn workflows_are_checked_run_joined_and_stopped() {
    for_each_fault(async |fault, microscope| {
        let workflows = microscope.workflows();
        let (short, long) = (test_microscope::workflow(1, 5), test_microscope::workflow(1, 1000));
        let report = sure(fault, "check", || workflows.check(&short)).await;
        assert!(report.accepted, "{fault}: {}", report.text);
        let mut run = sure(fault, "start", || workflows.start(&short)).await;
        let summary = soon("its end", run.wait()).await.unwrap();
        assert_eq!((summary.stacks, summary.images), (1, 5), "{fault}");
        let mut run = sure(fault, "start", || workflows.start(&long)).await;
        while !matches!(soon("its start", run.next()).await, Ok(Some(RunEvent::Started))) {}
        let mut joined = sure(fault, "join", || workflows.join()).await;
        // A stop whose answer was lost has stopped the workflow nevertheless.
        let stopped = run.abort().await;
        let unclear = fault.ends_with("answers") && matches!(stopped, Err(Error::Timeout { .. }));
        assert!(stopped.is_ok() || unclear, "{fault}: {stopped:?}");
        assert!(soon("its end", run.wait()).await.unwrap().aborted);
        soon("its end", joined.wait()).await.unwrap();
    });
}

#[test]
fn lasers_led_and_filter_are_what_was_set() {
    for_each_fault(async |fault, microscope| {
        let (lasers, led) = (microscope.lasers(), microscope.led());
        for (laser, level) in Laser::ALL.into_iter().zip([1.5, 20.25, 0.0, 100.0]) {
            sure(fault, "set level", || lasers.set_level(laser, Percent(level))).await;
        }
        // The background pushes levels as well, so a level is right only if it is proven.
        for (laser, level) in Laser::ALL.into_iter().zip([1.5, 20.25, 0.0, 100.0]) {
            let found = sure(fault, "level", || lasers.level(laser)).await;
            if found.answer.proven || fault != "background" {
                assert!((found.value.0 - level).abs() < 1e-9, "{fault}: {laser:?} {found:?}");
            }
        }
        sure(fault, "preview", || lasers.enable_preview(Laser::ALL[0])).await;
        sure(fault, "on", || lasers.enable(Laser::ALL[1])).await;
        sure(fault, "line", || lasers.enable_line(Laser::ALL[2])).await;
        sure(fault, "off", || lasers.disable(Laser::ALL[1])).await;
        sure(fault, "all off", || lasers.disable_all()).await;
        for colour in LedColour::ALL {
            sure(fault, "LED", || led.set(colour, 40_000)).await;
            sure(fault, "LED choice", || led.select(colour)).await;
        }
        sure(fault, "LED on", || led.enable_preview()).await;
        sure(fault, "LED off", || led.disable_preview()).await;
        let wheel = microscope.filter_wheel();
        sure(fault, "set filter", || wheel.set_position(3)).await;
        assert_eq!(sure(fault, "filter", || wheel.position()).await.value, 3, "{fault}");
        let paths = microscope.illumination();
        for on in [true, false] {
            sure(fault, "left", || paths.set_left(on)).await;
            sure(fault, "right", || paths.set_right(on)).await;
        }
    });
}

#[test]
fn settings_and_drives_arrive_complete() {
    for_each_fault(async |fault, microscope| {
        let settings = microscope.settings();
        let before = sure(fault, "load", || settings.load()).await;
        assert!(before.value.limits(Axis::Z).is_complete(), "{fault}");
        let storage = microscope.storage();
        let drives = sure(fault, "drives", || storage.drives()).await.value;
        assert_eq!(drives, ["/media/data/ssd1", "/media/data/ssd2"], "{fault}");
        let text = String::from_utf8(before.answer.payload.to_vec()).unwrap();
        let changed = text.replace("Soft limit max x-axis = 12.310", "Soft limit max x-axis = 9.5");
        assert_ne!(text, changed);
        sure(fault, "save", || settings.save(changed.as_bytes())).await;
        let kept = settings.get().await.unwrap();
        let limit = kept.limits(Axis::X).check(Axis::X, Mm(9.6).into());
        assert!(limit.is_err(), "{fault}: the limits are those that were saved");
        let after = sure(fault, "load", || settings.load()).await;
        assert_eq!(&after.answer.payload[..], changed.as_bytes(), "{fault}");
    });
}

#[test]
fn a_laser_that_declines_is_a_refusal() {
    smol::block_on(async {
        let simulator = simulator("[light]\ndeclining_lasers = [4]").await;
        let microscope = microscope(&simulator).await;
        let declined = microscope.lasers().level(Laser::ALL[3]).await;
        let Err(Error::Refused { reason, .. }) = declined else { panic!("{declined:?}") };
        assert_eq!(reason, "getLevel error");
        microscope.lasers().level(Laser::ALL[2]).await.unwrap();
    });
}

#[test]
fn laser_levels_are_sent_as_text_with_two_decimals() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let lasers = microscope.lasers();
        for (level, text) in [(11.494, "11.49"), (7.0, "7.00"), (100.0, "100.00")] {
            let set = lasers.set_level(Laser::ALL[2], Percent(level));
            let (sent, frame) = future::zip(set, peer.read()).await;
            sent.unwrap();
            assert_eq!((frame.selector(), frame.text()), (3, Ok(text)));
        }
    });
}

#[test]
fn all_lasers_are_switched_off_one_by_one() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let lasers = microscope.lasers();
        let (off, ()) = future::zip(lasers.disable_all(), async {
            for number in 1..=4 {
                let frame = peer.expect(CommandCode::LASER_DISABLE_ALL).await;
                assert_eq!(frame.selector(), number);
            }
        })
        .await;
        off.unwrap();
    });
}

#[test]
fn an_impossible_value_is_an_error() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let (camera, stage) = (microscope.camera(), microscope.stage());
        for value in [f64::NAN, 0.0, -1.0] {
            let (found, ()) = future::zip(camera.pixel_size(), async {
                let query = peer.read().await;
                peer.answer(&query, value).await;
            })
            .await;
            assert!(matches!(found, Err(Error::Implausible { .. })), "{found:?}");
        }
        let (found, ()) = future::zip(stage.position(Axis::X), async {
            let query = peer.read().await;
            peer.answer(&query, f64::NAN).await;
        })
        .await;
        assert!(matches!(found, Err(Error::Implausible { .. })), "{found:?}");
        let (found, ()) = future::zip(camera.image_size(), async {
            let mut query = peer.read().await;
            query.int32_data = [0, 512, 0];
            peer.answer(&query, 0.0).await;
        })
        .await;
        assert!(matches!(found, Err(Error::Implausible { .. })), "{found:?}");
    });
}

#[test]
fn what_another_client_does_is_never_taken_for_an_answer() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let (microscope, other) = (microscope(&simulator).await, client(&simulator).await);
        let other = Microscope::over(other, test_microscope::patience());
        let busy = async {
            loop {
                other.led().disable_preview().await.unwrap();
                other.camera().set_exposure(Micros(777)).await.unwrap();
            }
        };
        let asks = async {
            for _ in 0..200 {
                let size = microscope.camera().image_size().await.unwrap();
                assert_eq!(size.answer.frame.code, CommandCode::CAMERA_IMAGE_SIZE_GET);
                assert_eq!(size.value, None);
            }
        };
        soon("the answers", future::or(asks, busy)).await;
    });
}
