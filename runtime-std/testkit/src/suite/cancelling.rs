//! What holds for every client, and when calls are given up: no answer goes to the wrong call, and no other call is
//! harmed.

use flamingo_protocol_core::{Class, CommandCode, Frame};
use smol::future;

use super::{Asks, Hears};
use crate::peer::{Peer, position_of, position_push, soon};

#[track_caller]
pub(super) fn is_value<E: std::fmt::Debug>(answer: &Result<Frame, E>, value: f64) {
    let found = answer.as_ref().expect("an answer").value;
    assert!((found - value).abs() < f64::EPSILON, "expected {value}, got {found}");
}

/// Answers queries until there is one for the position of X: the others are fences.
pub(super) async fn query_for_x(peer: &mut Peer) -> Frame {
    loop {
        let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
        if query.selector() == 1 {
            return query;
        }
        peer.answer(&query, 20.0).await;
    }
}

/// The answer arrives after its call was dropped; the next request of that key gets its own.
pub fn a_dropped_call_misplaces_no_answer<C: Asks>() {
    C::run(async {
        let (client, mut peer) = C::connected(|_| {}).await;
        let mut events = client.hear();
        let first = client.given_up(position_of(1), query_for_x(&mut peer)).await;
        client.given_up_has_ended().await;
        let script = async {
            // A fence is asked before X is asked again.
            let fence = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            assert_ne!(fence.selector(), 1);
            peer.answer(&first, 1.0).await;
            peer.answer(&fence, 20.0).await;
            let again = query_for_x(&mut peer).await;
            peer.answer(&again, 2.0).await;
        };
        let (answer, ()) = future::zip(client.request(position_of(1)), script).await;
        is_value(&answer, 2.0);
        let (late, class) = soon("the late answer", events.next_frame()).await;
        assert!((late.value - 1.0).abs() < f64::EPSILON, "{late}");
        let is_late = |class: &Class| matches!(class, Class::Late { proven: true, .. });
        assert!(class.as_ref().is_none_or(is_late), "{class:?}");
    });
}

pub fn a_dropped_call_harms_no_other_one<C: Asks>() {
    C::run(async {
        let (client, mut peer) = C::connected(|_| {}).await;
        let other = client.request(position_of(2));
        let script = async {
            let both = async { [peer.read().await, peer.read().await] };
            let both = client.given_up(position_of(1), both).await;
            for command in both {
                peer.answer(&command, f64::from(command.selector())).await;
            }
        };
        let (y, ()) = future::zip(async { soon("Y", other).await }, script).await;
        is_value(&y, 2.0);
    });
}

/// Calls are dropped after they were sent, one after the other; each late answer comes with the next query.
pub fn many_dropped_calls_misplace_no_answer<C: Asks>() {
    C::run(async {
        let (client, mut peer) = C::connected(|_| {}).await;
        for round in 0..5 {
            let value = f64::from(round);
            let dropped = client.given_up(position_of(1), query_for_x(&mut peer)).await;
            let script = async {
                peer.answer(&dropped, -value - 1.0).await;
                let again = query_for_x(&mut peer).await;
                peer.answer(&again, value).await;
            };
            let (answer, ()) = future::zip(client.request(position_of(1)), script).await;
            is_value(&answer, value);
        }
    });
}

pub fn a_query_is_answered_among_pushes_of_its_code<C: Asks>() {
    C::run(async {
        let (client, mut peer) = C::connected(|_| {}).await;
        let mut events = client.hear();
        let script = async {
            let query = query_for_x(&mut peer).await;
            for n in 0..10 {
                peer.write(&position_push(1, f64::from(n))).await;
            }
            peer.answer(&query, 50.0).await;
            peer.write(&position_push(1, 10.0)).await;
        };
        let (answer, ()) = future::zip(client.request(position_of(1)), script).await;
        is_value(&answer, 50.0);
        for n in 0..11 {
            let (event, class) = soon("the push", events.next_frame()).await;
            assert!((event.value - f64::from(n)).abs() < f64::EPSILON, "{event}");
            let is_push = |class: &Class| matches!(class, Class::Unsolicited { .. });
            assert!(class.as_ref().is_none_or(is_push), "{class:?}");
        }
    });
}

pub fn a_halt_is_answered_while_a_query_waits<C: Asks>() {
    C::run(async {
        let (client, mut peer) = C::connected(|_| {}).await;
        // Of another subsystem: the answer to the HALT says nothing about this query.
        let query = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
        let halt = Frame::command(CommandCode::STAGE_HALT).with_selector(1);
        let script = async {
            let query = peer.expect(CommandCode::CAMERA_IMAGE_SIZE_GET).await;
            let halted = async {
                let halt = peer.expect(CommandCode::STAGE_HALT).await;
                peer.answer(&halt, 7.0).await;
            };
            let (halted, ()) = future::zip(client.request(halt), halted).await;
            is_value(&halted, 7.0);
            peer.answer(&query, 3.0).await;
        };
        let (answer, ()) = future::zip(client.request(query), script).await;
        is_value(&answer, 3.0);
    });
}
