//! The slots of clients, and the reserved slots in which only stops pass.

use flamingo_protocol_core::{CommandCode, Frame, wire::FRAME_LEN};

use super::harness::*;
use crate::router::{ClientId, RouterOptions};
use crate::settings::{Delivery, LimitSettings, Role};

fn with_slots(clients: usize, clients_per_address: usize, stop_slots: usize) -> Harness {
    let limits =
        LimitSettings { clients, clients_per_address, stop_slots, ..LimitSettings::default() };
    Harness::new(RouterOptions { limits, ..options() })
}

fn is_stops_only(harness: &Harness, id: ClientId) -> bool {
    let (status, _) = harness.router.client_status(harness.now);
    status.iter().find(|client| client.id == id).expect("it is connected").stops_only
}

/// Closes the connections that the router wants closed, as the sockets do.
fn close_ended(harness: &mut Harness) {
    let ended: Vec<_> =
        harness.router.clients().filter(|id| harness.router.should_close(*id)).collect();
    for id in ended {
        harness.leave(id);
    }
}

#[test]
fn a_client_above_the_limit_may_only_stop() {
    let mut harness = with_slots(2, 2, 1);
    let clients = [harness.client(), harness.client()];
    let further = harness.client();
    assert_eq!([clients[0], further].map(|id| is_stops_only(&harness, id)), [false, true]);
    harness.ask(further, &Frame::command(CommandCode::SYSTEM_STATE_GET));
    harness.answer_next(0.0);
    assert_eq!(harness.received(further).len(), 1);
    harness.ask(further, &halt(1));
    harness.ask(further, &Frame::command(CommandCode::LASER_DISABLE_ALL));
    assert_eq!(harness.commands.len(), 2);
    harness.answer_next(0.0);
    assert_eq!(harness.received(further), [answer(&halt(1), 0.0)]);
    assert!(!harness.router.should_close(further));
    harness.leave(clients[0]);
    let next = harness.client();
    assert!(!is_stops_only(&harness, next) && next > further, "an id is never used again");
}

#[test]
fn another_command_in_a_reserved_slot_ends_the_client() {
    for command in [position(1), go(1), Frame::command(CommandCode(0xBEEF))] {
        let mut harness = with_slots(1, 1, 1);
        harness.client();
        let further = harness.client();
        // A stop that follows at once still passes, and is answered.
        harness.ask_bytes(further, &[command.encode(), halt(1).encode()].concat());
        assert_eq!(harness.reached(), [(CommandCode::STAGE_HALT, 1)]);
        assert_refused(&harness.received(further), &command, "only stops pass");
        assert!(!harness.router.should_close(further), "its stop is not answered");
        harness.answer_next(0.0);
        assert_eq!(harness.received(further), [answer(&halt(1), 0.0)]);
        assert!(harness.router.should_close(further));
    }
}

#[test]
fn the_oldest_client_without_an_unanswered_stop_makes_room() {
    let mut harness = with_slots(1, 1, 2);
    harness.client();
    let (stopping, idle) = (harness.client(), harness.client());
    harness.ask(stopping, &halt(1));
    let third = harness.client();
    close_ended(&mut harness);
    let left: Vec<_> = harness.router.clients().collect();
    assert!(left.contains(&stopping) && left.contains(&third) && !left.contains(&idle));
    harness.ask(third, &halt(2));
    harness.answer_next(0.0);
    assert_eq!(harness.received(stopping).len(), 1);
    let fourth = harness.client();
    close_ended(&mut harness);
    assert!(!harness.router.clients().any(|id| id == stopping));
    harness.ask(fourth, &halt(3));
    assert_eq!(harness.reached().last(), Some(&(CommandCode::STAGE_HALT, 3)));
}

#[test]
fn a_halt_is_accepted_though_all_others_wait_for_answers() {
    let mut harness = with_slots(1, 1, 2);
    harness.client();
    // The instrument answers none of them.
    let all: Vec<_> = (0..10)
        .map(|_| {
            let id = harness.client();
            harness.ask(id, &halt(1));
            id
        })
        .collect();
    assert_eq!(harness.reached().len(), 10, "each is sent");
    let open = all.iter().filter(|id| !harness.router.should_close(**id)).count();
    assert_eq!(open, 2 + 2, "two in slots, and two that only wait");
    assert!(!harness.router.should_close(all[9]));
}

#[test]
fn a_stop_that_waits_for_the_instrument_keeps_its_slot() {
    let mut harness = with_slots(1, 1, 2);
    harness.client();
    harness.router.upstream_lost(harness.now);
    let (stopping, idle) = (harness.client(), harness.client());
    harness.ask(stopping, &halt(1));
    harness.client();
    assert!(!harness.router.should_close(stopping) && harness.router.should_close(idle));
}

#[test]
fn a_stop_of_a_client_that_makes_room_still_passes() {
    let mut harness = with_slots(1, 1, 1);
    harness.client();
    let first = harness.client();
    harness.client();
    // The stop has come before the sockets close the connection.
    harness.ask(first, &halt(1));
    assert_eq!(harness.reached(), [(CommandCode::STAGE_HALT, 1)]);
    assert!(!harness.router.should_close(first), "it waits for its answer");
    harness.answer_next(0.0);
    assert_eq!(harness.received(first), [answer(&halt(1), 0.0)]);
    assert!(harness.router.should_close(first));
}

#[test]
fn clients_that_make_room_and_do_not_read_are_closed() {
    let mut harness = with_slots(1, 1, 2);
    harness.client();
    for _ in 0..10 {
        let further = harness.client();
        harness.ask(further, &Frame::command(CommandCode::SYSTEM_STATE_GET));
        harness.answer_next(0.0);
        // It does not read its answer.
        close_ended(&mut harness);
        assert!(harness.router.clients().count() <= 1 + 2 + 2);
    }
}

#[test]
fn a_client_in_a_reserved_slot_may_send_little() {
    let mut harness = with_slots(1, 1, 1);
    harness.client();
    let further = harness.client();
    assert_eq!(harness.router.read_allowance(harness.now, further), Ok(20 * FRAME_LEN));
}

#[test]
fn the_clients_of_one_address_are_limited() {
    let mut harness = with_slots(10, 2, 3);
    let mut open = |address: &str| {
        let (role, delivery) = (Role::Control, Delivery::Callback);
        let id = harness.router.client_opened(harness.now, address.into(), role, delivery);
        is_stops_only(&harness, id)
    };
    assert_eq!(["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"].map(&mut open), [false, false, true]);
    assert!(!open("10.0.0.2:1"), "another address has its own slots");
    let network = ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"];
    assert_eq!(network.map(&mut open), [false, false, true], "a network of 64 bits");
    harness.write();
    let lines = harness.log.iter().filter(|line| line.contains("limits.clients_per_address"));
    assert_eq!(lines.count(), 2, "{:?}", harness.log);
}

#[test]
fn a_reserved_slot_is_taken_from_the_address_that_has_most() {
    let mut harness = with_slots(1, 1, 3);
    let open = |harness: &mut Harness, address: &str| {
        let (role, delivery) = (Role::Control, Delivery::Callback);
        harness.router.client_opened(harness.now, address.into(), role, delivery)
    };
    open(&mut harness, "10.0.0.9:1");
    let alone = open(&mut harness, "10.0.0.2:1");
    for port in 1..100 {
        open(&mut harness, &format!("10.0.0.1:{port}"));
        close_ended(&mut harness);
    }
    assert!(harness.router.clients().any(|id| id == alone));
    assert_eq!(harness.router.clients().count(), 4);
}

#[test]
fn half_closed_clients_do_not_count_and_are_limited() {
    let mut harness = with_slots(2, 2, 1);
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let id = harness.client();
        harness.ask(id, &position(1));
        harness.router.client_half_closed(id);
        waiting.push(id);
    }
    let kept: Vec<_> = waiting.iter().filter(|id| !harness.router.should_close(**id)).collect();
    assert_eq!(kept, [&waiting[8], &waiting[9]], "the last two");
    harness.client();
    harness.client();
}

#[test]
fn a_mute_client_in_a_reserved_slot_is_closed_in_time() {
    let mut harness = with_slots(1, 1, 1);
    let talking = harness.client();
    harness.ask(talking, &position(1));
    let mute = harness.client();
    harness.pass(ms(4_999));
    assert!(!harness.router.should_close(mute));
    harness.pass(ms(1));
    assert!(harness.router.should_close(mute));
}

#[test]
fn a_reserved_slot_lets_no_upload_take_room() {
    let limits = LimitSettings { clients: 1, stop_slots: 1, ..LimitSettings::default() };
    let mut harness = Harness::new(RouterOptions { limits, ..options() });
    let (_full, reserved) = (harness.client(), harness.client());
    harness.ask_bytes(reserved, &[&upload(1000).encode()[..], &[5; 999]].concat());
    assert_eq!(harness.router.held_upload_bytes(), 0);
}
