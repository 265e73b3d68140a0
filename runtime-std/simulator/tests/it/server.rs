//! The sockets of the simulated instrument, its traffic and the order of its answers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode as Code, Frame};
use flamingo_runtime_std::Clock;
use flamingo_runtime_testkit::raw_client::{
    self, PROMPT, RawClient, codes, command, query, simulator, two_clients,
};
use flamingo_simulator::{
    FaultKind, Scenario, Simulator, SimulatorError, SimulatorOptions, TrueClass,
};

#[test]
fn three_free_ports_in_a_row_are_found() {
    let simulator = simulator("");
    let port = simulator.control().port();
    assert_eq!([simulator.live().port(), simulator.stack().port()], [port + 1, port + 2]);
}

#[test]
fn a_taken_port_is_named_and_other_ports_can_be_chosen() {
    let first = simulator("");
    let options = SimulatorOptions::default().port(first.control().port());
    let error = smol::block_on(Simulator::start(options)).unwrap_err();
    assert!(error.to_string().contains(&first.control().to_string()), "{error}");
    let highest = SimulatorOptions::default().port(65_535);
    let error = smol::block_on(Simulator::start(highest)).unwrap_err();
    assert!(matches!(error, SimulatorError::Listen(_)));
    let free = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener.local_addr().unwrap().port(), listener)
    };
    let [live, stack] = [free(), free()];
    let ports = [live.0, stack.0];
    drop([live.1, stack.1]);
    let options = SimulatorOptions::default().live_port(ports[0]).stack_port(ports[1]);
    let chosen = smol::block_on(Simulator::start(options)).unwrap();
    assert_eq!([chosen.live().port(), chosen.stack().port()], ports);
}

#[test]
fn a_client_without_a_whole_frame_gives_its_slot_back() {
    let simulator = simulator("[server]\nfirst_frame_ms = 100\ncontrol_clients = 1\n");
    let frame = query(1).encode();
    // Nothing, half a first frame, and half a second one.
    for bytes in [&[][..], &frame[..127], &[&frame[..], &frame[..1]].concat()] {
        // There is room as soon as the server has seen the end of the last client.
        let (answers, ends) = loop {
            let mut client = RawClient::connect(&simulator);
            // It may be closed already.
            let _ = client.socket.write_all(bytes);
            let answers = client.until_end().len();
            let faults = simulator.truth().faults().into_iter();
            let own = faults.filter(|fault| fault.connection == client.address());
            let ends: Vec<_> = own.map(|fault| fault.kind).collect();
            if ends != [FaultKind::Refused] {
                break (answers, ends);
            }
        };
        assert_eq!(answers, bytes.len() / 128);
        assert_eq!(ends, [FaultKind::NotAClient], "{} bytes", bytes.len());
    }
}

#[test]
fn noise_after_the_first_frame_is_skipped_however_long() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    client.settle();
    client.socket.write_all(&vec![0xAA; 100_000]).unwrap();
    assert_eq!(client.ask(&query(1)).frame.status, 1);
}

#[test]
fn a_viewer_that_sends_no_frame_is_closed() {
    let simulator = simulator("");
    for port in [simulator.live(), simulator.stack()] {
        let mut viewer = raw_client::socket(port);
        viewer.write_all(&query(1).encode()).unwrap();
        viewer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let read = viewer.read(&mut [0]);
        assert!(!matches!(read, Ok(1..)), "{read:?}");
        let address = viewer.local_addr().unwrap();
        let faults = simulator.truth().faults();
        assert!(
            faults.iter().any(|fault| {
                fault.kind == FaultKind::NotAClient && fault.connection == address
            })
        );
    }
    assert_eq!(simulator.truth().received(), []);
}

#[test]
fn the_fourth_client_is_closed_until_another_one_leaves() {
    let simulator = simulator("");
    let mut clients: Vec<_> = (0..3).map(|_| RawClient::connect(&simulator)).collect();
    for client in &mut clients {
        client.settle();
    }
    let fourth = RawClient::connect(&simulator);
    assert_eq!((&fourth.socket).read(&mut [0; 1]).unwrap(), 0);
    let refused = simulator.truth().faults();
    assert_eq!((refused[0].kind, refused[0].connection), (FaultKind::Refused, fourth.address()));
    for client in &mut clients {
        client.settle();
    }
    drop(clients.pop());
    // There is room as soon as the server has seen that a client has gone.
    loop {
        let mut next = RawClient::connect(&simulator);
        let sent = next.socket.write_all(&query(1).encode());
        if sent.is_ok() && next.try_next().is_some() {
            break;
        }
    }
}

#[test]
fn stopping_ends_every_connection() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    client.settle();
    let truth = simulator.truth();
    smol::block_on(simulator.stop());
    assert!(client.try_next().is_none());
    assert_eq!(truth.sent().len(), 1, "the truth outlives it");
}

/// Receives background frames and checks their rate.
fn background(rate: u32, frames: usize) {
    let simulator = simulator(&format!("[background]\nframes_per_s = {rate}"));
    let mut client = RawClient::connect(&simulator);
    let clock = Clock::start();
    let first = client.next().frame.int32_data[2];
    let begin = clock.now();
    let mut seen = std::collections::BTreeSet::new();
    for (number, _) in (first + 1..).zip(0..frames) {
        let got = client.next();
        assert_eq!(got.frame.int32_data[2], number, "consecutive numbers");
        assert_eq!(
            got.payload.len(),
            if got.frame.code == Code::LED_PREVIEW_DISABLE { 6 } else { 0 }
        );
        seen.insert(got.frame.code);
    }
    let elapsed = Duration::from(clock.now().since(begin)).as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // small
    let reached = frames as f64 / elapsed;
    // The exact rate is tested on virtual time; here a busy host may be slower.
    assert!(reached > 0.7 * f64::from(rate), "{reached} instead of {rate}");
    if frames > 100 {
        assert_eq!(seen.len(), 5, "a mix: {seen:?}");
    }
}

#[test]
fn background_traffic_flows_at_40_frames_per_second() {
    background(40, 40);
}

#[test]
fn background_traffic_flows_at_4000_frames_per_second() {
    background(4_000, 4_000);
}

#[test]
fn background_traffic_flows_at_10000_frames_per_second() {
    background(10_000, 10_000);
}

#[test]
fn background_codes_can_be_chosen() {
    let simulator =
        simulator("[background]\nframes_per_s = 2000\ncodes = [\"STAGE_POSITION_GET\", 0x9007]");
    let mut client = RawClient::connect(&simulator);
    for _ in 0..50 {
        let code = client.next().frame.code;
        assert!([Code::STAGE_POSITION_GET, Code::UI_IMAGES_SAVED_TO_STORAGE].contains(&code));
    }
}

#[test]
fn answers_keep_their_order_only_within_a_subsystem() {
    let late = "[faults]\nlate_answers = { every_n = 1, codes = [\"STAGE_POSITION_GET\"] }\n\
                late_by_ms = 60";
    let simulator = simulator(&format!("{PROMPT}{late}"));
    let mut client = RawClient::connect(&simulator);
    client.send(&query(2));
    let velocity = command(Code::STAGE_VELOCITY_SET).with_selector(2).with_value(3.0);
    client.send(&velocity);
    client.send(&command(Code::CAMERA_EXPOSURE_GET));
    let got: Vec<_> = (0..3).map(|_| client.next()).collect();
    assert_eq!(
        codes(&got),
        [Code::CAMERA_EXPOSURE_GET, Code::STAGE_POSITION_GET, Code::STAGE_VELOCITY_SET]
    );
}

#[test]
fn latency_is_kept() {
    let simulator = simulator("[latency]\nmin_ms = 30\nmax_ms = 40");
    let mut client = RawClient::connect(&simulator);
    let clock = Clock::start();
    client.ask(&query(1));
    assert!(
        Duration::from(clock.now().since(flamingo_protocol_core::time::Instant::default()))
            >= Duration::from_millis(30)
    );
}

#[test]
fn the_truth_has_every_frame_in_the_order_of_the_wire() {
    let simulator =
        simulator("[background]\nframes_per_s = 500\n[stage]\ncontinuous_axes = [\"x\"]");
    let [mut client, other] = two_clients(&simulator);
    let mut got = Vec::new();
    for axis in [1, 2, 3, 4, 1, 2] {
        client.send(&query(axis));
        got.extend((0..20).map(|_| client.next().frame));
    }
    let truth = simulator.truth();
    let sent = truth.sent_to(client.address());
    // Before, `two_clients` has read something as well.
    let begin = sent.iter().position(|record| record.frame == got[0]).unwrap();
    let wire: Vec<_> = sent[begin..].iter().map(|record| record.frame).take(got.len()).collect();
    assert_eq!(wire, got);
    assert!((1..).zip(&sent).all(|(sequence, record)| record.sequence == sequence));
    let commands = truth.received_from(client.address());
    assert_eq!(commands.len(), 7);
    let mut answered = 0;
    for record in &sent {
        match record.truth {
            TrueClass::Answer { request, late: false, duplicate: false } => {
                answered += 1;
                let asked = commands[usize::try_from(request).unwrap() - 1].frame;
                assert_eq!((asked.code, record.frame.code), (record.frame.code, asked.code));
            }
            TrueClass::Unsolicited => assert_eq!(record.frame.flags.0 & 0x8000_0000, 0),
            other => panic!("{other:?}: nothing is late or sent twice"),
        }
    }
    assert_eq!(answered, 7);
    assert_eq!(truth.received_from(other.address()).len(), 1);
    assert_eq!(truth.dropped(), 0);
}

#[test]
fn the_truth_is_bounded_and_counts_what_it_drops() {
    let simulator = simulator("truth_capacity_frames = 3");
    let mut client = RawClient::connect(&simulator);
    for axis in [1, 2, 3, 4, 1] {
        client.ask(&query(axis));
    }
    let truth = simulator.truth();
    let kept: Vec<_> = truth.sent().iter().map(|record| record.sequence).collect();
    assert_eq!(kept, [3, 4, 5]);
    assert_eq!(truth.dropped(), 4, "two frames and two commands");
}

/// All frames and faults of a run with random faults, without the addresses.
fn run(seed: u64) -> (Vec<(Frame, TrueClass)>, Vec<FaultKind>) {
    let scenario = Scenario::from_toml(
        "[latency]\nmax_ms = 2\njitter_ms = 2\n[faults]\nlate_by_ms = 3\n\
         late_answers = { probability = 0.2 }\nduplicate_answers = { probability = 0.3 }\n\
         junk = { probability = 0.3 }\nbroken_markers = { probability = 0.3 }\n\
         false_markers = { probability = 0.5 }\nsplit_writes = { probability = 0.2 }",
    );
    let options = SimulatorOptions::new(scenario.unwrap()).seed(seed);
    let simulator = smol::block_on(Simulator::start(options)).unwrap();
    let mut client = RawClient::connect(&simulator);
    for number in 0..60 {
        let mut frame = query(1 + number % 4);
        frame.int32_data[2] = number;
        client.send(&frame);
        client.until(|answer| answer.int32_data[2] == number);
    }
    // Waits until the last duplicate is in the ground truth too.
    client.settle();
    let truth = simulator.truth();
    let faults = truth.faults().iter().map(|fault| fault.kind).collect();
    (truth.sent().into_iter().map(|record| (record.frame, record.truth)).collect(), faults)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let first = run(11);
    assert!(first.1.len() > 50, "{} faults", first.1.len());
    assert_eq!(first, run(11));
    assert_ne!(first, run(12));
}

#[test]
fn the_ports_are_free_after_every_stop_even_an_early_one() {
    for _ in 0..100 {
        let simulator = simulator("");
        let ports = [simulator.control(), simulator.live(), simulator.stack()];
        smol::block_on(simulator.stop());
        for port in ports {
            TcpListener::bind(port).expect("the port is free");
        }
    }
}
