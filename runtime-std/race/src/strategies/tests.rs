//! The behaviour of each strategy, against the simulated instrument and, where the order of frames matters, against a
//! scripted instrument. How a strategy ends is in `tests/ends.rs`.

mod ends;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_protocol_core::{CommandCode, Flags, Frame, time::Instant, wire::FRAME_LEN};
use flamingo_runtime_std::Clock;
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};

use super::Kind;
use crate::strategy::{Environment, Events, Motion, Strategy};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// The timeout of a query whose answer the test never sends.
const SHORT: Duration = Duration::from_millis(200);
/// How long to wait for a frame that must not arrive.
const MOMENT: Duration = Duration::from_millis(30);

type Heard = Receiver<(Instant, Frame)>;

fn environment(control: std::net::SocketAddr, timeout: Duration) -> (Environment, Heard) {
    let (to, heard) = channel();
    let events = Events::new(Clock::start(), to);
    let poll = Duration::from_millis(5);
    (Environment { control, callback: None, timeout, poll, events }, heard)
}

fn next(heard: &Heard) -> Frame {
    heard.recv_timeout(LONG).expect("an event").1
}

/// A strategy and a scripted instrument.
struct Stage {
    strategy: Box<dyn Strategy>,
    instrument: TcpStream,
    heard: Heard,
}

impl Stage {
    fn new(kind: Kind, timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (environment, heard) = environment(listener.local_addr().unwrap(), timeout);
        let strategy = kind.start(&environment).unwrap();
        let (instrument, _) = listener.accept().unwrap();
        instrument.set_read_timeout(Some(LONG)).unwrap();
        Self { strategy, instrument, heard }
    }

    /// Sends a query. The instrument receives it and sends the frames that `says` makes of it.
    fn query(
        &mut self,
        command: &Frame,
        says: impl Fn(Frame) -> Vec<Frame> + Send,
    ) -> Option<Frame> {
        let instrument = &self.instrument;
        let strategy = &mut self.strategy;
        std::thread::scope(|scope| {
            scope.spawn(move || add(instrument, &says(hear(instrument))));
            strategy.query(command)
        })
    }
}

fn hear(mut instrument: &TcpStream) -> Frame {
    let mut bytes = [0; FRAME_LEN];
    instrument.read_exact(&mut bytes).unwrap();
    Frame::decode(&bytes).unwrap()
}

fn add(mut instrument: &TcpStream, frames: &[Frame]) {
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    instrument.write_all(&bytes).unwrap();
}

fn gauge(number: i32) -> Frame {
    Frame::new(CommandCode::UI_SET_GAUGE_VALUE).with_selector(number)
}

fn ask(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

fn push(axis: i32) -> Frame {
    Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(axis).with_value(-1.0)
}

/// The answer to a command.
fn answer(command: Frame) -> Frame {
    Frame { status: 1, ..command }.with_value(f64::from(command.selector()))
}

fn tagged(command: Frame) -> Frame {
    let answer = answer(command);
    Frame { flags: answer.flags.with(Flags::ANSWER_TAG), ..answer }
}

fn stopped(axis: i32) -> Frame {
    Frame { status: 1, ..Frame::new(CommandCode::STAGE_MOTION_STOPPED) }.with_selector(axis)
}

fn motion(axis: i32, target: f64) -> Motion {
    Motion { axis, target, patience: LONG }
}

/// The simulated instrument without background traffic.
fn simulator(kind: Kind) -> Simulator {
    let mut scenario = Scenario::default();
    scenario.pushes.position_hz = 0.0;
    scenario.tokens.tag_answers = kind.tags();
    let options = SimulatorOptions::new(scenario);
    smol::block_on(Simulator::start(options)).unwrap()
}

fn bridge(instrument: &Simulator) -> Bridge {
    let mut settings = BridgeSettings::default();
    settings.upstream.address = instrument.control().to_string();
    settings.listen.control = "127.0.0.1:0".parse().unwrap();
    smol::block_on(async {
        let bridge = Bridge::start(&settings).await.unwrap();
        bridge.until_connected().await;
        bridge
    })
}

/// A strategy that is connected to a simulated instrument, directly or over a bridge, as it needs.
struct Simulated {
    strategy: Box<dyn Strategy>,
    simulator: Simulator,
    bridge: Option<Bridge>,
    /// Keeps the strategy's events open.
    _heard: Heard,
}

impl Simulated {
    fn new(kind: Kind) -> Self {
        let simulator = simulator(kind);
        let bridge = kind.needs_bridge().then(|| bridge(&simulator));
        let control = bridge.as_ref().map_or(simulator.control(), Bridge::control);
        let (mut environment, heard) = environment(control, LONG);
        environment.callback = bridge.as_ref().and_then(Bridge::callback);
        let strategy = kind.start(&environment).unwrap();
        Self { strategy, simulator, bridge, _heard: heard }
    }
}

/// Ends the bridge, if there is one, and the simulator.
fn stop(simulator: Simulator, bridge: Option<Bridge>) {
    smol::block_on(async {
        if let Some(bridge) = bridge {
            bridge.stop().await;
        }
        simulator.stop().await;
    });
}

/// Twenty queries and a move that must all be answered correctly.
fn plays(kind: Kind) {
    const HOMES: [f64; 4] = [7.5, 15.0, 19.0, 0.0];
    let Simulated { mut strategy, simulator, bridge, _heard } = Simulated::new(kind);
    for (axis, home) in (1..).zip(HOMES.iter().cycle()).take(20) {
        let axis = (axis - 1) % 4 + 1;
        let answer = strategy.query(&ask(axis)).expect("an answer");
        let found = (answer.code, answer.selector(), answer.value);
        assert_eq!(found, (CommandCode::STAGE_POSITION_GET, axis, *home), "{}", kind.name());
    }
    let (go, target) = (Frame::command(CommandCode::STAGE_POSITION_SET), 7.53);
    assert!(strategy.query(&go.with_selector(1).with_value(target)).is_some());
    assert!(strategy.wait_for_motion_end(&motion(1, target)), "{}", kind.name());
    // Over another connection: some strategies take the last frame of the motion for their next answer.
    let mut observer = Kind::Raw.start(&environment(simulator.control(), LONG).0).unwrap();
    let position = observer.query(&ask(1)).expect("an answer").value;
    assert!((position - target).abs() <= 0.001, "{}: {position}", kind.name());
    observer.close();
    strategy.close();
    stop(simulator, bridge);
}

#[test]
fn without_pushes_all_but_two_readers_are_right() {
    let all = Kind::ALL.into_iter().chain([Kind::Raw]);
    all.filter(|kind| *kind != Kind::TwoReaders).for_each(plays);
}

#[test]
fn synchronous_takes_a_push_but_no_earlier_frame_for_an_answer() {
    for kind in [Kind::Synchronous, Kind::Polling] {
        let mut stage = Stage::new(kind, LONG);
        let taken = stage.query(&ask(1), |command| vec![gauge(5), answer(command)]);
        assert_eq!(taken, Some(gauge(5)));
        let taken = stage.query(&ask(2), |command| vec![answer(command)]);
        assert_eq!(taken, Some(answer(ask(2))));
    }
}

#[test]
fn polling_queries_until_the_axis_has_arrived() {
    let mut stage = Stage::new(Kind::Polling, LONG);
    let Stage { strategy, instrument, .. } = &mut stage;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for position in [1.0, 1.5, 1.9985, 1.9995] {
                let asked = hear(instrument);
                add(instrument, &[answer(asked).with_value(position)]);
            }
        });
        assert!(strategy.wait_for_motion_end(&motion(3, 2.0)));
    });
}

#[test]
fn with_two_readers_each_frame_goes_to_one_of_them() {
    let mut stage = Stage::new(Kind::TwoReaders, SHORT);
    let mut lost = Vec::new();
    for _ in 0..8 {
        match stage.query(&ask(1), |command| vec![answer(command)]) {
            Some(taken) => assert_eq!(taken, answer(ask(1))),
            None => lost.push(answer(ask(1))),
        }
    }
    let stolen: Vec<Frame> = stage.heard.try_iter().map(|(_, frame)| frame).collect();
    assert_eq!(stolen, lost);
    add(&stage.instrument, &[gauge(1), stopped(2)]);
    assert!(stage.strategy.wait_for_motion_end(&motion(2, 0.0)));
    assert_eq!([next(&stage.heard), next(&stage.heard)], [gauge(1), stopped(2)]);
}

#[test]
fn mutex_delivers_events_of_a_query_after_the_unlock() {
    let mut stage = Stage::new(Kind::Mutex, LONG);
    let Stage { strategy, instrument, heard } = &mut stage;
    let heard = std::sync::Mutex::new(heard);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let command = hear(instrument);
            assert_eq!(command.code, CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP);
            add(instrument, &[gauge(1), gauge(2)]);
            assert!(heard.lock().unwrap().recv_timeout(MOMENT).is_err());
            add(instrument, &[stopped(1), answer(command), gauge(3)]);
        });
        assert!(strategy.wait_for_motion_end(&motion(1, 0.0)));
    });
    let heard = heard.into_inner().unwrap();
    for expected in [gauge(1), gauge(2), stopped(1), gauge(3)] {
        assert_eq!(next(heard), expected);
    }
}

#[test]
fn mutex_delivers_events_between_commands_at_once() {
    let mut stage = Stage::new(Kind::Mutex, LONG);
    for number in 0..50 {
        add(&stage.instrument, &[gauge(number)]);
        assert_eq!(next(&stage.heard), gauge(number));
        let taken = stage.query(&ask(1), |command| vec![push(3), push(1), answer(command)]);
        assert_eq!(taken, Some(push(1)), "it is of the same code and axis");
        assert_eq!(next(&stage.heard), push(3));
        assert_eq!(next(&stage.heard), answer(ask(1)));
    }
}

#[test]
fn the_caller_gets_the_lock_under_continuous_pushes() {
    for kind in [Kind::Mutex, Kind::Pause] {
        let mut stage = Stage::new(kind, LONG);
        let Stage { strategy, instrument, .. } = &mut stage;
        let (asked, command) = channel();
        let instrument = &*instrument;
        std::thread::scope(|scope| {
            scope.spawn(move || (0..20).for_each(|_| asked.send(hear(instrument)).unwrap()));
            scope.spawn(move || {
                let mut answered = 0;
                for number in 0.. {
                    add(instrument, &[gauge(number)]);
                    if let Ok(command) = command.try_recv() {
                        add(instrument, &[answer(command)]);
                        answered += 1;
                    }
                    if answered == 20 {
                        break;
                    }
                }
            });
            for axis in (1..5).cycle().take(20) {
                assert_eq!(strategy.query(&ask(axis)), Some(answer(ask(axis))));
            }
        });
    }
}

#[test]
fn pause_misses_events_during_a_query_only() {
    let mut stage = Stage::new(Kind::Pause, LONG);
    let taken = stage.query(&ask(1), |command| vec![gauge(1), answer(command), gauge(2)]);
    assert_eq!(taken, Some(answer(ask(1))));
    assert_eq!(next(&stage.heard), gauge(2));
    add(&stage.instrument, &[gauge(3)]);
    assert_eq!(next(&stage.heard), gauge(3));
}

#[test]
fn pause_misses_an_end_before_the_acknowledgement() {
    let mut stage = Stage::new(Kind::Pause, LONG);
    let go = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(1);
    assert!(stage.query(&go, |command| vec![stopped(1), answer(command)]).is_some());
    assert!(!stage.strategy.wait_for_motion_end(&Motion { patience: SHORT, ..motion(1, 0.0) }));
}

#[test]
fn an_end_before_the_acknowledgement_counts_an_older_one_not() {
    for kind in [Kind::Tagged, Kind::Sequence, Kind::CodeMatch, Kind::Raw] {
        let mut stage = Stage::new(kind, LONG);
        let go = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(1);
        add(&stage.instrument, &[stopped(1)]);
        assert_eq!(next(&stage.heard), stopped(1));
        // So that the caller has been notified too.
        let asked = stage.query(&ask(1), |command| vec![tagged(command)]);
        assert!(asked.is_some(), "{}", kind.name());
        assert!(stage.query(&go, |command| vec![tagged(command)]).is_some());
        let brief = Motion { patience: MOMENT, ..motion(1, 0.0) };
        assert!(!stage.strategy.wait_for_motion_end(&brief), "{}", kind.name());
        assert!(stage.query(&go, |command| vec![stopped(1), tagged(command)]).is_some());
        assert!(stage.strategy.wait_for_motion_end(&motion(1, 0.0)), "{}", kind.name());
    }
}

#[test]
fn code_match_takes_a_push_of_another_axis_for_the_answer() {
    let mut stage = Stage::new(Kind::CodeMatch, LONG);
    let taken = stage.query(&ask(1), |command| vec![gauge(1), push(3), answer(command)]);
    assert_eq!(taken, Some(push(3)));
    assert_eq!([next(&stage.heard), next(&stage.heard)], [gauge(1), answer(ask(1))]);
}

#[test]
fn sequence_finds_its_answer_and_drops_a_late_one() {
    let mut stage = Stage::new(Kind::Sequence, SHORT);
    assert_eq!(stage.query(&ask(1), |_| vec![push(3)]), None);
    assert_eq!(next(&stage.heard), push(3));
    let taken = stage.query(&ask(2), |command| {
        let late = Frame { client_id: command.client_id - 1, ..answer(ask(1)) };
        vec![push(2), late, answer(command), gauge(4)]
    });
    assert_eq!(taken, Some(Frame { client_id: 2, ..answer(ask(2)) }));
    assert_eq!([next(&stage.heard), next(&stage.heard)], [push(2), gauge(4)]);
}

#[test]
fn tagged_takes_a_late_answer_of_the_same_code() {
    let mut stage = Stage::new(Kind::Tagged, SHORT);
    let other = Frame::command(CommandCode::SYSTEM_STATE_GET);
    assert_eq!(stage.query(&ask(1), |_| vec![push(1)]), None);
    let taken = stage.query(&ask(2), |command| {
        vec![push(2), tagged(other), tagged(ask(1)), tagged(command), gauge(4)]
    });
    assert_eq!(taken, Some(tagged(ask(1))));
    assert_eq!([(); 3].map(|()| next(&stage.heard)), [push(1), push(2), gauge(4)]);
}

#[test]
fn frames_behind_payloads_and_noise_are_found() {
    for kind in [Kind::Raw, Kind::TwoReaders, Kind::Mutex, Kind::Pause] {
        let stage = Stage::new(kind, LONG);
        let with_payload = gauge(1).with_payload_len(6);
        let mut bytes = vec![7; 50];
        bytes.extend(with_payload.encode());
        bytes.extend([0; 6]);
        bytes.extend(gauge(2).encode());
        bytes.extend([0x54; 200]);
        bytes.extend(gauge(3).encode());
        (&stage.instrument).write_all(&bytes).unwrap();
        for expected in [with_payload, gauge(2), gauge(3)] {
            assert_eq!(next(&stage.heard), expected, "{}", kind.name());
        }
    }
}
