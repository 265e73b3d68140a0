//! `flamingo halt` and stops sent by their code, against a scripted peer.

use crate::program::flamingo_meanwhile;
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::peer::{Peer, listen};
use smol::future::zip;

#[test]
fn halt_stops_an_instrument_that_answers_nothing() {
    smol::block_on(async {
        let (listener, options) = listen();
        let arguments = ["halt", "--timeout", "200ms", "--connect", &options.address];
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            for axis in 1..=4 {
                assert_eq!(peer.expect(CommandCode::STAGE_HALT).await.selector(), axis);
            }
            peer
        };
        let (ended, _peer) = zip(flamingo_meanwhile(&arguments), server).await;
        assert_eq!(ended.code, Some(4), "{ended:?}");
        assert_eq!(ended.stderr.matches("sent, but not confirmed").count(), 4, "{ended:?}");
    });
}

#[test]
fn a_stop_that_is_sent_by_code_goes_first_too() {
    smol::block_on(async {
        for (code, answered) in [("STAGE_HALT", true), ("0x3005", true), ("LASER_DISABLE", false)] {
            let (listener, options) = listen();
            let arguments = ["send", code, "--data0", "1", "--connect", &options.address];
            let server = async {
                let mut peer = Peer::accept(&listener).await;
                let stop = peer.read().await;
                assert_ne!(stop.code, CommandCode::SYSTEM_STATE_GET);
                if answered {
                    peer.answer(&stop, 0.0).await;
                }
                peer
            };
            let (ended, _peer) = zip(flamingo_meanwhile(&arguments), server).await;
            ended.expect_done();
        }
    });
}

#[test]
fn a_halt_of_all_axes_by_code_is_one_for_each() {
    smol::block_on(async {
        let (listener, options) = listen();
        let arguments = ["send", "0x6003", "--data0", "255", "--connect", &options.address];
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            for axis in 1..=4 {
                let halt = peer.expect(CommandCode::STAGE_HALT).await;
                assert_eq!(halt.selector(), axis);
                peer.answer(&halt, 0.0).await;
            }
            peer
        };
        let (ended, _peer) = zip(flamingo_meanwhile(&arguments), server).await;
        assert_eq!(ended.expect_done().stdout.lines().count(), 4);
    });
}

#[test]
fn a_halt_with_a_status_of_minus_1_is_not_confirmed() {
    smol::block_on(async {
        let (listener, options) = listen();
        let arguments = ["halt", "--connect", &options.address];
        let server = async {
            let mut peer = Peer::accept(&listener).await;
            for axis in 1..=4 {
                let mut halted = peer.expect(CommandCode::STAGE_HALT).await;
                halted.status = if axis == 2 { -1 } else { 0 };
                peer.write(&halted).await;
            }
            peer
        };
        let (ended, _peer) = zip(flamingo_meanwhile(&arguments), server).await;
        ended.expect_error(5, &["halt of axis y", "status -1"]);
        assert_eq!(ended.stdout.matches("presumed success").count(), 3, "{ended:?}");
    });
}

#[test]
fn an_axis_that_cannot_be_halted_does_not_stop_the_others() {
    smol::block_on(async {
        let (listener, options) = listen();
        let address = &options.address;
        let arguments = ["halt", "--timeout", "500ms", "--json", "--connect", address];
        let server = async {
            // Nothing is asked before.
            let mut peer = Peer::accept(&listener).await;
            // All four are on the wire before any is answered.
            let mut halts = Vec::new();
            for _ in 0..4 {
                halts.push(peer.expect(CommandCode::STAGE_HALT).await);
            }
            for halt in halts.iter().filter(|halt| halt.selector() != 2) {
                peer.answer(halt, 0.0).await;
            }
            peer
        };
        let (ended, _peer) = zip(flamingo_meanwhile(&arguments), server).await;
        ended.expect_error(4, &["halt of axis y", "sent, but not confirmed"]);
        let axes: Vec<_> = ended.objects().iter().map(|object| object["axis"].clone()).collect();
        assert_eq!(axes, ["x", "z", "r"]);
    });
}
