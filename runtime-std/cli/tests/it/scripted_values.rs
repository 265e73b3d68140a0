//! `flamingo set` and the switches of lights against a scripted peer: values that the instrument does not
//! take, and an instrument that runs a workflow.

use crate::misbehaving_peer::{against, failure_of};
use crate::program::flamingo_meanwhile;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::peer::{Peer, answer_to, listen};
use smol::future::zip;
use smol::io::AsyncReadExt;

const LIVE: i32 = 0xA004;
const IDLE: i32 = 0xA002;
const RUNNING: i32 = 0xA005;

/// Answers the next command, which has this code, with a number in int32Data0.
async fn answer_number(peer: &mut Peer, code: CommandCode, number: i32) {
    let command = peer.expect(code).await;
    peer.write(&answer_to(&command, 0.0).with_selector(number)).await;
}

/// Sets the exposure to 12 ms at an instrument that has these times in turn, the last one for ever.
async fn exposure_set(micros: &[i32]) -> crate::program::Ended {
    let (listener, options) = listen();
    let server = async {
        let mut peer = Peer::accept_and_shake_hands(&listener).await;
        let mut times = micros.iter().copied();
        let last = micros[micros.len() - 1];
        let mut bytes = [0; 128];
        // Until the program ends. It may send other queries, to tell answers and pushes apart.
        while peer.stream.read_exact(&mut bytes).await.is_ok() {
            let command = Frame::decode(&bytes).unwrap();
            let mut answer = answer_to(&command, 0.001);
            if command.code == CommandCode::CAMERA_EXPOSURE_GET {
                answer = answer.with_selector(times.next().unwrap_or(last));
            }
            peer.write(&answer).await;
        }
    };
    zip(flamingo_meanwhile(&["set", "exposure", "12ms", "--connect", &options.address]), server)
        .await
        .0
}

#[test]
fn a_value_that_the_instrument_changes_is_exit_code_5() {
    let ended = smol::block_on(exposure_set(&[9_000]));
    ended.expect_error(5, &["exposure", "set to 12 ms", "has 9 ms"]);
}

#[test]
fn a_value_that_needs_a_moment_is_confirmed() {
    let ended = smol::block_on(exposure_set(&[9_000, 9_000, 12_000]));
    assert_eq!(ended.expect_done().stdout, "exposure    12 ms, confirmed\n");
}

/// Plays the instrument for `set aoi` during a live view, up to the edges that it then has.
async fn take_region(peer: &mut Peer, edges: (i32, i32)) {
    answer_number(peer, CommandCode::SYSTEM_STATE_GET, LIVE).await;
    for code in [
        CommandCode::CAMERA_LIVE_VIEW_STOP,
        CommandCode::CAMERA_ROI_LEFT_SET,
        CommandCode::CAMERA_ROI_TOP_SET,
    ] {
        let command = peer.expect(code).await;
        peer.answer(&command, 0.0).await;
    }
    answer_number(peer, CommandCode::CAMERA_ROI_LEFT_GET, edges.0).await;
    answer_number(peer, CommandCode::CAMERA_ROI_TOP_GET, edges.1).await;
    answer_number(peer, CommandCode::SYSTEM_STATE_GET, IDLE).await;
}

const SET_REGION: [&str; 5] = ["set", "aoi", "1024x512", "--sensor", "2048x2048"];

#[test]
fn a_live_view_runs_again_after_a_region_that_was_not_taken() {
    smol::block_on(async {
        let ended = against(&SET_REGION, |mut peer| async {
            take_region(&mut peer, (1, 769)).await;
            let start = peer.expect(CommandCode::CAMERA_LIVE_VIEW_START).await;
            peer.answer(&start, 0.0).await;
            peer
        });
        let wanted = "set to left edge 513, top edge 769";
        ended.await.expect_error(5, &[wanted, "has left edge 1, top edge 769"]);
    });
}

#[test]
fn a_live_view_that_does_not_run_again_is_reported() {
    smol::block_on(async {
        for (edges, words) in [((513, 769), "the region is set, but"), ((1, 769), "left edge 1")] {
            let ended = against(&SET_REGION, |mut peer| async move {
                take_region(&mut peer, edges).await;
                let start = peer.expect(CommandCode::CAMERA_LIVE_VIEW_START).await;
                let mut refusal = failure_of(&start);
                refusal.set_text("camera error").unwrap();
                peer.write(&refusal).await;
                peer
            });
            ended.await.expect_error(5, &[words, "does not run again", "camera error"]);
        }
    });
}

#[test]
fn a_light_whose_command_may_be_lost_is_no_success() {
    smol::block_on(async {
        for (arguments, code, light) in [
            (&["laser", "2", "on"][..], CommandCode::LASER_ENABLE, "laser 2"),
            (&["laser", "2", "preview"], CommandCode::LASER_ENABLE_PREVIEW, "laser 2"),
            (&["led", "on"], CommandCode::LED_PREVIEW_ENABLE, "led"),
            (&["led", "off"], CommandCode::LED_PREVIEW_DISABLE, "led"),
            (&["set", "led", "red", "50%"], CommandCode::LED_SET, "led red"),
            (
                &["illumination", "left", "on"],
                CommandCode::ILLUMINATION_LEFT_ENABLE,
                "illumination",
            ),
        ] {
            let arguments = [arguments, &["--timeout", "300ms"]].concat();
            let ended = against(&arguments, |mut peer| async move {
                peer.expect(code).await;
                peer.expect(CommandCode::SYSTEM_STATE_GET).await;
                peer
            });
            ended.await.expect_error(4, &[light, "sent, but", "the light may be on"]);
        }
    });
}

#[test]
fn nothing_lights_up_or_moves_while_a_workflow_runs() {
    smol::block_on(async {
        for arguments in [
            &["set", "exposure", "12ms"][..],
            &["set", "laser", "1", "5%"],
            &["set", "led", "white", "50%"],
            &["set", "filter", "2"],
            &["set", "aoi", "512x512"],
            &["laser", "1", "on"],
            &["laser", "1", "preview"],
            &["led", "on"],
            &["illumination", "left", "on"],
            &["home", "x"],
            &["velocity", "x", "0.5"],
        ] {
            let (listener, options) = listen();
            let arguments = [arguments, &["--connect", &options.address]].concat();
            let server = async {
                let mut peer = Peer::accept(&listener).await;
                answer_number(&mut peer, CommandCode::SYSTEM_STATE_GET, RUNNING).await;
                let mut rest = Vec::new();
                peer.stream.read_to_end(&mut rest).await.unwrap();
                assert!(rest.is_empty(), "{arguments:?} sent something");
            };
            let (ended, ()) = zip(flamingo_meanwhile(&arguments), server).await;
            let name = if arguments[0] == "set" { arguments[1] } else { arguments[0] };
            ended.expect_error(2, &[name, "WORK_FLOW_RUNNING", "nothing was sent"]);
        }
    });
}
