//! Commands that the typed layer refuses before anything is sent.

use flamingo_microscope::Axis;
use flamingo_microscope::units::{Degrees, Micros, Mm, MmPerSecond, Percent, Position};
use flamingo_microscope::{Error, Laser, LiveUpdates, Velocity};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::test_microscope::{
    microscope, microscope_and_peer, microscope_and_peer_with, patience, simulator,
};

/// The commands that the simulator received, without queries.
fn commands(simulator: &flamingo_simulator::Simulator) -> Vec<CommandCode> {
    let queries = [CommandCode::SYSTEM_STATE_GET, CommandCode::COMMON_SCOPE_SETTINGS_LOAD];
    let received = simulator.truth().received().into_iter().map(|record| record.frame.code);
    received.filter(|code| !queries.contains(code)).collect()
}

#[test]
fn a_target_out_of_the_limits_never_reaches_the_wire() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let stage = microscope.stage();
        let targets: [(Axis, Position); 9] = [
            (Axis::X, Mm(12.32).into()),
            (Axis::X, Mm(0.99).into()),
            (Axis::Y, Mm(-1.0).into()),
            (Axis::Z, Mm(f64::NAN).into()),
            (Axis::Z, Mm(f64::INFINITY).into()),
            (Axis::R, Degrees(720.5).into()),
            (Axis::R, Degrees(f64::NEG_INFINITY).into()),
            (Axis::R, Mm(10.0).into()),
            (Axis::X, Degrees(8.0).into()),
        ];
        for (axis, target) in targets {
            let refused = stage.move_to(axis, target).await.unwrap_err();
            assert_eq!(refused.exit_code(), 2, "{axis} to {target}: {refused}");
            let together = [(Axis::Y, Position::Mm(16.0)), (axis, target)];
            assert!(stage.move_together(&together).await.is_err());
        }
        assert_eq!(commands(&simulator), [], "nothing moved, and no axis was asked to");
    });
}

#[test]
fn a_limit_that_refuses_is_named_with_its_line() {
    smol::block_on(async {
        let (microscope, _peer) = microscope_and_peer(|_| ()).await;
        let refused = microscope.stage().move_to(Axis::X, Mm(12.5)).await.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("Soft limit max x-axis") && text.contains("12 mm"), "{text}");
        assert!(text.contains("line 2") && text.contains("nothing was sent"), "{text}");
    });
}

#[test]
fn an_axis_whose_limits_are_not_known_does_not_move() {
    smol::block_on(async {
        let settings = "<Stage limits>\nSoft limit min x-axis = 1\n</Stage limits>\n";
        let (microscope, _peer) = microscope_and_peer_with(settings, patience(), |_| ()).await;
        let refused = microscope.stage().move_to(Axis::X, Mm(5.0)).await;
        assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    });
}

#[test]
fn values_out_of_range_never_reach_the_wire() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let laser = Laser::ALL[1];
        for level in [-0.01, 100.01, f64::NAN, f64::INFINITY] {
            let refused = microscope.lasers().set_level(laser, Percent(level)).await;
            assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{level}: {refused:?}");
        }
        let camera = microscope.camera();
        for exposure in [0, u32::MAX] {
            let refused = camera.set_exposure(Micros(exposure)).await;
            assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{refused:?}");
        }
        assert!(camera.set_left_edge(0).await.is_err());
        assert!(camera.set_top_edge(0).await.is_err());
        for position in [-1, 9] {
            let refused = microscope.filter_wheel().set_position(position).await;
            assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{refused:?}");
        }
        let stage = microscope.stage();
        for velocity in [Velocity::MmPerSecond(0.0), Velocity::DegreesPerSecond(1.0)] {
            assert!(stage.set_velocity(Axis::X, velocity).await.is_err());
        }
        assert!(stage.set_velocity(Axis::R, MmPerSecond(1.0)).await.is_err());
        assert_eq!(commands(&simulator), []);
    });
}

#[test]
fn live_view_is_refused_while_a_workflow_runs() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let camera = microscope.camera();
        for snapshot in [false, true] {
            let running = CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING.0 as i32;
            let asked = async {
                let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
                peer.answer(&query.with_selector(running), 0.0).await;
            };
            let start = async {
                if snapshot {
                    camera.snapshot().await
                } else {
                    camera.start_live_view(LiveUpdates::Always).await
                }
            };
            let (refused, ()) = smol::future::zip(start, asked).await;
            assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
        }
        // The next frame is the next command: neither START nor SNAPSHOT was sent.
        let next = Frame::command(CommandCode::CAMERA_EXPOSURE_GET);
        let client = microscope.client().clone();
        let (_, next) = smol::future::zip(client.send(next), peer.read()).await;
        assert_eq!(next.code, CommandCode::CAMERA_EXPOSURE_GET);
    });
}
