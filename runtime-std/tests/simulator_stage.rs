//! The stage of the simulated instrument, seen through a raw socket.

mod raw;

use flamingo_protocol_core::{CommandCode as Code, Flags};
use raw::{Raw, command, move_to, query, simulator};

#[test]
fn every_axis_answers_for_itself_with_the_command_as_it_was_sent() {
    let simulator = simulator("");
    let mut client = Raw::connect(&simulator);
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
fn a_move_is_acknowledged_then_pushes_positions_and_ends_with_motion_stopped() {
    let simulator = simulator("[stage]\nspeed_factor = 4.0");
    let mut client = Raw::connect(&simulator);
    let mut other = Raw::connect(&simulator);
    other.settle();
    let acknowledged = client.ask(&move_to(1, 8.5)).frame;
    assert_eq!((acknowledged.status, acknowledged.selector()), (1, 1));
    let (pushes, stopped) = client.until_code(Code::STAGE_MOTION_STOPPED);
    assert_eq!((stopped.frame.status, stopped.frame.selector()), (1, 1));
    // 250 ms at 40 Hz.
    assert!((5..=10).contains(&pushes.len()), "{} pushes", pushes.len());
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
    let mut client = Raw::connect(&simulator);
    client.ask(&move_to(3, 26.0));
    client.until(|frame| frame.code == Code::STAGE_POSITION_GET);
    client.send(&command(Code::STAGE_HALT).with_selector(3));
    let (_, stopped) = client.until_code(Code::STAGE_MOTION_STOPPED);
    assert_eq!((stopped.frame.status, stopped.frame.selector()), (0, 3));
    assert_eq!(client.until_code(Code::STAGE_HALT).1.frame.status, 1);
    let rest = client.ask(&query(3)).frame.value;
    assert!(rest > 19.0 && rest < 20.0, "{rest}");
    assert!((rest - stopped.frame.value).abs() < 1e-9);
    assert!(client.settle().is_empty(), "nothing is pushed after the stop");
}
