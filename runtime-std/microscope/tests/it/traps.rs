//! The traps of the protocol, one test for each. Traps of motions, workflows, limits and images are
//! in their own files; docs/testing.md lists all of them.

use std::time::Duration;

use flamingo_microscope::Axis;
use flamingo_microscope::live::{LiveOptions, LiveStream};
use flamingo_microscope::units::{Micros, Mm, Percent};
use flamingo_microscope::{Error, Laser, LiveUpdates, Microscope, RunEvent};
use flamingo_protocol_core::{CommandCode, Flags, Frame};
use flamingo_runtime_testkit::peer::{answer_to, position_push, soon};
use flamingo_runtime_testkit::test_microscope::{
    self, client, microscope, microscope_and_peer, simulator, workflow,
};
use smol::future;

#[test]
fn a_position_push_is_never_the_position_of_another_axis() {
    smol::block_on(async {
        let scenario = "[stage]\ncontinuous_axes = [\"z\"]\n[pushes]\nposition_hz = 400.0";
        let simulator = simulator(scenario).await;
        let stage = microscope(&simulator).await.stage();
        for _ in 0..300 {
            let x = stage.position(Axis::X).await.unwrap();
            assert!(x.answer.proven);
            assert!((x.value.value() - 7.5).abs() < 1e-9, "{:?}", x.value);
        }
    });
}

#[test]
fn a_position_push_of_the_same_axis_is_not_the_answer() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let stage = microscope.stage();
        let (x, ()) = future::zip(stage.position(Axis::X), async {
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.write(&position_push(1, 3.0)).await;
            peer.answer(&query, 4.0).await;
        })
        .await;
        assert!((x.unwrap().value.value() - 4.0).abs() < 1e-9);
    });
}

#[test]
fn each_axis_is_asked_for_its_own_position() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let stage = microscope.stage();
        let (pose, asked) = future::zip(stage.pose(), async {
            let mut asked = Vec::new();
            for _ in 0..4 {
                let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
                asked.push(query.selector());
                peer.answer(&query, f64::from(query.selector())).await;
            }
            asked
        })
        .await;
        let pose = pose.unwrap();
        assert_eq!(asked, [1, 2, 3, 4]);
        assert!((pose.z.0 - 3.0).abs() < 1e-9 && (pose.r.0 - 4.0).abs() < 1e-9);
    });
}

#[test]
fn halt_is_0x6003_and_home_is_0x6002() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let stage = microscope.stage();
        let (halted, ()) = future::zip(stage.halt_all(), async {
            for axis in 1..=4 {
                let halt = peer.read().await;
                assert_eq!((halt.code.0, halt.selector()), (0x6003, axis));
                peer.answer(&halt, 0.0).await;
            }
        })
        .await;
        halted.unwrap();
        let (_, home) = future::zip(stage.home(Axis::X), peer.read()).await;
        assert_eq!(home.code.0, 0x6002);
    });
}

#[test]
fn an_unknown_command_ends_with_a_timeout_and_never_an_answer() {
    smol::block_on(async {
        let scenario = "never_answered = [\"CAMERA_EXPOSURE_GET\"]";
        let simulator = simulator(scenario).await;
        let mut options = flamingo_runtime_std::Options::new(simulator.control().to_string());
        options.timeout = Duration::from_millis(200);
        let camera = Microscope::connect(options).await.unwrap().camera();
        let nothing = camera.exposure().await;
        assert!(matches!(nothing, Err(Error::Timeout { .. })), "{nothing:?}");
        camera.pixel_size().await.unwrap();
        // An answer to a later command of the camera ends the wait before the timeout.
        let (nothing, size) = future::zip(camera.exposure(), camera.pixel_size()).await;
        size.unwrap();
        assert!(
            matches!(nothing, Err(Error::Unsupported { .. } | Error::Timeout { .. })),
            "{nothing:?}"
        );
    });
}

#[test]
fn a_late_answer_is_never_the_answer_of_the_next_request() {
    smol::block_on(async {
        let tune = |options: &mut flamingo_runtime_std::Options| {
            options.timeout = Duration::from_millis(150);
        };
        let (microscope, mut peer) = microscope_and_peer(tune).await;
        let camera = microscope.camera();
        let (given_up, late) = future::zip(camera.pixel_size(), peer.read()).await;
        assert!(matches!(given_up, Err(Error::Timeout { .. })), "{given_up:?}");
        let ask = async {
            loop {
                // The request waits until the old answer can no longer arrive.
                if let Ok(size) = camera.pixel_size().await {
                    return size;
                }
            }
        };
        let answers = async {
            peer.answer(&late, 0.111).await;
            loop {
                let query = peer.read().await;
                peer.answer(&query, 0.222).await;
            }
        };
        let size = soon("the answer", future::or(ask, answers)).await;
        assert!((size.value.0 - 0.222).abs() < 1e-9, "{size:?}");
    });
}

#[test]
fn a_push_after_a_set_is_not_a_proven_answer_of_the_next_get() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let camera = microscope.camera();
        let (set, ()) = future::zip(camera.set_exposure(Micros(500)), async {
            let command = peer.expect(CommandCode::CAMERA_EXPOSURE_SET).await;
            peer.answer(&command, 0.0).await;
        })
        .await;
        set.unwrap();
        let (got, ()) = future::zip(camera.exposure(), async {
            let query = peer.expect(CommandCode::CAMERA_EXPOSURE_GET).await;
            // The late push of the SET looks exactly like the answer.
            peer.write(&answer_to(&query.with_selector(500), 0.0)).await;
            peer.write(&answer_to(&query.with_selector(501), 0.0)).await;
        })
        .await;
        let got = got.unwrap();
        assert!(!got.answer.proven, "{got:?}");
    });
}

#[test]
fn a_laser_level_is_presumed_and_never_that_of_another_laser() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let lasers = microscope.lasers();
        let (level, ()) = future::zip(lasers.level(Laser::ALL[0]), async {
            let query = peer.expect(CommandCode::LASER_LEVEL_GET).await;
            let mut other = Frame::new(CommandCode::LASER_LEVEL_GET).with_selector(2);
            other.set_text("99.00").unwrap();
            peer.write(&other).await;
            let mut answer = answer_to(&query, 0.0);
            answer.set_text("11.49").unwrap();
            peer.write(&answer).await;
        })
        .await;
        let level = level.unwrap();
        assert_eq!(level.value, Percent(11.49));
        assert!(!level.answer.proven);
    });
}

#[test]
fn a_push_with_a_payload_loses_no_frame() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let (microscope, other) = (microscope(&simulator).await, client(&simulator).await);
        let other = Microscope::over(other, test_microscope::patience());
        let stage = microscope.stage();
        for _ in 0..50 {
            // The simulator broadcasts each of them with a payload of six bytes.
            other.led().disable_preview().await.unwrap();
            let x = stage.position(Axis::X).await.unwrap();
            assert!((x.value.value() - 7.5).abs() < 1e-9);
        }
        let noise = microscope.client().stats().await.unwrap().counters.noise_bytes;
        assert_eq!(noise, 0);
    });
}

#[test]
fn the_instrument_is_never_polled_faster_than_it_answers() {
    smol::block_on(async {
        let scenario = "[faults]\ndrop_above_unanswered = 4\n[latency]\nmin_ms = 2\nmax_ms = 10";
        let simulator = simulator(scenario).await;
        let microscope = microscope(&simulator).await;
        let asks: Vec<_> = (0..40)
            .map(|n| {
                let (stage, camera) = (microscope.stage(), microscope.camera());
                smol::spawn(async move {
                    match n % 3 {
                        0 => stage.position(Axis::ALL[n % 4]).await.map(|_| ()),
                        1 => camera.pixel_size().await.map(|_| ()),
                        _ => camera.image_size().await.map(|_| ()),
                    }
                })
            })
            .collect();
        for ask in asks {
            soon("an answer", ask).await.unwrap();
        }
        assert!(simulator.truth().faults().is_empty(), "{:?}", simulator.truth().faults());
    });
}

#[test]
fn client_id_and_int32data2_are_always_0() {
    smol::block_on(async {
        let simulator = simulator("[stage]\nspeed_factor = 50.0").await;
        let microscope = microscope(&simulator).await;
        microscope.stage().pose().await.unwrap();
        microscope.stage().move_to(Axis::X, Mm(8.0)).await.unwrap().wait().await.unwrap();
        microscope.camera().set_exposure(Micros(10)).await.unwrap();
        microscope.lasers().set_level(Laser::ALL[0], Percent(1.0)).await.unwrap();
        microscope.state().await.unwrap();
        for record in simulator.truth().received() {
            assert_eq!((record.frame.client_id, record.frame.int32_data[2]), (0, 0));
        }
    });
}

#[test]
fn only_the_workflow_stop_is_sent_without_trigger_call_back() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        microscope.stage().position(Axis::Z).await.unwrap();
        microscope.storage().drives().await.unwrap();
        microscope.workflows().abort().await.unwrap();
        for record in simulator.truth().received() {
            let stop = record.frame.code == CommandCode::CAMERA_WORK_FLOW_STOP;
            let flagged = record.frame.flags.contains(Flags::TRIGGER_CALL_BACK);
            assert_eq!(flagged, !stop, "{}", record.frame);
        }
    });
}

#[test]
fn update_on_change_is_int32data0_of_the_start() {
    for (updates, data0) in [(LiveUpdates::Always, 0), (LiveUpdates::OnChange, 1)] {
        smol::block_on(async {
            let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
            let camera = microscope.camera();
            let (started, ()) = future::zip(camera.start_live_view(updates), async {
                let state = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
                peer.answer(&state.with_selector(0xA002), 0.0).await;
                let start = peer.expect(CommandCode::CAMERA_LIVE_VIEW_START).await;
                assert_eq!(start.selector(), data0);
                peer.answer(&start, 0.0).await;
            })
            .await;
            started.unwrap();
        });
    }
}

/// Codes that may be mistaken for the end of a stack, of saving, or of a workflow.
#[test]
fn a_region_edge_is_no_stack_and_ui_end_is_no_end() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let (file, workflows) = (workflow(1, 3), microscope.workflows());
        let (run, ()) = future::zip(workflows.start(&file), async {
            let state = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            peer.answer(&state.with_selector(0xA002), 0.0).await;
            let start = peer.expect(CommandCode::CAMERA_WORK_FLOW_START).await;
            peer.read_bytes(start.payload_len as usize).await;
        })
        .await;
        let mut run = run.unwrap();
        for code in [0xA005, 0x3011, 0x9008, 0x3014, 0x9007, 0xA002] {
            let mut frame = Frame::new(CommandCode(code));
            frame.status = 1;
            frame.int32_data = [3, 3, 0];
            peer.write(&frame).await;
        }
        let mut seen = Vec::new();
        while let Some(event) = soon("the next", run.next()).await.unwrap() {
            seen.push(event);
        }
        let [RunEvent::Started, RunEvent::Stack(_), RunEvent::ImagesSaved] = seen[..] else {
            panic!("{seen:?}")
        };
    });
}

#[test]
fn a_live_view_over_a_fresh_connection_shows_no_stale_image() {
    smol::block_on(async {
        let simulator = simulator("[images]\nframes_per_s = 200").await;
        let microscope = microscope(&simulator).await;
        let (camera, address) = (microscope.camera(), simulator.live().to_string());
        let mut last = -1;
        for _ in 0..3 {
            let mut stream = LiveStream::connect(&address, LiveOptions::every()).await.unwrap();
            camera.start_live_view(LiveUpdates::Always).await.unwrap();
            for _ in 0..5 {
                let image = soon("an image", stream.next_image()).await.unwrap().unwrap();
                assert!(image.header.index_start > last);
                last = image.header.index_start;
            }
            camera.stop_live_view().await.unwrap();
        }
    });
}

#[test]
fn drives_are_listed_with_int32data0_0_which_sets_no_path() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let storage = microscope.storage();
        let (drives, ()) = future::zip(storage.drives(), async {
            let query = peer.expect(CommandCode::STORAGE_PATH_SET).await;
            assert_eq!((query.selector(), query.payload_len, query.text()), (0, 0, Ok("")));
            let mut answer = answer_to(&query, 0.0);
            answer.set_text("/media/a\n/media/b\n").unwrap();
            peer.write(&answer).await;
        })
        .await;
        assert_eq!(drives.unwrap().value, ["/media/a", "/media/b"]);
    });
}
