//! Fences: what is owed for an older request ends by proof.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use flamingo_protocol_core::{CommandCode, Event, Frame};

fn upload(len: u32) -> Frame {
    ask(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len)
}

#[test]
fn a_fence_that_could_not_be_written_does_not_make_the_link_unresponsive() {
    let mut client = Client::new();
    let slow = client.ask(&position(1));
    client.cancel(slow);
    client.queue(&upload(1000), ms(60_000)).unwrap();
    client.write_some(10);
    client.queue(&position(1), ms(60_000)).unwrap();
    assert!(client.core.poll_transmit(client.now).is_some());
    client.now = client.now + ms(5000);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.poll_event(), None);
    assert_eq!(client.counters().fences_sent, 0);
}

#[test]
fn the_link_is_responsive_again_with_any_proven_answer_of_that_domain() {
    let mut client = Client::new();
    let lost = client.ask(&go(1, 5.0));
    client.cancel(lost);
    client.ask(&go(1, 6.0));
    client.pass(ms(1000));
    assert!(client.events.contains(&Event::Unresponsive));
    client.events.clear();
    client.hear(&answer(&position(4), 1.0));
    assert!(client.counters().fences_unanswered > 0);
    let camera = client.ask(&ask(CommandCode::CAMERA_IMAGE_SIZE_GET));
    client.hear(&answer(&ask(CommandCode::CAMERA_IMAGE_SIZE_GET), 0.0));
    assert_eq!(client.answers(camera).len(), 1);
    assert!(!client.events.contains(&Event::Responsive), "the camera says nothing about the stage");
    let query = client.ask(&position(4));
    client.hear(&answer(&position(4), 1.0));
    assert_eq!(client.answers(query).len(), 1);
    assert!(client.events.contains(&Event::Responsive));
}

#[test]
fn a_fence_does_not_wait_for_queries_that_are_queued_behind_what_it_frees() {
    let mut client = Client::new();
    let lost = client.ask(&go(1, 5.0));
    client.cancel(lost);
    client.queue(&go(1, 6.0), ms(3000)).unwrap();
    for axis in 1..=4 {
        client.queue(&position(axis), ms(3000)).unwrap();
    }
    client.write();
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_POSITION_GET, 1)));
    client.hear(&answer(&position(1), 1.0));
    assert!(client.wire.iter().any(|frame| *frame == go(1, 6.0)), "no grace had to pass");
}
