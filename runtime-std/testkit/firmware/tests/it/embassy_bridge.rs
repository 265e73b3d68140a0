//! The bridge on embassy (`protocol-core/examples/embassy-bridge`), in QEMU: the simulated instrument on UART 0,
//! the log on UART 1, a host and a subscriber on the board's Ethernet. The simulator's ground truth decides what
//! is right. The rules that it has in common with the interrupt-driven bridge are tested there, too.

use std::io::Write;
use std::time::Duration;

use crate::emulator::cable::Cable;
use crate::emulator::log::Log;
use crate::emulator::{Emulator, program};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Client, Clock, Options};
use flamingo_runtime_testkit::raw_client::{RawClient, command, move_to, query, simulator};
use flamingo_simulator::{Simulator, TrueClass};

const INSTRUMENT: usize = 0;
const LOG: usize = 1;
/// TCP ports of the board.
const CONTROL: u16 = 53717;
const CALLBACK: u16 = 53720;

const DISCONNECTED: CommandCode = CommandCode::SYSTEM_STATE_DISCONNECTED;

/// The board with an instrument, a subscriber and the reader of the log.
struct Setup {
    instrument: Simulator,
    push: RawClient,
    cable: Option<Cable>,
    log: Log,
    board: Emulator,
}

impl Setup {
    /// `None`: there is no emulator.
    fn new(scenario: &str) -> Option<Self> {
        let program = program("embassy-bridge")?;
        let board = Emulator::paused(&program, "mps2-an386", 2, &[CONTROL, CALLBACK]);
        let log = board.log(LOG);
        let instrument = simulator(scenario);
        let cable = Some(Cable::new(board.plug(INSTRUMENT), instrument.control()));
        board.run();
        log.until_line(|line| line == "info bridge started");
        let push = RawClient::to(board.tcp(CALLBACK));
        let setup = Self { instrument, push, cable, log, board };
        setup.until_connected(CALLBACK);
        Some(setup)
    }

    /// Waits until the board has a peer at a port. Before that, pushes are not for it.
    fn until_connected(&self, port: u16) {
        self.log.until_line(|line| line == format!("info port {port}: a peer is connected"));
    }

    /// Waits until the peer of a port has gone, and the port accepts the next one.
    fn until_gone(&self, port: u16) {
        self.log.until_line(|line| line == format!("info port {port}: the peer has gone"));
    }

    fn client(&self) -> Client {
        let mut options = Options::new(self.board.tcp(CONTROL).to_string());
        // The host may be busy; the timeout is not what is tested.
        options.timeout = Duration::from_secs(20);
        smol::block_on(Client::connect(options)).expect("the board answers")
    }

    fn host(&self) -> RawClient {
        let host = RawClient::to(self.board.tcp(CONTROL));
        self.until_connected(CONTROL);
        host
    }

    /// The frames of such a class that the instrument sent over the cable.
    fn sent(&self, class: impl Fn(&TrueClass) -> bool) -> Vec<Frame> {
        let cable = self.cable.as_ref().expect("it is plugged in").address();
        let sent = self.instrument.truth().sent_to(cable).into_iter();
        sent.filter(|record| class(&record.truth)).map(|record| record.frame).collect()
    }

    /// The answers to queries for positions that the instrument sent.
    fn positions(&self) -> Vec<Frame> {
        let answers = self.sent(|class| matches!(class, TrueClass::Answer { .. })).into_iter();
        answers.filter(|frame| frame.code == CommandCode::STAGE_POSITION_GET).collect()
    }
}

/// A query with a number of its own: the answer echoes int32Data1.
fn numbered_query(axis: i32, number: i32) -> Frame {
    let mut query = query(axis);
    query.int32_data[1] = number;
    query
}

/// Sends these queries, of X and R in turns, and gives the answers. Each must be proven and have its number.
fn ask(client: &Client, numbers: std::ops::Range<i32>) -> Vec<Frame> {
    let ask = |number: i32| {
        let query = numbered_query(if number % 2 == 0 { 1 } else { 4 }, number);
        let answer = smol::block_on(client.request(query)).expect("it is answered");
        assert!(answer.proven);
        assert_eq!(answer.frame.int32_data, query.int32_data);
        answer.frame
    };
    numbers.map(ask).collect()
}

#[test]
fn queries_over_ethernet_get_their_answers_each_push_once() {
    let scenario = "[stage]\ncontinuous_axes = [\"y\", \"z\"]\n";
    let Some(mut setup) = Setup::new(scenario) else { return };
    let before = setup.sent(|class| *class == TrueClass::Unsolicited).len();
    let client = setup.client();
    let mut events = client.subscribe(&[]);
    let answers = ask(&client, 0..1000);
    for axis in [2, 3] {
        smol::block_on(client.halt(axis)).expect("it is answered");
    }
    let mut pushes = Vec::new();
    for _ in [2, 3] {
        let (positions, stopped) = setup.push.until_code(CommandCode::STAGE_MOTION_STOPPED);
        pushes.extend(positions.into_iter().map(|got| got.frame));
        pushes.push(stopped.frame);
    }
    assert_eq!(answers, setup.positions());
    // The first ones were sent before the subscriber was connected.
    let truly = setup.sent(|class| *class == TrueClass::Unsolicited);
    let missed = truly.len() - pushes.len();
    assert!(missed <= before, "{missed} of {} pushes are missing", truly.len());
    assert_eq!(pushes, truly[missed..]);
    println!("{} pushes beside 1000 queries", pushes.len());
    assert!(pushes.len() > 100, "{} pushes", pushes.len());
    assert!(events.try_next().is_none(), "the host gets only answers");
}

#[test]
fn a_halt_over_ethernet_overtakes_the_queued_moves() {
    const SILENT: [CommandCode; 4] = [
        CommandCode::STORAGE_PATH_UNMOUNT,
        CommandCode::STORAGE_PATH_TEST,
        CommandCode::COMMON_SYSTEM_UPDATE_LIVE_VIEW,
        CommandCode::CAMERA_SNAPSHOT_GET,
    ];
    let Some(setup) = Setup::new("never_answered = [0x1014, 0x1015, 0x1017, 0x3006]\n") else {
        return;
    };
    let mut host = setup.host();
    let halt = command(CommandCode::STAGE_HALT).with_selector(1);
    // These fill the window of unanswered commands. The moves wait in the queue, which has no room for three of them.
    let silent = SILENT.map(command).into_iter();
    let moves = [1, 2, 3, 4, 1, 2, 3].map(|axis| move_to(axis, 15.0));
    let bytes: Vec<u8> =
        silent.chain(moves).chain([halt]).flat_map(|frame| frame.encode()).collect();
    host.socket.write_all(&bytes).expect("it is connected");

    let (refused, answer) = host.until_code(CommandCode::STAGE_HALT);
    assert_eq!((answer.frame.status, answer.frame.selector()), (1, 1));
    assert_eq!(refused.len(), 7);
    assert!(refused.iter().all(|got| got.frame.status == 0));
    let received = setup.instrument.truth().received();
    let received: Vec<_> = received.into_iter().map(|command| command.frame.code).collect();
    assert_eq!(received, [&SILENT[..], &[CommandCode::STAGE_HALT]].concat(), "and no move");
}

#[test]
fn a_host_gets_nothing_that_was_meant_for_the_one_before() {
    let Some(setup) = Setup::new("[latency]\nmin_ms = 200\nmax_ms = 200\n") else { return };
    let mut first = setup.host();
    first.send(&numbered_query(1, 1));
    first.socket.write_all(&query(3).encode()[..70]).expect("it is connected");
    // There is room for one host.
    let mut second = RawClient::to(setup.board.tcp(CONTROL));
    assert!(second.try_next().is_none(), "it is refused");
    drop(first);
    setup.until_gone(CONTROL);
    let client = setup.client();
    let answers = ask(&client, 2..6);
    assert_eq!(answers, setup.positions()[1..], "the first one was for the first host");
    setup.log.until_counter("host_broke_off", |count| count == 1);
    smol::block_on(client.close());
    setup.until_gone(CONTROL);

    // The last HALT of a host that leaves at once is sent.
    let mut last = setup.host();
    last.send(&command(CommandCode::STAGE_HALT).with_selector(3));
    drop(last);
    let clock = Clock::start();
    let received = || setup.instrument.truth().received();
    while received().last().map(|last| last.frame.code) != Some(CommandCode::STAGE_HALT) {
        assert!(clock.now().as_micros() < 20_000_000, "the instrument received no HALT");
        smol::block_on(smol::Timer::after(Duration::from_millis(1)));
    }
}

#[test]
fn the_board_reports_a_lost_instrument_and_its_return() {
    let Some(mut setup) = Setup::new("") else { return };
    let client = setup.client();
    ask(&client, 0..4);
    setup.cable = None;
    assert_eq!(setup.push.next().frame, Frame { status: 1, ..Frame::new(DISCONNECTED) });
    setup.log.until_counter("instrument_lost", |count| count == 1);
    let state = command(CommandCode::SYSTEM_STATE_GET);
    let told = smol::block_on(client.request(state)).expect("the bridge answers").frame;
    assert_eq!((told.status, told.selector()), (1, DISCONNECTED.0.cast_signed()));
    let refused = smol::block_on(client.request(move_to(1, 9.0))).expect("the bridge answers");
    assert_eq!((refused.frame.status, refused.frame.text()), (0, Ok("instrument connection lost")));

    setup.cable = Some(Cable::new(setup.board.plug(INSTRUMENT), setup.instrument.control()));
    assert_eq!(setup.push.next().frame.code, CommandCode::SYSTEM_STATE_IDLE);
    ask(&client, 4..12);
}

#[test]
fn an_unplugged_network_loses_no_answer_or_frees_the_port() {
    let Some(mut setup) = Setup::new("") else { return };
    let client = setup.client();
    ask(&client, 0..4);
    // Pulled out and plugged in again: TCP sends again what was lost.
    setup.board.plug_network(false);
    let waiting = smol::spawn({
        let client = client.clone();
        async move { client.request(numbered_query(1, 4)).await }
    });
    setup.push_out_of_reach();
    assert!(!waiting.is_finished(), "the answer came without a cable");
    setup.board.plug_network(true);
    let answer = smol::block_on(waiting).expect("it is answered").frame;
    assert_eq!(answer.int32_data[..2], [1, 4]);
    ask(&client, 5..9);

    // Pulled out for good: after 10 s, the board serves the next host.
    setup.board.plug_network(false);
    setup.until_gone(CONTROL);
    setup.board.plug_network(true);
    drop(client);
    setup.push = RawClient::to(setup.board.tcp(CALLBACK));
    let client = setup.client();
    ask(&client, 9..13);
}

impl Setup {
    /// Lets another client of the instrument move the stage to the end. The subscriber hears nothing of it.
    fn push_out_of_reach(&self) {
        let mut other = RawClient::connect(&self.instrument);
        other.send(&move_to(3, 19.1));
        other.until_code(CommandCode::STAGE_MOTION_STOPPED);
    }
}

#[test]
fn the_log_on_embassy_tells_what_was_dropped_and_why() {
    let Some(setup) = Setup::new("") else { return };
    let mut host = setup.host();
    for number in 0..3 {
        host.ask(&numbered_query(1, number));
    }
    host.socket.write_all(&[0x11; 50]).expect("it is connected");
    host.ask(&numbered_query(1, 3));
    let parts =
        ["info Counters {", "commands: 4", "answers: 4", "host_noise: 50", "host_dropped: 0"];
    setup.log.until_line(|line| parts.iter().all(|part| line.contains(part)));
}
