//! The order of the sent frames: the window, overtaking, partial writes.

use crate::common::*;
use flamingo_protocol_core::{CommandCode, Config, Frame, Transmit};

#[test]
fn at_most_a_window_of_commands_is_on_the_wire_unanswered() {
    let mut client = Client::new();
    let commands: Vec<_> = (1..=4).map(position).chain((1..=4).map(|axis| go(axis, 1.0))).collect();
    for command in &commands {
        client.ask(command);
    }
    assert_eq!(client.wire, commands[..4]);
    for (at, command) in commands.iter().enumerate() {
        client.hear(&answer(command, 0.0));
        assert_eq!(client.wire.len(), (at + 5).min(8));
    }
    assert_eq!(client.wire, commands);
}

#[test]
fn an_unanswered_command_counts_in_the_window_until_its_grace() {
    let mut client = Client::with(Config::default().with_window(2));
    let size = ask(CommandCode::CAMERA_IMAGE_SIZE_GET);
    for command in [position(1), position(2)] {
        let lost = client.ask(&command);
        client.cancel(lost);
    }
    client.ask(&size);
    assert_eq!(client.wire.len(), 2);
    client.pass(ms(1000));
    assert_eq!(client.wire.last(), Some(&size));
}

#[test]
fn fire_and_forget_and_stops_do_not_count_in_the_window() {
    let mut client = Client::with(Config::default().with_window(1));
    client.ask(&position(1));
    let led = ask(CommandCode::LED_SET);
    client.send(&led);
    client.ask(&halt(1));
    client.ask(&halt(2));
    assert_eq!(client.wire, [position(1), led, halt(1), halt(2)]);
}

#[test]
fn one_request_per_key_is_on_the_wire_until_its_answer() {
    let mut client = Client::new();
    let tickets = [client.ask(&position(1)), client.ask(&position(1))];
    assert_eq!(client.wire.len(), 1);
    assert_eq!(client.hear(&answer(&position(1), 1.0)), solicited(tickets[0]));
    assert_eq!(client.wire.len(), 2);
    assert_eq!(client.hear(&answer(&position(1), 2.0)), solicited(tickets[1]));
}

#[test]
fn a_query_overtakes_waiting_queries_but_never_an_action() {
    let mut client = Client::new();
    client.ask(&go(1, 1.0));
    client.ask(&go(1, 2.0)); // waits for the first move
    client.ask(&position(1)); // must see the second move
    client.ask(&go(2, 1.0)); // an action never overtakes
    let state = ask(CommandCode::SYSTEM_STATE_GET);
    client.ask(&state); // another subsystem may overtake
    assert_eq!(client.wire, [go(1, 1.0), state]);
    client.hear(&answer(&go(1, 1.0), 0.0));
    assert_eq!(client.wire[2..], [go(1, 2.0), position(1), go(2, 1.0)]);

    let mut client = Client::new();
    client.ask(&position(1));
    client.ask(&position(1)); // waits for the first move
    client.ask(&position(2));
    assert_eq!(client.wire, [position(1), position(2)]);
}

#[test]
fn fire_and_forget_commands_keep_their_place_among_the_actions() {
    let mut client = Client::new();
    client.ask(&go(1, 1.0));
    client.ask(&go(1, 2.0));
    let led = ask(CommandCode::LED_SET);
    client.send(&led);
    assert_eq!(client.wire, [go(1, 1.0)]);
    client.hear(&answer(&go(1, 1.0), 0.0));
    assert_eq!(client.wire, [go(1, 1.0), go(1, 2.0), led]);
}

#[test]
fn writes_of_single_bytes_report_each_frame_once() {
    let mut client = Client::new();
    let settings = ask(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(3);
    let commands = [position(1), settings, position(2)];
    let tickets = commands.map(|command| client.queue(&command, ms(3000)).unwrap());
    let (mut out, mut finished) = (Vec::new(), Vec::new());
    while let Some(transmit) = client.core.poll_transmit(client.now) {
        match transmit {
            Transmit::Bytes(bytes) => out.push(bytes[0]),
            Transmit::Payload { ticket, offset, remaining } => {
                assert_eq!((ticket, offset + remaining), (tickets[1], 3));
                out.push(b'a' + offset as u8);
            }
        }
        finished.extend(client.core.transmitted(client.now, 1));
    }
    let parts: Vec<Vec<u8>> = commands.iter().map(|frame| frame.encode().to_vec()).collect();
    assert_eq!(out, [&parts[0][..], &parts[1], b"abc", &parts[2]].concat());
    assert_eq!(finished, tickets);
    assert_eq!(client.counters().frames_sent, 3);
}

#[test]
fn an_answer_may_come_while_its_upload_is_still_going_out() {
    let mut client = Client::new();
    let upload = ask(CommandCode::CAMERA_CHECK_STACK).with_payload_len(1000);
    let ticket = client.queue(&upload, ms(3000)).unwrap();
    client.write_some(128);
    client.write_some(10);
    let refused = answer(&ask(CommandCode::CAMERA_CHECK_STACK), 0.0).encode();
    let (_, output) = client.core.handle_input(client.now, &refused);
    let Some(flamingo_protocol_core::Output::Frame(received)) = output else { panic!() };
    assert_eq!(received.class, solicited(ticket));
    // The payload is still written to its end, so that the stream stays whole.
    let rest = client.core.poll_transmit(client.now);
    assert!(matches!(rest, Some(Transmit::Payload { offset: 10, remaining: 990, .. })));
    assert_eq!(client.core.transmitted(client.now, 990), Some(ticket));
    assert_eq!(client.core.poll_transmit(client.now), None);
}

#[test]
fn a_frame_goes_out_as_it_was_given() {
    let mut client = Client::new();
    let mut odd = Frame::new(CommandCode(0xFFFF_FFFF)).with_selector(-1).with_value(-0.0);
    odd.client_id = 26;
    odd.set_text("as it is").unwrap();
    client.send(&odd);
    assert_eq!(client.wire, [odd]);
}

#[test]
fn commands_answered_at_the_end_do_not_fill_the_window() {
    let mut client = Client::new();
    for axis in 1..=4 {
        client.queue(&ask(CommandCode::STAGE_HOME).with_selector(axis), ms(60_000)).unwrap();
    }
    client.write();
    let query = client.ask(&position(1));
    assert_eq!(client.wire.len(), 5, "all four home, and can be watched");
    assert_eq!(client.hear(&answer(&position(1), 1.0)), solicited(query));
    // They do not fill it after their deadline either.
    client.pass(ms(60_000));
    client.ask(&position(2));
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_POSITION_GET, 2)));
}
