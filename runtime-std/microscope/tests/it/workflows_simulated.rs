//! Workflows on the simulator, from the start to the end. What single messages of the instrument mean
//! for a run is in `workflows.rs`.

use std::time::Duration;

use flamingo_microscope::Axis;
use flamingo_microscope::workflow::Workflow;
use flamingo_microscope::{Error, LiveUpdates, Microscope, RunEvent, SystemState};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Reconnect;
use flamingo_runtime_testkit::peer::{self, soon};
use flamingo_runtime_testkit::test_microscope::{self, client, microscope, simulator, workflow};
use smol::future;

use crate::workflows::RUNNING;

#[test]
fn a_workflow_of_several_stacks_is_followed_to_its_end() {
    smol::block_on(async {
        let scenario = "[workflow]\nstale_idle = true\nspeed_factor = 20.0\n\
            [stage]\nspeed_factor = 50.0";
        let simulator = simulator(scenario).await;
        let microscope = microscope(&simulator).await;
        let mut run = microscope.workflows().start(&workflow(3, 10)).await.unwrap();
        let (mut last, mut stacks) = (0, 0);
        while let Some(event) = soon("the next", run.next()).await.unwrap() {
            match event {
                RunEvent::Progress { done, total } => {
                    assert!(done >= last, "{done} after {last}");
                    assert_eq!(total, 30);
                    last = done;
                }
                RunEvent::Stack(stack) => {
                    stacks += 1;
                    assert_eq!((stack.acquired, stack.expected, stack.errors), (10, 10, 0));
                    assert!(stack.acquisition_us > 0.0);
                }
                _ => {}
            }
        }
        assert_eq!((last, stacks), (30, 3));
        let summary = run.summary();
        assert_eq!((summary.stacks, summary.images, summary.saved), (3, 30, true));
        assert!(!summary.aborted);
        let state = microscope.state().await.unwrap().value;
        assert_eq!(state, SystemState::Idle, "it is over when the instrument says so");
        assert_eq!(run.next().await.unwrap(), None);
    });
}

#[test]
fn a_running_workflow_blocks_a_second_one_and_the_live_view() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let mut run = microscope.workflows().start(&workflow(1, 1000)).await.unwrap();
        let second = microscope.workflows().start(&workflow(1, 5)).await;
        assert!(matches!(second, Err(Error::Busy { .. })), "{second:?}");
        // The workflow may not run yet, but the live view could crash the server now as well.
        let live = microscope.camera().start_live_view(LiveUpdates::Always).await;
        assert!(matches!(live, Err(Error::Busy { .. })), "{live:?}");
        run.abort().await.unwrap();
        assert!(soon("its end", run.wait()).await.unwrap().aborted);
        microscope.camera().start_live_view(LiveUpdates::Always).await.unwrap();
        let starts = simulator.truth().received().into_iter().map(|record| record.frame.code);
        let starts = starts.filter(|code| *code == CommandCode::CAMERA_LIVE_VIEW_START);
        assert_eq!(starts.count(), 1);
    });
}

#[test]
fn a_workflow_outside_the_limits_is_refused_with_its_line() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let text = test_microscope::WORKFLOW.replace("X (mm) = 7.5", "X (mm) = 99.5");
        let beyond = Workflow::parse(text.as_bytes()).unwrap();
        let refused = microscope.workflows().start(&beyond).await;
        let Err(Error::Workflow { findings }) = refused else { panic!("{refused:?}") };
        assert!(findings.iter().any(|finding| finding.contains("99.5")), "{findings:?}");
        assert!(findings.iter().all(|finding| finding.contains("line")), "{findings:?}");
        let received = simulator.truth().received();
        let start = CommandCode::CAMERA_WORK_FLOW_START;
        assert!(received.iter().all(|record| record.frame.code != start));
    });
}

#[test]
fn the_instrument_can_check_a_workflow() {
    smol::block_on(async {
        let simulator = simulator("[stage.x]\nmax_mm = 8.0").await;
        let microscope = microscope(&simulator).await;
        let report = microscope.workflows().check(&workflow(1, 3)).await.unwrap();
        assert!(report.accepted, "{}", report.text);
        let text = test_microscope::WORKFLOW.replace("X (mm) = 7.5", "X (mm) = 9.5");
        let beyond = Workflow::parse(text.as_bytes()).unwrap();
        let report = microscope.workflows().check(&beyond).await.unwrap();
        assert!(!report.accepted && report.text.contains("hard limit"), "{}", report.text);
    });
}

#[test]
fn a_workflow_of_another_client_can_be_joined() {
    smol::block_on(async {
        let scenario = "[workflow]\nspeed_factor = 4.0\n[stage]\nspeed_factor = 50.0";
        let simulator = simulator(scenario).await;
        let (microscope, other) = (microscope(&simulator).await, client(&simulator).await);
        let none = microscope.workflows().join().await;
        assert!(matches!(none, Err(Error::Unsupported { .. })), "{none:?}");
        let mut states = other.subscribe(&[RUNNING]);
        let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
        other.send_with_payload(start, workflow(1, 60).bytes()).await.unwrap();
        soon("its start", states.next()).await.unwrap();
        let mut run = microscope.workflows().join().await.unwrap();
        let summary = soon("its end", run.wait()).await.unwrap();
        assert_eq!(summary.images, 60);
    });
}

#[test]
fn a_run_continues_after_the_client_has_connected_again() {
    smol::block_on(async {
        let scenario = "[stage]\nspeed_factor = 50.0\n[faults.disconnect_mid_frame]\n\
            every_n = 40\ncodes = [\"UI_SET_GAUGE_VALUE\"]";
        let simulator = simulator(scenario).await;
        let mut options = flamingo_runtime_std::Options::new(simulator.control().to_string());
        let delay = Duration::from_millis(30);
        options.reconnect = Some(Reconnect::default().delay(delay).jitter(0.0));
        let microscope = Microscope::connect(options).await.unwrap();
        let mut run = microscope.workflows().start(&workflow(1, 60)).await.unwrap();
        assert_eq!(soon("its start", run.next()).await.unwrap(), Some(RunEvent::Started));
        let mut events = Vec::new();
        while let Some(event) = soon("the next", run.next()).await.unwrap() {
            events.push(event);
        }
        assert!(events.contains(&RunEvent::Disconnected), "{events:?}");
        assert!(events.contains(&RunEvent::Reconnected), "{events:?}");
        assert!(run.summary().missed > 0);
    });
}

#[test]
fn queries_of_another_client_during_a_workflow_change_nothing() {
    smol::block_on(async {
        let scenario = "[workflow]\nspeed_factor = 8.0\n[stage]\nspeed_factor = 50.0";
        let simulator = simulator(scenario).await;
        let (microscope, other) = (microscope(&simulator).await, client(&simulator).await);
        let mut run = microscope.workflows().start(&workflow(3, 20)).await.unwrap();
        let flood = async {
            loop {
                for axis in Axis::ALL {
                    other.request(peer::position_of(axis.selector())).await.unwrap();
                }
                other.request(Frame::command(CommandCode::SYSTEM_STATE_GET)).await.unwrap();
            }
        };
        let summary = soon("its end", future::or(run.wait(), flood)).await.unwrap();
        assert_eq!((summary.stacks, summary.images), (3, 60));
        assert_eq!(microscope.state().await.unwrap().value, SystemState::Idle);
    });
}

/// A workflow whose corner tiles are 2 mm apart in X and Y.
fn tiled(overlap: &str, lasers: usize) -> Workflow {
    // Without tiles, each laser makes one stack.
    let file = workflow(u32::try_from(lasers).unwrap(), 2);
    let text = String::from_utf8(file.bytes().to_vec()).unwrap();
    let (before, end) = text.split_once("<End Position>").unwrap();
    let end =
        end.replacen("X (mm) = 7.5", "X (mm) = 9.5", 1).replacen("Y (mm) = 15", "Y (mm) = 17", 1);
    let before = before
        .replace("Stack option = ZStack", "Stack option = Tile")
        .replace("settings 1 = 0", &format!("settings 1 = {overlap}"))
        .replace("settings 2 = 0", &format!("settings 2 = {overlap}"));
    Workflow::parse(format!("{before}<End Position>{end}").as_bytes()).unwrap()
}

#[test]
fn predicted_stacks_of_tiles_are_the_stacks_that_are_made() {
    smol::block_on(async {
        let scenario = "[workflow]\nspeed_factor = 1000.0\nstart_delay_ms = 0\n\
            [stage]\nspeed_factor = 5000.0\nsettle_ms = 0\n[images]\nwidth = 64\nheight = 64\n\
            [camera]\npixel_size_mm = 0.0105";
        let simulator = simulator(scenario).await;
        let microscope = microscope(&simulator).await;
        let camera = microscope.camera();
        assert_eq!(camera.field_of_view().await.unwrap(), None, "there is no live view");
        camera.start_live_view(LiveUpdates::Always).await.unwrap();
        let view = camera.field_of_view().await.unwrap();
        assert!(view.is_some());
        for (overlap, tiles) in [("0", 16), ("10", 25), ("10.5", 25), ("50", 64)] {
            for lasers in [1, 2] {
                let workflow = tiled(overlap, lasers);
                assert_eq!(workflow.stacks(None), Ok(None));
                let predicted = workflow.stacks(view).unwrap().unwrap();
                let mut run = microscope.workflows().start(&workflow).await.unwrap();
                let summary = soon("its end", run.wait()).await.unwrap();
                assert_eq!(summary.stacks, predicted, "{overlap} % with {lasers} lasers");
                assert_eq!(workflow.images(view), Ok(Some(summary.images)));
                assert_eq!(predicted, tiles * u32::try_from(lasers).unwrap());
            }
        }
    });
}

#[test]
fn a_rejection_that_comes_as_a_text_is_shown() {
    smol::block_on(async {
        let scenario = "[messages]\ncode = \"0x1ABC\"\nexplain_rejections = true\n\
            [stage.x]\nmax_mm = 8.0";
        let simulator = simulator(scenario).await;
        let options = flamingo_runtime_std::Options::new(simulator.control().to_string());
        let client = flamingo_runtime_std::Client::connect(options).await.unwrap();
        let microscope = Microscope::over(client, test_microscope::patience());
        let text = test_microscope::WORKFLOW.replace("X (mm) = 7.5", "X (mm) = 9.5");
        // The instrument has other limits than its settings say.
        let told = test_microscope::SETTINGS;
        let limits = flamingo_microscope::scope_settings::ScopeSettings::parse(told.as_bytes());
        assert!(limits.unwrap().limits(Axis::X).known().is_ok());
        microscope.settings().save(told.as_bytes()).await.unwrap();
        let beyond = Workflow::parse(text.as_bytes()).unwrap();
        let mut run = microscope.workflows().start(&beyond).await.unwrap();
        let said = soon("the text", run.next()).await.unwrap();
        let Some(RunEvent::Text { code: CommandCode(0x1ABC), text }) = said else {
            panic!("{said:?}")
        };
        assert!(text.contains("hard limit"), "{text}");
        let ended = soon("its end", run.wait()).await.unwrap_err();
        assert!(ended.to_string().contains("hard limit"), "{ended}");
    });
}
