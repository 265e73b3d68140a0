//! What positions say about motions: zeros that are none, clamped targets, ends without a status.

use flamingo_microscope::units::Mm;
use flamingo_microscope::{Axis, Error};
use flamingo_protocol_core::CommandCode;
use flamingo_protocol_core::wire::Status;
use flamingo_runtime_testkit::peer::{self, motion_stopped, soon};
use flamingo_runtime_testkit::test_microscope::{
    SETTINGS, microscope_and_peer, microscope_and_peer_with, patience,
};
use smol::future;

use crate::motion::{assert_near, begun, while_at};

#[test]
fn zero_outside_the_limits_is_no_position_while_an_axis_moves() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        let zeros = async {
            // More answers than one look takes: the motion goes on.
            for _ in 0..6 {
                let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
                peer.answer(&query, 0.0).await;
            }
            peer.write(&motion_stopped(1, 1)).await;
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.answer(&query, 8.0).await;
            future::pending().await
        };
        let arrival = soon("the arrival", future::or(motion.wait(), zeros)).await.unwrap();
        assert!(arrival.message.is_some());
    });
}

#[test]
fn zero_within_the_limits_is_a_position() {
    smol::block_on(async {
        let settings = SETTINGS.replace("min x-axis = 1.000", "min x-axis = -1.000");
        let (microscope, mut peer) = microscope_and_peer_with(&settings, patience(), |_| ()).await;
        let stage = microscope.stage();
        let (found, ()) = future::zip(stage.position(Axis::X), async {
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.answer(&query, 0.0).await;
        })
        .await;
        assert_near(found.unwrap().value.value(), 0.0);
    });
}

#[test]
fn a_position_of_zero_outside_the_limits_is_unknown() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let stage = microscope.stage();
        let (found, ()) = future::zip(stage.position(Axis::Z), async {
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.answer(&query, 0.0).await;
        })
        .await;
        assert!(matches!(found, Err(Error::PositionUnknown { axis: Axis::Z, .. })), "{found:?}");
    });
}

#[test]
fn a_clamped_target_is_an_error_that_names_both_positions() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        peer.write(&motion_stopped(1, 1)).await;
        let ended = while_at(&mut peer, 7.9, motion.wait()).await.unwrap_err();
        let text = ended.to_string();
        assert!(text.contains("7.9 mm") && text.contains("8 mm"), "{text}");
        assert!(text.contains("clamped"), "{text}");
    });
}

#[test]
fn an_acknowledgement_without_a_status_is_a_presumed_success() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let stage = microscope.stage();
        let (motion, ()) = future::zip(stage.move_to(Axis::X, Mm(8.0)), async {
            let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
            let mut acknowledgement = peer::answer_to(&command, command.value);
            acknowledgement.status = 0;
            peer.write(&acknowledgement).await;
        })
        .await;
        let mut motion = motion.unwrap();
        let outcome = motion.acknowledgement().map(|answer| answer.outcome);
        assert_eq!(outcome, Some(Status::Unset));
        // Nor is the end of the motion told with a status.
        peer.write(&motion_stopped(1, 0)).await;
        let arrival = while_at(&mut peer, 8.0, motion.wait()).await.unwrap();
        assert_eq!(arrival.axis, Axis::X);
    });
}
