//! Requests, dropped futures, stops, uploads and motions in front of a scripted peer.

use std::time::Duration;

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{Class, CommandCode, Frame, connection::OnAmbiguous};
use flamingo_runtime_std::{Client, Error};
use flamingo_runtime_testkit::peer::{
    Peer, answer_to, connected, listen, move_to, next_frame, position_of,
};
use smol::future;

fn value<T>(answer: &Result<flamingo_runtime_std::Answer, T>) -> f64
where
    T: std::fmt::Debug,
{
    answer.as_ref().expect("an answer").frame.value
}

#[test]
fn a_presumed_answer_goes_to_the_subscribers_too() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let mut events = client.subscribe(&[]);
        let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(2);
        let script = async {
            let query = peer.expect(CommandCode::LASER_LEVEL_GET).await;
            peer.answer(&query, 0.0).await;
        };
        let (answer, ()) = future::zip(client.request(level), script).await;
        assert!(!answer.unwrap().proven);
        let event = next_frame(&mut events).await;
        assert!(matches!(event.class, Class::Solicited { proven: false, .. }));
    });
}

#[test]
fn a_held_request_is_sent_after_the_grace_on_an_idle_link() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(2);
        for _ in 0..2 {
            let script = async {
                let query = peer.expect(CommandCode::LASER_LEVEL_GET).await;
                peer.answer(&query, 0.0).await;
            };
            let (answer, ()) = future::zip(client.request(level), script).await;
            assert!(!answer.unwrap().proven);
        }
    });
}

/// Two HALTs of one axis and one echo, which may answer either.
async fn two_halts_one_echo(
    on_ambiguous: OnAmbiguous,
) -> [Result<flamingo_runtime_std::Answer, Error>; 2] {
    let (client, mut peer) = connected(|options| {
        options.protocol.on_ambiguous = on_ambiguous;
        options.timeout = Duration::from_millis(300);
    })
    .await;
    let script = async {
        let first = peer.expect(CommandCode::STAGE_HALT).await;
        peer.expect(CommandCode::STAGE_HALT).await;
        peer.answer(&first, 0.25).await;
    };
    let halts = future::zip(client.halt(1), client.halt(1));
    let ((first, second), ()) = future::zip(halts, script).await;
    [first, second]
}

#[test]
fn an_ambiguous_frame_ends_the_newest_waiting_request() {
    let [_, second] = smol::block_on(two_halts_one_echo(OnAmbiguous::Refuse));
    let Err(Error::Ambiguous { frame: Some(frame), .. }) = second else { panic!("{second:?}") };
    assert!((frame.value - 0.25).abs() < f64::EPSILON);
}

#[test]
fn an_ambiguous_frame_can_be_accepted_as_presumed() {
    let [_, second] = smol::block_on(two_halts_one_echo(OnAmbiguous::Presume));
    assert!(!second.unwrap().proven);
}

#[test]
fn a_bad_command_is_refused_and_nothing_is_sent() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        for bad in [move_to(1, f64::NAN), move_to(9, 1.0), move_to(255, 1.0)] {
            let refused = client.request(bad).await;
            assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
            assert_eq!(refused.unwrap_err().exit_code(), 2);
        }
        let (_, next) = future::zip(client.send(position_of(3)), peer.read()).await;
        assert_eq!(next.code, CommandCode::STAGE_POSITION_GET);
    });
}

#[test]
fn a_payload_that_stalls_ends_with_an_error_of_its_own() {
    smol::block_on(async {
        let quick = Duration::from_millis(200);
        let (client, mut peer) = connected(|options| options.timeout = quick).await;
        let script = async {
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            peer.write(&answer_to(&query, 0.0).with_payload_len(100)).await;
            peer.write_bytes(&[b'x'; 40]).await;
        };
        let query = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
        let (answer, ()) = future::zip(client.request(query), script).await;
        let stalled =
            matches!(answer, Err(Error::PayloadStalled { received: 40, expected: 100, .. }));
        assert!(stalled, "{answer:?}");
    });
}

#[test]
fn an_answer_that_is_no_frame_breaks_the_protocol_and_says_how() {
    smol::block_on(async {
        let quick = Duration::from_millis(200);
        let (client, mut peer) = connected(|options| options.timeout = quick).await;
        let script = async {
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            let four_gib = answer_to(&query, 1.0).with_payload_len(u32::MAX);
            peer.write(&four_gib).await;
        };
        let (answer, ()) = future::zip(client.request(position_of(1)), script).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Broken { noise: 128, .. }), "{error}");
        assert!(error.to_string().contains("additionalDataBytes at offset 48"), "{error}");
        assert_eq!(error.exit_code(), 6);
        // Nothing is lost by it: the next answer is found.
        let script = async {
            for _ in 0..2 {
                let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
                peer.answer(&query, 2.0).await;
            }
        };
        let (answer, ()) = future::zip(client.request(position_of(1)), script).await;
        assert!((value(&answer) - 2.0).abs() < f64::EPSILON);
    });
}

#[test]
fn an_instrument_that_sets_no_status_sets_it_nowhere() {
    smol::block_on(async {
        for (at_connect, expected) in [(1, Status::Failure), (0, Status::Unset)] {
            let (listener, options) = listen();
            let script = async {
                let mut peer = Peer::accept(&listener).await;
                let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
                let mut state = answer_to(&query, 0.0).with_selector(0xA002);
                state.status = at_connect;
                peer.write(&state).await;
                let mut answer = peer.expect(CommandCode::CAMERA_IMAGE_SIZE_GET).await;
                answer.status = 0;
                peer.write(&answer).await;
                peer
            };
            let asks = async {
                let client = Client::connect(options).await.unwrap();
                let size = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
                (client.request(size).await.unwrap(), client)
            };
            let ((answer, client), _peer) = future::zip(asks, script).await;
            assert_eq!(answer.outcome, expected);
            assert_eq!(client.outcome(&answer.frame), expected);
        }
    });
}
