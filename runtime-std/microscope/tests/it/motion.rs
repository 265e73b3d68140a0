//! Motions: they listen before their command is sent, and end for the right reason.

use std::time::Duration;

use flamingo_microscope::Axis;
use flamingo_microscope::units::{Degrees, Mm, Position};
use flamingo_microscope::{Error, Motion};
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::peer::{self, Peer, motion_stopped, move_to, next_frame, soon};
use flamingo_runtime_testkit::test_microscope::{
    client, microscope, microscope_and_peer, simulator,
};
use smol::future;

pub(crate) fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "expected {expected}, found {found}");
}

/// Moves X to 8 mm; the peer acknowledges it.
pub(crate) async fn begun(microscope: &flamingo_microscope::Microscope, peer: &mut Peer) -> Motion {
    let stage = microscope.stage();
    let (motion, ()) = future::zip(stage.move_to(Axis::X, Mm(8.0)), async {
        let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
        peer.answer(&command, command.value).await;
    })
    .await;
    motion.unwrap()
}

/// Answers position queries until the future has ended.
pub(crate) async fn while_at<T>(peer: &mut Peer, at: f64, waits: impl Future<Output = T>) -> T {
    let answers = async {
        loop {
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.answer(&query, at).await;
        }
    };
    soon("the end of the motion", future::or(waits, answers)).await
}

#[test]
fn a_motion_that_ends_before_its_acknowledgement_is_noticed() {
    smol::block_on(async {
        let simulator = simulator("[latency]\nmove_ack_ms = 80").await;
        let microscope = microscope(&simulator).await;
        for target in [7.51, 7.5, 7.51] {
            let mut motion = microscope.stage().move_to(Axis::X, Mm(target)).await.unwrap();
            let arrival = soon("the arrival", motion.wait()).await.unwrap();
            assert!(arrival.message.is_some());
            let at = microscope.stage().position(Axis::X).await.unwrap();
            assert!(at.answer.proven);
            assert_near(at.value.value(), target);
        }
    });
}

#[test]
fn waiting_again_gives_the_same_result() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let mut motion = microscope.stage().move_to(Axis::R, Degrees(3.0)).await.unwrap();
        let first = motion.wait().await.unwrap();
        assert_eq!(motion.wait().await.unwrap(), first);
    });
}

#[test]
fn several_axes_arrive_together_with_updates_of_each() {
    smol::block_on(async {
        let simulator = simulator("[stage]\nspeed_factor = 5.0").await;
        let microscope = microscope(&simulator).await;
        let stage = microscope.stage();
        let mut progress = stage.position_updates();
        let targets = [
            (Axis::X, Position::Mm(8.5)),
            (Axis::Z, Position::Mm(20.0)),
            (Axis::R, Position::Degrees(45.0)),
        ];
        let mut motions = stage.move_together(&targets).await.unwrap();
        let arrivals = soon("the arrivals", motions.wait()).await.unwrap();
        assert_eq!(arrivals.len(), 3);
        let pose = stage.pose().await.unwrap();
        assert_near(pose.x.0, 8.5);
        assert_near(pose.z.0, 20.0);
        assert_near(pose.r.0, 45.0);
        let mut seen = Vec::new();
        while let Some(update) = progress.try_next() {
            seen.push(update.axis);
        }
        for (axis, _) in targets {
            assert!(seen.contains(&axis), "no update of {axis} among {}", seen.len());
        }
        let twice = [(Axis::X, Position::Mm(8.0)), (Axis::X, Position::Mm(9.0))];
        let refused = stage.move_together(&twice).await;
        assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{refused:?}");
    });
}

#[test]
fn a_halt_ends_the_motions_of_its_axis_and_no_other() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let stage = microscope.stage();
        let mut x = stage.move_to(Axis::X, Mm(12.0)).await.unwrap();
        let mut y = stage.move_to(Axis::Y, Mm(15.2)).await.unwrap();
        stage.halt(Axis::X).await.unwrap();
        let halted = soon("the halt", x.wait()).await;
        assert!(matches!(halted, Err(Error::Halted { axis: Axis::X })), "{halted:?}");
        soon("the other axis", y.wait()).await.unwrap();
        let at = stage.position(Axis::X).await.unwrap().value.value();
        assert!(at < 9.0, "halted at {at}");
    });
}

#[test]
fn a_halt_of_all_axes_ends_all_motions() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let stage = microscope.stage();
        let mut x = stage.move_to(Axis::X, Mm(12.0)).await.unwrap();
        let mut z = stage.move_to(Axis::Z, Mm(25.0)).await.unwrap();
        let (halted, (x, z)) = future::zip(stage.halt_all(), future::zip(x.wait(), z.wait())).await;
        halted.unwrap();
        assert!(matches!(x, Err(Error::Halted { axis: Axis::X })), "{x:?}");
        assert!(matches!(z, Err(Error::Halted { axis: Axis::Z })), "{z:?}");
    });
}

#[test]
fn a_halt_of_another_client_ends_the_motion() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let (microscope, other) = (microscope(&simulator).await, client(&simulator).await);
        let mut motion = microscope.stage().move_to(Axis::X, Mm(12.0)).await.unwrap();
        other.halt(1).await.unwrap();
        let halted = soon("the halt", motion.wait()).await;
        assert!(matches!(halted, Err(Error::Halted { .. })), "{halted:?}");
    });
}

#[test]
fn a_halt_that_came_before_the_move_does_not_end_it() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let stage = microscope.stage();
        let (halted, ()) = future::zip(stage.halt(Axis::X), async {
            let halt = peer.expect(CommandCode::STAGE_HALT).await;
            // The end of the halted motion is reported after the HALT.
            peer.write(&motion_stopped(1, 0)).await;
            peer.answer(&halt, 0.0).await;
        })
        .await;
        halted.unwrap();
        let mut motion = begun(&microscope, &mut peer).await;
        peer.write(&motion_stopped(1, 1)).await;
        soon("the arrival", motion.wait()).await.unwrap();
    });
}

#[test]
fn motion_stopped_with_another_status_is_an_error_with_position() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        peer.write(&motion_stopped(1, 3)).await;
        let ended = while_at(&mut peer, 7.75, motion.wait()).await;
        let Err(Error::NotCompleted { status: Some(3), position, .. }) = ended else {
            panic!("expected the status and the position, got {ended:?}");
        };
        assert_eq!(position, Some(Position::Mm(7.75)));
    });
}

#[test]
fn motion_stopped_with_status_1_overrules_an_earlier_one() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        peer.write(&motion_stopped(1, 0)).await;
        peer.write(&motion_stopped(1, 1)).await;
        let arrival = soon("the arrival", motion.wait()).await.unwrap();
        assert_eq!(arrival.message.map(|frame| frame.status), Some(1));
    });
}

#[test]
fn motion_stopped_with_another_status_at_target_is_an_arrival() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        peer.write(&motion_stopped(1, 0)).await;
        let arrival = while_at(&mut peer, 8.0, motion.wait()).await.unwrap();
        assert_eq!(arrival.message, None);
    });
}

#[test]
fn motion_stopped_counts_for_its_own_axis_and_for_all_axes() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        let mut events = microscope.client().subscribe(&[CommandCode::STAGE_MOTION_STOPPED]);
        peer.write(&motion_stopped(3, 1)).await;
        // This subscription receives the message at the same time as the motion.
        next_frame(&mut events).await;
        let mut wait = Box::pin(motion.wait());
        assert!(future::poll_once(wait.as_mut()).await.is_none());
        peer.write(&motion_stopped(255, 1)).await;
        soon("the arrival", wait).await.unwrap();
    });
}

#[test]
fn an_end_without_a_message_is_found_by_the_position() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        let arrival = while_at(&mut peer, 8.0, motion.wait()).await.unwrap();
        assert_eq!(arrival.message, None);
        let mut stuck = begun(&microscope, &mut peer).await;
        let ended = while_at(&mut peer, 7.9, stuck.wait()).await;
        assert!(matches!(ended, Err(Error::NotCompleted { status: None, .. })), "{ended:?}");
    });
}

#[test]
fn a_caller_that_cancels_the_wait_often_still_gets_the_end() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        let ticking = async {
            loop {
                let tick = async {
                    smol::Timer::after(Duration::from_millis(150)).await;
                    None
                };
                if let Some(arrival) = future::or(async { Some(motion.wait().await) }, tick).await {
                    return arrival;
                }
            }
        };
        while_at(&mut peer, 8.0, ticking).await.unwrap();
    });
}

#[test]
fn the_end_of_an_earlier_motion_does_not_end_the_next_one() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut first = begun(&microscope, &mut peer).await;
        let mut second = begun(&microscope, &mut peer).await;
        let sent_elsewhere = soon("its end", first.wait()).await;
        assert!(matches!(sent_elsewhere, Err(Error::Retargeted { .. })), "{sent_elsewhere:?}");
        peer.write(&motion_stopped(1, 1)).await;
        let arrived = async {
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.answer(&query, 7.6).await;
            peer.write(&motion_stopped(1, 1)).await;
            future::pending().await
        };
        let arrival = soon("the arrival", future::or(second.wait(), arrived)).await.unwrap();
        assert!(arrival.message.is_some());
    });
}

#[test]
fn an_axis_near_its_target_has_arrived_only_within_tolerance() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let first = begun(&microscope, &mut peer).await;
        drop(first);
        // In doubt, because the end of the first motion is not known.
        let mut second = begun(&microscope, &mut peer).await;
        peer.write(&motion_stopped(1, 1)).await;
        let arrival = while_at(&mut peer, 8.0009, second.wait()).await.unwrap();
        assert_eq!(arrival.message.map(|frame| frame.status), Some(1));
        let mut third = begun(&microscope, &mut peer).await;
        peer.write(&motion_stopped(1, 1)).await;
        let ended = while_at(&mut peer, 8.0011, third.wait()).await;
        assert!(matches!(ended, Err(Error::OffTarget { .. })), "{ended:?}");
    });
}

#[test]
fn a_new_target_from_another_client_is_noticed() {
    smol::block_on(async {
        let simulator = simulator("[stage]\nspeed_factor = 4.0").await;
        let (microscope, other) = (microscope(&simulator).await, client(&simulator).await);
        let mut motion = microscope.stage().move_to(Axis::X, Mm(9.5)).await.unwrap();
        other.request(move_to(1, 8.5)).await.unwrap();
        let ended = soon("its end", motion.wait()).await;
        assert!(matches!(ended, Err(Error::Retargeted { .. })), "{ended:?}");
    });
}

#[test]
fn a_refused_move_is_an_error_and_the_other_axes_are_halted() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let stage = microscope.stage();
        let targets = [(Axis::X, Position::Mm(8.0)), (Axis::Y, Position::Mm(9.0))];
        let (begun, halted) = future::zip(stage.move_together(&targets), async {
            for _ in 0..2 {
                let command = peer.expect(CommandCode::STAGE_POSITION_SET).await;
                let mut answer = peer::answer_to(&command, command.value);
                if command.selector() == 2 {
                    answer.status = 0;
                    answer.set_text("axis y: error 7").unwrap();
                }
                peer.write(&answer).await;
            }
            let mut halted = Vec::new();
            for _ in 0..2 {
                let halt = peer.expect(CommandCode::STAGE_HALT).await;
                halted.push(halt.selector());
                peer.answer(&halt, 0.0).await;
            }
            halted
        })
        .await;
        assert!(matches!(begun, Err(Error::Refused { .. })), "{begun:?}");
        assert_eq!(halted, [1, 2]);
    });
}

#[test]
fn a_lost_connection_ends_the_motion() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
        let mut motion = begun(&microscope, &mut peer).await;
        drop(peer);
        let ended = soon("its end", motion.wait()).await;
        assert!(matches!(ended, Err(Error::ConnectionLost { .. })), "{ended:?}");
    });
}

#[test]
fn home_is_waited_for_also_if_acknowledged_at_its_end() {
    for at_end in [false, true] {
        smol::block_on(async {
            let scenario = format!("[stage]\nspeed_factor = 8.0\nhome_answers_at_end = {at_end}");
            let simulator = simulator(&scenario).await;
            let microscope = microscope(&simulator).await;
            let stage = microscope.stage();
            stage.move_to(Axis::X, Mm(9.0)).await.unwrap().wait().await.unwrap();
            let mut motion = stage.home(Axis::X).await.unwrap();
            assert_eq!(motion.target(), Some(Position::Mm(7.5)));
            soon("home", motion.wait()).await.unwrap();
            assert_near(stage.position(Axis::X).await.unwrap().value.value(), 7.5);
            let mut search = stage.find_reference(Axis::X).await.unwrap();
            soon("the reference", search.wait()).await.unwrap();
        });
    }
}
