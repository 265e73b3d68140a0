//! Every fault of the simulated instrument, seen through a raw socket.

use std::io::{Read, Write};
use std::time::Duration;

use flamingo_protocol_core::{
    CommandCode as Code, Frame,
    wire::{FRAME_LEN, START_MARKER},
};
use flamingo_runtime_std::Clock;
use flamingo_runtime_testkit::raw_client::{
    self, PROMPT, RawClient, ReceivedMessage, codes, command, query, simulator,
};
use flamingo_simulator::{FaultKind, FaultRecord, Simulator, TrueClass};

/// A simulator that answers at once, with these faults.
fn faulty(faults: &str) -> (Simulator, RawClient) {
    let simulator = simulator(&format!("{PROMPT}[faults]\n{faults}"));
    let client = RawClient::connect(&simulator);
    (simulator, client)
}

/// Ten positions, one after the other.
fn ten(client: &mut RawClient) -> Vec<ReceivedMessage> {
    (0..10).map(|number| client.ask(&query(1 + number % 4))).collect()
}

fn kinds(simulator: &Simulator) -> Vec<FaultKind> {
    simulator.truth().faults().iter().map(|fault: &FaultRecord| fault.kind).collect()
}

#[test]
fn a_frame_is_split_over_several_writes() {
    let (simulator, mut client) = faulty("split_writes = { every_n = 1 }\nsplit_pause_ms = 150");
    client.send(&query(1));
    let mut buffer = [0; 1024];
    let first = client.socket.read(&mut buffer).unwrap();
    assert!(first < FRAME_LEN, "{first} bytes came at once");
    client.socket.read_exact(&mut buffer[first..FRAME_LEN]).unwrap();
    assert_eq!(Frame::decode(&buffer[..FRAME_LEN]).unwrap().selector(), 1);
    assert_eq!(kinds(&simulator), [FaultKind::SplitWrite]);
}

#[test]
fn junk_comes_between_frames_and_no_frame_is_lost() {
    let (simulator, mut client) = faulty("junk = { every_n = 2 }\njunk_max_bytes = 30");
    let skipped: Vec<_> = ten(&mut client).iter().map(|got| got.skipped as usize).collect();
    let faults = simulator.truth().faults();
    assert_eq!(faults.len(), 5);
    for (number, skipped) in skipped.iter().enumerate() {
        let expected = faults.iter().find(|fault| fault.after == number as u64);
        assert_eq!(*skipped, expected.map_or(0, |fault| fault.noise_bytes), "frame {number}");
        assert!(*skipped <= 30);
    }
}

#[test]
fn a_copy_with_a_broken_marker_comes_before_the_whole_frame() {
    let (simulator, mut client) = faulty("broken_markers = { every_n = 1 }");
    assert!(ten(&mut client).iter().all(|got| got.skipped == 128));
    assert_eq!(kinds(&simulator), [FaultKind::BrokenMarker; 10]);
}

#[test]
fn a_false_marker_stands_in_the_unused_buffer() {
    let (_simulator, mut client) = faulty("false_markers = { every_n = 1 }");
    let marker = START_MARKER.to_le_bytes();
    for got in ten(&mut client) {
        assert!(got.frame.buffer.windows(4).any(|window| window == marker), "{}", got.frame);
        assert_eq!(got.skipped, 0);
    }
    let level = client.ask(&command(Code::LASER_LEVEL_GET).with_selector(1)).frame;
    assert_eq!(level.text(), Ok("5.00"), "text stays as it is");
}

#[test]
fn a_payload_contains_false_markers_and_false_frames() {
    let simulator = simulator(
        "[background]\nframes_per_s = 500\ncodes = [0x4003]\n\
         [faults]\nfalse_markers = { every_n = 1 }",
    );
    let mut client = RawClient::connect(&simulator);
    let marker = START_MARKER.to_le_bytes();
    let mut whole = 0;
    for _ in 0..30 {
        let got = client.next();
        assert_eq!((got.frame.code, got.skipped), (Code::LED_PREVIEW_DISABLE, 0));
        assert!(got.payload.windows(4).any(|window| window == marker));
        whole +=
            usize::from(got.payload.windows(FRAME_LEN).any(|window| Frame::decode(window).is_ok()));
    }
    assert!((1..30).contains(&whole), "{whole} whole frames");
}

#[test]
fn a_late_answer_is_overtaken_and_recorded_as_late() {
    let (simulator, mut client) =
        faulty("late_answers = { every_n = 1, codes = [\"STAGE_POSITION_GET\"] }\nlate_by_ms = 80");
    let clock = Clock::start();
    client.send(&query(1));
    client.send(&command(Code::CAMERA_EXPOSURE_GET));
    assert_eq!(client.next().frame.code, Code::CAMERA_EXPOSURE_GET);
    assert_eq!(client.next().frame.code, Code::STAGE_POSITION_GET);
    assert!(
        Duration::from(clock.now().since(flamingo_protocol_core::time::Instant::default()))
            >= Duration::from_millis(80)
    );
    let late = TrueClass::Answer { request: 1, late: true, duplicate: false };
    assert_eq!(simulator.truth().sent()[1].truth, late);
    assert_eq!(kinds(&simulator), [FaultKind::LateAnswer]);
}

#[test]
fn a_lost_answer_never_comes() {
    let (simulator, mut client) = faulty("lost_answers = { every_n = 2 }");
    for axis in 1..=4 {
        client.send(&query(axis));
    }
    let got: Vec<_> = [client.next(), client.next()].map(|got| got.frame.selector()).into();
    assert_eq!(got, [1, 3]);
    assert!(client.settle().is_empty());
    let lost: Vec<_> = simulator.truth().faults().iter().map(|fault| fault.request).collect();
    assert_eq!(lost, [2, 4]);
}

#[test]
fn a_duplicate_answer_is_sent_twice_and_recorded() {
    let (simulator, mut client) = faulty("duplicate_answers = { every_n = 1, at_most = 1 }");
    client.send(&query(3));
    assert_eq!(client.next().frame, client.next().frame);
    assert!(client.settle().is_empty());
    let truth: Vec<_> = simulator.truth().sent().iter().map(|record| record.truth).collect();
    let answer = |request, duplicate| TrueClass::Answer { request, late: false, duplicate };
    assert_eq!(truth, [answer(1, false), answer(1, true), answer(2, false)]);
}

#[test]
fn a_connection_cut_in_a_frame_does_not_affect_the_next_one() {
    let (simulator, mut client) = faulty("disconnect_mid_frame = { every_n = 3 }");
    client.ask(&query(1));
    client.ask(&query(2));
    client.send(&query(3));
    let mut rest = Vec::new();
    client.socket.read_to_end(&mut rest).unwrap();
    assert!((1..FRAME_LEN).contains(&rest.len()), "{} bytes", rest.len());
    let faults = simulator.truth().faults();
    assert_eq!(faults[0].kind, FaultKind::DisconnectMidFrame);
    assert_eq!(faults[0].noise_bytes, rest.len());
    assert_eq!(simulator.truth().sent().len(), 2, "a part of a frame is no frame");
    assert_eq!(RawClient::connect(&simulator).ask(&query(3)).frame.status, 1);
}

#[test]
fn a_stalled_reader_takes_no_command_but_still_pushes() {
    let simulator = simulator(
        "[stage]\ncontinuous_axes = [\"x\"]\n[faults]\nstalled_reader = { every_n = 1, at_most = 1 }\n\
         stalled_reader_ms = 300",
    );
    let mut client = RawClient::connect(&simulator);
    client.ask(&command(Code::CAMERA_EXPOSURE_GET));
    client.send(&command(Code::SYSTEM_STATE_GET));
    let (pushes, _) = client.until_code(Code::SYSTEM_STATE_GET);
    assert!(pushes.len() >= 8, "{} pushes in 300 ms", pushes.len());
    assert_eq!(kinds(&simulator), [FaultKind::StalledReader]);
}

#[test]
fn a_payload_pauses_in_the_middle() {
    let (simulator, mut client) =
        faulty("stalled_payload = { every_n = 1 }\nstalled_payload_ms = 500");
    client.send(&command(Code::COMMON_SCOPE_SETTINGS_LOAD));
    let mut header = [0; FRAME_LEN];
    client.socket.read_exact(&mut header).unwrap();
    let length = Frame::decode(&header).unwrap().payload_len as usize;
    let mut payload = vec![0; length];
    let half = length / 2;
    client.socket.read_exact(&mut payload[..half]).unwrap();
    client.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = client.socket.read(&mut payload[half..]).unwrap_err();
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    client.socket.set_read_timeout(Some(raw_client::PATIENCE)).unwrap();
    client.socket.read_exact(&mut payload[half..]).unwrap();
    assert!(payload.ends_with(b"</Type>\n"));
    assert_eq!(kinds(&simulator), [FaultKind::StalledPayload]);
}

#[test]
fn a_client_with_too_many_unanswered_commands_is_dropped() {
    let simulator =
        simulator("[latency]\nmin_ms = 50\nmax_ms = 50\n[faults]\ndrop_above_unanswered = 4");
    let mut patient = RawClient::connect(&simulator);
    for axis in 1..=4 {
        patient.send(&query(axis));
    }
    for axis in 1..=4 {
        assert_eq!(patient.next().frame.selector(), axis);
    }
    let mut hasty = RawClient::connect(&simulator);
    let hurry: Vec<_> = [1, 2, 3, 4, 1].iter().flat_map(|axis| query(*axis).encode()).collect();
    hasty.socket.write_all(&hurry).unwrap();
    assert!(hasty.until_end().is_empty());
    let faults = simulator.truth().faults();
    assert_eq!((faults[0].kind, faults[0].request), (FaultKind::PolledTooFast, 5));
    assert_eq!(patient.ask(&query(1)).frame.status, 1);
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let simulator = simulator(
        "[background]\nframes_per_s = 50000\n[server]\nsend_buffer_bytes = 8192\n\
         [faults]\nwrite_timeout_ms = 100",
    );
    let lazy = RawClient::connect(&simulator);
    socket2::SockRef::from(&lazy.socket).set_recv_buffer_size(8192).unwrap();
    // Another client reads on all the time; it sees nothing of this.
    let mut client = RawClient::connect(&simulator);
    let mut number = client.next().frame.int32_data[2];
    while !simulator
        .truth()
        .faults()
        .iter()
        .any(|fault| fault.kind == FaultKind::NotDraining && fault.connection == lazy.address())
    {
        for _ in 0..500 {
            number += 1;
            assert_eq!(client.next().frame.int32_data[2], number);
        }
    }
}

#[test]
fn stale_bytes_come_right_after_connecting() {
    let (simulator, mut client) = faulty("stale_prefix_bytes = 300");
    let stale = [client.next(), client.next()];
    assert_eq!(stale[0].skipped, 300 - 256);
    assert!(stale.iter().all(|got| got.frame.code == Code::STAGE_POSITION_GET));
    assert_eq!(client.ask(&query(1)).skipped, 0);
    let truth: Vec<_> = simulator.truth().sent().iter().map(|record| record.truth).collect();
    assert_eq!(truth[..2], [TrueClass::Unsolicited; 2]);
}

#[test]
fn faults_happen_only_to_the_codes_of_the_scenario() {
    let (_simulator, mut client) =
        faulty("duplicate_answers = { every_n = 1, codes = [\"CAMERA_EXPOSURE_GET\"] }");
    client.send(&query(1));
    client.send(&command(Code::CAMERA_EXPOSURE_GET));
    let got = codes(&client.settle());
    assert_eq!(
        got,
        [Code::STAGE_POSITION_GET, Code::CAMERA_EXPOSURE_GET, Code::CAMERA_EXPOSURE_GET]
    );
}
