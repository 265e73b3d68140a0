//! Workflows with a scripted peer: uploaded as one, and followed until SYSTEM_STATE_IDLE. Whole
//! workflows on the simulator are in `workflows_simulated.rs`.

use std::time::Duration;

use flamingo_microscope::workflow::Workflow;
use flamingo_microscope::{Error, Microscope, Run, RunEvent, SystemState};
use flamingo_protocol_core::{CommandCode, Flags, Frame};
use flamingo_runtime_testkit::peer::{self, Peer, soon};
use flamingo_runtime_testkit::test_microscope::{self, microscope_and_peer, workflow};
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

pub(crate) const RUNNING: CommandCode = CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING;
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
            refusal.set_text("refused").unwrap();
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
fn an_echo_of_the_upload_with_status_0_alone_refuses_nothing() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        let echo = Frame { status: 0, ..message(CommandCode::CAMERA_WORK_FLOW_START, [0; 3]) };
        peer.write(&echo).await;
        for code in [RUNNING, IDLE] {
            tell(&mut peer, code).await;
        }
        soon("its end", run.wait()).await.unwrap();
    });
}

/// A frame of a code that nobody knows, with a text in its buffer.
fn text_frame(text: &str) -> Frame {
    let mut frame = Frame { status: 0, ..message(UNKNOWN, [0; 3]) };
    frame.set_text(text).unwrap();
    frame
}

const UNKNOWN: CommandCode = CommandCode(0x10FE);

#[test]
fn texts_of_unknown_codes_are_shown_during_a_run() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        peer.write(&text_frame("the disk is nearly full")).await;
        tell(&mut peer, RUNNING).await;
        // No texts for people: a known code, bytes that are no text, an empty frame.
        let mut known = message(CommandCode::LASER_LEVEL_GET, [1, 0, 0]);
        known.set_text("5.00").unwrap();
        peer.write(&known).await;
        let mut binary = message(UNKNOWN, [0; 3]);
        binary.buffer[..4].copy_from_slice(&[1, 2, 0xFF, 3]);
        peer.write(&binary).await;
        peer.write(&message(UNKNOWN, [0; 3])).await;
        test_microscope::answer_with(&mut peer, &message(UNKNOWN, [0; 3]), b"in a payload\n").await;
        tell(&mut peer, IDLE).await;
        let mut seen = Vec::new();
        while let Some(event) = soon("the next", run.next()).await.unwrap() {
            if let RunEvent::Text { code, text } = event {
                assert_eq!(code, UNKNOWN);
                seen.push(text);
            }
        }
        assert_eq!(seen, ["the disk is nearly full", "in a payload"]);
    });
}

#[test]
fn a_workflow_that_does_not_begin_repeats_what_was_explained() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        peer.write(&text_frame("Z 27.000 is beyond its hard limit")).await;
        let idle = async {
            loop {
                answer_state(&mut peer, SystemState::Idle).await;
            }
        };
        let ended = soon("its end", future::or(run.wait(), idle)).await;
        let error = ended.unwrap_err();
        assert!(error.to_string().contains("Z 27.000 is beyond"), "{error}");
        assert!(error.to_string().contains("in state IDLE after 500ms"), "{error}");
    });
}

#[test]
fn an_instrument_that_does_not_answer_is_not_called_idle() {
    smol::block_on(async {
        let (microscope, mut peer) =
            microscope_and_peer(|options| options.timeout = Duration::from_millis(100)).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        let ended = soon("its end", run.wait()).await.unwrap_err();
        assert!(matches!(ended, Error::Timeout { .. }), "{ended}");
        assert!(!ended.to_string().contains("IDLE"), "{ended}");
    });
}

#[test]
fn images_are_counted_by_progress_before_a_stack_is_complete() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(2, 300)).await;
        tell(&mut peer, RUNNING).await;
        for done in [10, 76] {
            peer.write(&message(CommandCode::UI_SET_GAUGE_VALUE, [done, 600, 0])).await;
        }
        while run.summary().images < 76 {
            soon("the next", run.next()).await.unwrap();
        }
        assert_eq!((run.summary().images, run.summary().images_total), (76, 600));
        peer.write(&message(CommandCode::CAMERA_STACK_COMPLETE, [300, 300, 0])).await;
        tell(&mut peer, IDLE).await;
        let summary = soon("its end", run.wait()).await.unwrap();
        assert_eq!((summary.images, summary.stacks), (300, 1), "the stacks tell more");
    });
}

#[test]
fn a_run_whose_messages_do_not_arrive_is_followed_by_asking() {
    smol::block_on(async {
        let patience = test_microscope::patience()
            .workflow_silence(Duration::from_secs(60))
            .workflow_poll(Duration::from_millis(30));
        let settings = test_microscope::SETTINGS;
        let (microscope, mut peer) =
            test_microscope::microscope_and_peer_with(settings, patience, |_| ()).await;
        let mut run = started(&microscope, &mut peer, &workflow(1, 3)).await;
        let states = async {
            for state in [SystemState::Idle, SystemState::WorkflowRunning, SystemState::Idle] {
                answer_state(&mut peer, state).await;
            }
            future::pending().await
        };
        soon("its end", future::or(run.wait(), states)).await.unwrap();
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
