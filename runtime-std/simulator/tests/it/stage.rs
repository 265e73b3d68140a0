//! The stage of the simulated instrument, seen through a raw socket.

use flamingo_protocol_core::{CommandCode as Code, Flags};
use flamingo_runtime_testkit::raw_client::{
    PROMPT, RawClient, codes, command, move_to, query, simulator, two_clients,
};

#[test]
fn every_axis_answers_with_an_echo_of_its_command() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    for (axis, home) in [(1, 7.5), (2, 15.0), (3, 19.0), (4, 0.0)] {
        let mut frame = query(axis);
        frame.client_id = 40 + axis;
        frame.int32_data[1] = 7;
        frame.int32_data[2] = 8;
        let answer = client.ask(&frame).frame;
        frame.status = 1;
        frame.value = home;
        assert_eq!(answer, frame);
    }
}

#[test]
fn a_move_is_acknowledged_pushes_positions_and_ends() {
    let simulator = simulator("[stage]\nspeed_factor = 4.0");
    let mut client = RawClient::connect(&simulator);
    let mut other = RawClient::connect(&simulator);
    other.settle();
    client.send(&move_to(1, 8.5));
    let (mut pushes, stopped) = client.until_code(Code::STAGE_MOTION_STOPPED);
    let at = pushes.iter().position(|got| got.frame.code == Code::STAGE_POSITION_SET);
    let acknowledged = pushes.remove(at.expect("acknowledged before its end")).frame;
    assert_eq!((acknowledged.status, acknowledged.selector()), (1, 1));
    assert_eq!((stopped.frame.status, stopped.frame.selector()), (1, 1));
    // 250 ms at 40 Hz.
    assert!((9..=10).contains(&pushes.len()), "{} pushes", pushes.len());
    let mut last = 7.5;
    for push in &pushes {
        let frame = push.frame;
        assert_eq!((frame.code, frame.selector()), (Code::STAGE_POSITION_GET, 1));
        assert!(frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER));
        assert_eq!(frame.text(), Ok(&*format!("1={:.6}\n2=15.000000\n3=19.000000\n", frame.value)));
        assert!(frame.value > last && frame.value <= 8.5, "{} after {last}", frame.value);
        last = frame.value;
    }
    assert!((client.ask(&query(1)).frame.value - 8.5).abs() < 1e-9);
    let (seen, _) = other.until_code(Code::STAGE_MOTION_STOPPED);
    assert!(seen.iter().any(|got| got.frame.code == Code::STAGE_POSITION_SET));
    assert!(seen.len() > pushes.len(), "others see the move and its pushes");
}

#[test]
fn halt_stops_an_axis_where_it_is() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    client.ask(&move_to(3, 26.0));
    client.until(|frame| frame.code == Code::STAGE_POSITION_GET);
    client.send(&command(Code::STAGE_HALT).with_selector(3));
    let (_, stopped) = client.until_code(Code::STAGE_MOTION_STOPPED);
    assert_eq!((stopped.frame.status, stopped.frame.selector()), (0, 3));
    assert_eq!(client.until_code(Code::STAGE_HALT).1.frame.status, 1);
    let rest = client.ask(&query(3)).frame.value;
    assert!(rest > 19.0 && rest < 26.0, "{rest}");
    assert!((rest - stopped.frame.value).abs() < 1e-9);
    assert!(client.settle().is_empty(), "nothing is pushed after the stop");
}

#[test]
fn impossible_targets_and_unknown_axes_are_refused() {
    let simulator = simulator(PROMPT);
    let mut client = RawClient::connect(&simulator);
    for (axis, target) in [(1, 12.4), (2, 4.9), (3, f64::NAN), (4, 720.5), (5, 1.0), (0, 1.0)] {
        assert_eq!(client.ask(&move_to(axis, target)).frame.status, 0, "{axis} {target}");
    }
    let velocity = command(Code::STAGE_VELOCITY_SET).with_selector(1);
    assert_eq!(client.ask(&velocity.with_value(-1.0)).frame.status, 0);
    assert_eq!(client.ask(&command(Code::STAGE_HALT).with_selector(9)).frame.status, 0);
    assert!(client.settle().is_empty());
}

#[test]
fn the_next_move_has_the_velocity_that_was_set() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    let velocity = command(Code::STAGE_VELOCITY_SET).with_selector(2).with_value(100.0);
    assert_eq!(client.ask(&velocity).frame.status, 1);
    client.ask(&move_to(2, 24.0));
    // 9 mm took 9 s before.
    let (pushes, stopped) = client.until_code(Code::STAGE_MOTION_STOPPED);
    assert!(pushes.len() <= 4, "{}", pushes.len());
    assert!((stopped.frame.value - 24.0).abs() < 1e-9);
}

#[test]
fn a_short_move_can_end_before_it_is_acknowledged() {
    let simulator = simulator("[latency]\nmove_ack_ms = 120\n[stage]\nspeed_factor = 20");
    let mut client = RawClient::connect(&simulator);
    client.send(&move_to(3, 19.25));
    let (before, acknowledged) = client.until_code(Code::STAGE_POSITION_SET);
    assert_eq!(acknowledged.frame.status, 1);
    assert_eq!(codes(&before), [Code::STAGE_MOTION_STOPPED]);
}

#[test]
fn a_wait_for_a_motion_is_answered_at_its_end() {
    let simulator = simulator("[stage]\nspeed_factor = 5");
    let mut client = RawClient::connect(&simulator);
    let wait = command(Code::STAGE_WAIT_FOR_MOTION_TO_STOP).with_selector(1);
    assert_eq!(client.ask(&wait).frame.status, 1, "nothing moves: at once");
    client.ask(&move_to(1, 8.5));
    client.send(&wait);
    client.send(&command(Code::STAGE_MOTION_STOPPED).with_selector(1));
    let (_, moving) = client.until_code(Code::STAGE_MOTION_STOPPED);
    assert_eq!(moving.frame.status, 0, "asked, it says that the axis moves");
    let (before, _) = client.until_code(Code::STAGE_WAIT_FOR_MOTION_TO_STOP);
    assert_eq!(codes(&before).last(), Some(&Code::STAGE_MOTION_STOPPED));
    let asked = client.ask(&command(Code::STAGE_MOTION_STOPPED).with_selector(1)).frame;
    assert_eq!(asked.status, 1);
}

#[test]
fn home_and_find_reference_are_motions_that_end_at_home() {
    let simulator =
        simulator("[stage]\nspeed_factor = 20\nhome_answers_at_end = true\n[stage.x]\nhome_mm = 6");
    let mut client = RawClient::connect(&simulator);
    client.ask(&move_to(1, 9.0));
    client.until_code(Code::STAGE_MOTION_STOPPED);
    client.send(&command(Code::STAGE_HOME).with_selector(1));
    let (before, _) = client.until_code(Code::STAGE_HOME);
    assert_eq!(codes(&before).last(), Some(&Code::STAGE_MOTION_STOPPED));
    assert!((client.ask(&query(1)).frame.value - 6.0).abs() < 1e-9);
    client.send(&command(Code::STAGE_FIND_REFERENCE).with_selector(1));
    let (before, _) = client.until_code(Code::STAGE_FIND_REFERENCE);
    assert!(before.len() > 5, "the search takes its time: {} pushes", before.len());
}

#[test]
fn a_client_can_decline_position_updates() {
    let simulator = simulator("[stage]\nspeed_factor = 5");
    let [mut quiet, mut other] = two_clients(&simulator);
    let mut frame = move_to(1, 8.5);
    frame.flags = frame.flags.with(Flags::STAGE_NOT_UPDATE_CLIENT);
    quiet.ask(&frame);
    let (pushes, _) = quiet.until_code(Code::STAGE_MOTION_STOPPED);
    assert!(pushes.is_empty());
    let (seen, _) = other.until_code(Code::STAGE_MOTION_STOPPED);
    assert!(codes(&seen).contains(&Code::STAGE_POSITION_GET));
}

#[test]
fn unflagged_pushes_look_like_the_answers_of_a_query() {
    let simulator = simulator(
        "[pushes]\nflagged = false\nposition_text = false\ncallback_flag = true\n\
         [stage]\ncontinuous_axes = [\"z\"]",
    );
    let mut client = RawClient::connect(&simulator);
    let push = client.next().frame;
    let answer = client.ask(&query(3)).frame;
    let as_answer = flamingo_protocol_core::Frame { value: push.value, ..answer };
    assert_eq!(push, as_answer);
}

#[test]
fn continuous_axes_push_40_times_a_second_until_halted() {
    let simulator = simulator("[stage]\ncontinuous_axes = [\"x\", \"y\", \"z\", \"r\"]");
    let mut client = RawClient::connect(&simulator);
    client.settle();
    let pushes: Vec<_> = (0..80).map(|_| client.next().frame).collect();
    for axis in 1..=4 {
        let values: Vec<_> =
            pushes.iter().filter(|push| push.selector() == axis).map(|push| push.value).collect();
        assert_eq!(values.len(), 20, "axis {axis}");
        assert!(values.windows(2).all(|pair| pair[0].to_bits() != pair[1].to_bits()));
    }
    client.send(&command(Code::STAGE_HALT).with_selector(255));
    let (before, _) = client.until_code(Code::STAGE_HALT);
    let stopped = codes(&before).iter().filter(|code| **code == Code::STAGE_MOTION_STOPPED).count();
    assert_eq!(stopped, 4);
    assert!(client.settle().is_empty());
}
