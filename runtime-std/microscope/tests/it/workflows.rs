//! Workflows: uploaded as one, and followed until SYSTEM_STATE_IDLE.

use std::time::Duration;

use flamingo_microscope::Axis;
use flamingo_microscope::workflow::Workflow;
use flamingo_microscope::{Error, LiveUpdates, Microscope, Run, RunEvent, SystemState};
use flamingo_protocol_core::{CommandCode, Flags, Frame};
use flamingo_runtime_std::Reconnect;
use flamingo_runtime_testkit::peer::{self, Peer, soon};
use flamingo_runtime_testkit::test_microscope::{
    self, client, microscope, microscope_and_peer, simulator, workflow,
};
use smol::future;

/// A frame as the server sends it.
fn message(code: CommandCode, data: [i32; 3]) -> Frame {
    let mut frame = Frame { status: 1, ..Frame::new(code) };
    frame.int32_data = data;
    frame
}

/// Starts a workflow over a peer that reads it whole.
async fn started(microscope: &Microscope, peer: &mut Peer, workflow: &Workflow) -> Run {
    let workflows = microscope.workflows();
    let (run, _) = future::zip(workflows.start(workflow), upload(peer)).await;
    run.unwrap()
}

async fn upload(peer: &mut Peer) -> (Frame, Vec<u8>) {
    answer_state(peer, SystemState::Idle).await;
    let start = peer.expect(CommandCode::CAMERA_WORK_FLOW_START).await;
    let file = peer.read_bytes(start.payload_len as usize).await;
    (start, file)
}

async fn answer_state(peer: &mut Peer, state: SystemState) {
    let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
    let code = if state == SystemState::Idle { 0xA002 } else { 0xA005 };
    peer.answer(&query.with_selector(code), 0.0).await;
}

async fn tell(peer: &mut Peer, code: CommandCode) {
    peer.write(&message(code, [0; 3])).await;
}

const RUNNING: CommandCode = CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING;
const IDLE: CommandCode = CommandCode::SYSTEM_STATE_IDLE;

#[test]
fn a_workflow_is_sent_as_one_with_its_bytes_untouched() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let text = test_microscope::WORKFLOW.replace('\n', "\r\n");
        let workflow = Workflow::parse(text.as_bytes()).unwrap();
        let workflows = microscope.workflows();
        let (run, (start, file)) = future::zip(workflows.start(&workflow), upload(&mut peer)).await;
        run.unwrap();
        assert!(start.flags.contains(Flags::TRIGGER_CALL_BACK));
        assert_eq!(start.buffer, [0; 72]);
        assert_eq!(file, text.as_bytes());
    });
}

#[test]
fn a_stale_idle_before_running_does_not_end_it() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        for code in [IDLE, RUNNING] {
            tell(&mut peer, code).await;
        }
        let stale = Some(RunEvent::State(SystemState::Idle));
        assert_eq!(soon("a state", run.next()).await.unwrap(), stale);
        assert_eq!(soon("its start", run.next()).await.unwrap(), Some(RunEvent::Started));
        peer.write(&message(CommandCode::CAMERA_STACK_COMPLETE, [3, 3, 0])).await;
        for code in [CommandCode::UI_IMAGES_SAVED_TO_STORAGE, IDLE] {
            tell(&mut peer, code).await;
        }
        let summary = soon("its end", run.wait()).await.unwrap();
        assert_eq!((summary.stacks, summary.images, summary.saved), (1, 3, true));
    });
}

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
fn an_abort_ends_the_run_also_before_the_workflow_began() {
    for running in [false, true] {
        smol::block_on(async {
            let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
            let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
            if running {
                tell(&mut peer, RUNNING).await;
                soon("its start", run.next()).await.unwrap();
            }
            let (aborted, ()) = future::zip(run.abort(), async {
                let stop = peer.expect(CommandCode::CAMERA_WORK_FLOW_STOP).await;
                assert!(!stop.flags.contains(Flags::TRIGGER_CALL_BACK));
                peer.answer(&stop, 0.0).await;
                if running {
                    tell(&mut peer, IDLE).await;
                }
            })
            .await;
            aborted.unwrap();
            // A workflow that never ran has no IDLE, so the state is asked for.
            let idle = async {
                answer_state(&mut peer, SystemState::Idle).await;
                future::pending().await
            };
            assert!(soon("its end", future::or(run.wait(), idle)).await.unwrap().aborted);
        });
    }
}

#[test]
fn a_refused_stop_and_a_stale_idle_after_it_end_nothing() {
    smol::block_on(async {
        let (microscope, mut peer) =
            microscope_and_peer(|options| options.timeout = Duration::from_millis(300)).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        let (aborted, ()) = future::zip(run.abort(), async {
            let stop = peer.expect(CommandCode::CAMERA_WORK_FLOW_STOP).await;
            let mut refusal = peer::answer_to(&stop, 0.0);
            refusal.status = 0;
            peer.write(&refusal).await;
            tell(&mut peer, IDLE).await;
        })
        .await;
        assert!(matches!(aborted, Err(Error::Refused { .. })), "{aborted:?}");
        for code in [RUNNING, IDLE] {
            tell(&mut peer, code).await;
        }
        let stale = Some(RunEvent::State(SystemState::Idle));
        assert_eq!(soon("a state", run.next()).await.unwrap(), stale);
        let summary = soon("its end", run.wait()).await.unwrap();
        assert!(!summary.aborted);
    });
}

#[test]
fn events_before_the_answer_about_the_state_count_first() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        tell(&mut peer, RUNNING).await;
        soon("its start", run.next()).await.unwrap();
        let ends = async {
            // After a silence the run asks; meanwhile everything arrives at once.
            let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            peer.write(&message(CommandCode::CAMERA_STACK_COMPLETE, [3, 3, 0])).await;
            tell(&mut peer, CommandCode::UI_IMAGES_SAVED_TO_STORAGE).await;
            tell(&mut peer, IDLE).await;
            peer.answer(&query.with_selector(0xA002), 0.0).await;
            future::pending().await
        };
        let summary = soon("its end", future::or(run.wait(), ends)).await.unwrap();
        assert_eq!((summary.stacks, summary.images, summary.saved), (1, 3, true));
    });
}

#[test]
fn a_caller_that_cancels_the_wait_often_still_gets_the_end() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        tell(&mut peer, RUNNING).await;
        soon("its start", run.next()).await.unwrap();
        let ticking = async {
            loop {
                let tick = async {
                    smol::Timer::after(Duration::from_millis(20)).await;
                    Ok(Some(RunEvent::ImagesSaved))
                };
                if future::or(run.next(), tick).await.unwrap().is_none() {
                    return;
                }
            }
        };
        let idle = async {
            loop {
                answer_state(&mut peer, SystemState::Idle).await;
            }
        };
        soon("its end", future::or(ticking, idle)).await;
    });
}

#[test]
fn a_refusal_of_the_instrument_ends_the_run_with_its_reason() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        let mut declined = message(CommandCode::CAMERA_WORK_FLOW_START, [0; 3]);
        declined.status = 0;
        declined.set_text("work flow empty").unwrap();
        peer.write(&declined).await;
        let ended = soon("its end", run.wait()).await;
        let Err(Error::Refused { reason, .. }) = ended else { panic!("{ended:?}") };
        assert_eq!(reason, "work flow empty");
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
fn a_start_and_an_end_without_messages_are_found_by_the_state() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        let silent = async {
            answer_state(&mut peer, SystemState::WorkflowRunning).await;
            answer_state(&mut peer, SystemState::WorkflowRunning).await;
            answer_state(&mut peer, SystemState::Idle).await;
            future::pending().await
        };
        let ended = async {
            assert_eq!(run.next().await.unwrap(), Some(RunEvent::Started));
            run.wait().await
        };
        soon("its end", future::or(ended, silent)).await.unwrap();
    });
}

#[test]
fn a_workflow_that_does_not_begin_is_an_error_and_no_end() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        let idle = async {
            loop {
                answer_state(&mut peer, SystemState::Idle).await;
            }
        };
        let ended = soon("its end", future::or(run.wait(), idle)).await;
        let Err(Error::NotStarted { state: SystemState::Idle, .. }) = ended else {
            panic!("{ended:?}")
        };
    });
}

#[test]
fn a_gauge_that_goes_back_is_not_reported() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        tell(&mut peer, RUNNING).await;
        for [done, total] in [[0, 10], [4, 10], [2, 10], [-1, 10], [5, 0], [12, 10]] {
            peer.write(&message(CommandCode::UI_SET_GAUGE_VALUE, [done, total, 0])).await;
        }
        tell(&mut peer, IDLE).await;
        let mut seen = Vec::new();
        while let Some(event) = soon("the next", run.next()).await.unwrap() {
            if let RunEvent::Progress { done, total } = event {
                seen.push((done, total));
            }
        }
        assert_eq!(seen, [(0, 10), (4, 10), (5, 10), (10, 10)]);
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
fn a_lost_connection_is_no_end_of_a_workflow() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        tell(&mut peer, RUNNING).await;
        soon("its start", run.next()).await.unwrap();
        drop(peer);
        let ended = soon("its end", run.wait()).await;
        assert!(matches!(ended, Err(Error::ConnectionLost { .. })), "{ended:?}");
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
