//! The bridge in firmware (`protocol-core/examples/mcu-bridge`), in QEMU: the simulated instrument on UART 0, a
//! host on UART 1, a subscriber on UART 2, the log on UART 3. The simulator's ground truth decides what is right.

use std::io::Write;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::emulator::cable::Cable;
use crate::emulator::log::Log;
use crate::emulator::{Emulator, program};
use flamingo_protocol_core::{CommandCode, Frame, connection::TokenField, wire::START_MARKER};
use flamingo_runtime_std::{Client, Clock, Error, Options};
use flamingo_runtime_testkit::raw_client::{RawClient, command, move_to, query, simulator};
use flamingo_simulator::{Simulator, TrueClass};
use smol::lock::{Semaphore, SemaphoreGuard};

const INSTRUMENT: usize = 0;
const HOST: usize = 1;
const PUSH: usize = 2;
const LOG: usize = 3;

/// Two bridges at a time. If more of them share a slow host, one may give up a request, since its clock goes on.
static PLACES: Semaphore = Semaphore::new(2);

/// The board with everything plugged in but the host.
struct Setup {
    instrument: Simulator,
    push: RawClient,
    cable: Option<Cable>,
    log: Option<Log>,
    board: Emulator,
    _place: SemaphoreGuard<'static>,
}

impl Setup {
    /// `None`: there is no emulator.
    fn new(scenario: &str) -> Option<Self> {
        let program = program("mcu-bridge")?;
        let place = smol::block_on(PLACES.acquire());
        let board = Emulator::paused(&program, "mps2-an386", 4, &[]);
        let instrument = simulator(scenario);
        let push = RawClient::over(board.plug(PUSH));
        let log = board.log(LOG);
        board.run();
        log.until_line(|line| line == "info bridge started");
        let log = Some(log);
        let mut setup = Self { instrument, push, cable: None, log, board, _place: place };
        setup.plug_instrument();
        Some(setup)
    }

    fn plug_instrument(&mut self) {
        self.cable = Some(Cable::new(self.board.plug(INSTRUMENT), self.instrument.control()));
    }

    fn client(&self) -> Client {
        self.client_with(None)
    }

    fn client_with(&self, tokens: Option<TokenField>) -> Client {
        let mut options = Options::new(self.board.uart(HOST).to_string());
        // The host may be busy; the timeout is not what is tested.
        options.timeout = Duration::from_secs(20);
        options.protocol.tokens = tokens;
        smol::block_on(Client::connect(options)).expect("the board answers")
    }

    /// A host that uses a raw socket instead of our client.
    fn host(&self) -> RawClient {
        RawClient::over(self.board.plug(HOST))
    }

    fn until_counter(&self, name: &str, holds: impl Fn(u32) -> bool) {
        self.log.as_ref().expect("the log is read").until_counter(name, holds);
    }

    /// Waits until the instrument has received a command so many times.
    fn until_received(&self, code: CommandCode, times: usize) {
        let clock = Clock::start();
        let received = || self.instrument.truth().received();
        while received().iter().filter(|command| command.frame.code == code).count() < times {
            assert!(clock.now().as_micros() < 20_000_000, "the instrument received no {code}");
            smol::block_on(smol::Timer::after(Duration::from_millis(1)));
        }
    }

    /// The frames of such a class that the instrument sent over the cable.
    fn sent(&self, class: impl Fn(&TrueClass) -> bool) -> Vec<Frame> {
        let cable = self.cable.as_ref().expect("it is plugged in").address();
        let sent = self.instrument.truth().sent_to(cable).into_iter();
        sent.filter(|record| class(&record.truth)).map(|record| record.frame).collect()
    }
}

/// A query for a position with a number of its own: the answer echoes int32Data1.
fn numbered_query(axis: i32, number: i32) -> Frame {
    let mut query = query(axis);
    query.int32_data[1] = number;
    query
}

/// Sends these queries and checks that each gets its own answer.
fn assert_answered(client: &Client, numbers: std::ops::Range<i32>) {
    for number in numbers {
        let query = numbered_query(1 + number % 4, number);
        let answer = smol::block_on(client.request(query)).expect("it is answered");
        assert!(answer.proven);
        assert_eq!(answer.frame.int32_data[..2], query.int32_data[..2]);
    }
}

/// 3 KiB that contain a start marker and the bytes of a whole frame.
fn settings() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..3072_u32).map(|at| at.wrapping_mul(31).to_le_bytes()[0]).collect();
    bytes[700..704].copy_from_slice(&START_MARKER.to_le_bytes());
    bytes[1500..1628].copy_from_slice(&move_to(1, 5.0).encode());
    bytes
}

const SAVE: CommandCode = CommandCode::COMMON_SCOPE_SETTINGS_SAVE;
const LOAD: CommandCode = CommandCode::COMMON_SCOPE_SETTINGS_LOAD;

#[test]
fn a_thousand_queries_get_their_answers_each_push_comes_once() {
    // On two boards side by side: QEMU takes about 16 ms of one processor for a query.
    std::thread::scope(|scope| {
        for (seed, numbers) in [(3, 1..=500), (4, 501..=1000)] {
            scope.spawn(move || queries_get_their_answers_each_push_comes_once(seed, numbers));
        }
    });
}

fn queries_get_their_answers_each_push_comes_once(seed: u8, numbers: RangeInclusive<i32>) {
    let scenario = format!("seed = {seed}\n[stage]\ncontinuous_axes = [\"y\"]\n");
    let Some(mut setup) = Setup::new(&scenario) else { return };
    let client = setup.client();
    let mut events = client.subscribe(&[]);
    let mut answers = Vec::new();
    for number in numbers {
        let query = numbered_query([1, 3, 4][number.unsigned_abs() as usize % 3], number);
        let answer = smol::block_on(client.request(query)).expect("it is answered");
        assert!(answer.proven);
        assert_eq!(answer.frame.int32_data, query.int32_data);
        answers.push(answer.frame);
    }
    smol::block_on(client.halt(2)).expect("it is answered");
    let (mut pushes, last) = setup.push.until_code(CommandCode::STAGE_MOTION_STOPPED);
    pushes.push(last);
    let pushes: Vec<_> = pushes.into_iter().map(|got| got.frame).collect();
    let truly = setup.sent(|truth| matches!(truth, TrueClass::Answer { .. }));
    let asked = |frame: &Frame| frame.code == CommandCode::STAGE_POSITION_GET;
    assert_eq!(answers, truly.into_iter().filter(asked).collect::<Vec<_>>());
    assert_eq!(pushes, setup.sent(|truth| *truth == TrueClass::Unsolicited));
    assert!(pushes.len() > 20, "{} pushes", pushes.len());
    assert!(events.try_next().is_none(), "the host gets only answers");
}

#[test]
fn long_payloads_pass_and_too_long_uploads_are_refused() {
    let Some(setup) = Setup::new("") else { return };
    let settings = settings();
    let mut other = RawClient::connect(&setup.instrument);
    other.upload(&command(SAVE), &settings);
    assert_eq!(other.until_code(SAVE).1.frame.status, 1);

    let client = setup.client();
    let answer = smol::block_on(client.request(command(LOAD))).expect("it is answered");
    assert_eq!((&answer.payload[..], answer.frame.status), (&settings[..], 1));

    let patience = Duration::from_secs(20);
    let upload = |bytes: Vec<u8>| {
        smol::block_on(client.upload(command(SAVE), bytes, patience)).expect("it is answered").frame
    };
    let refused = upload(vec![0x54; 4097]);
    assert_eq!(refused.status, 0);
    assert_eq!(refused.text(), Ok("upload refused: larger than the bridge may hold"));
    let longest: Vec<u8> = settings.iter().cycle().take(4096).copied().collect();
    assert_eq!(upload(longest.clone()).status, 1);
    let answer = smol::block_on(client.request(command(LOAD))).expect("it is answered");
    assert_eq!(answer.payload[..], longest[..]);
    assert_answered(&client, 0..8);
}

#[test]
fn the_bridge_recovers_when_the_instrument_is_unplugged() {
    let Some(mut setup) = Setup::new("") else { return };
    let settings = settings();
    let mut other = RawClient::connect(&setup.instrument);
    other.upload(&command(SAVE), &settings);
    other.until_code(SAVE);
    let client = setup.client();
    assert_answered(&client, 0..4);

    // In a payload: the rest of it is filled with 0xFF, a byte that no text contains.
    let load = smol::spawn({
        let client = client.clone();
        async move { client.request(command(LOAD)).await }
    });
    setup.cable.take().expect("it is plugged in").cut_after(128 + 1000);
    let payload = smol::block_on(load).expect("its header has arrived").payload;
    assert_eq!((&payload[..1000], payload.len()), (&settings[..1000], settings.len()));
    assert!(payload[1000..].iter().all(|byte| *byte == 0xFF));

    // Without an instrument there is no answer, and no answer to another query.
    let unanswered =
        smol::block_on(client.request_within(numbered_query(1, 4), Duration::from_secs(1)));
    assert!(matches!(unanswered, Err(Error::TimedOut { .. })), "{unanswered:?}");
    setup.plug_instrument();
    assert_answered(&client, 5..9);

    // In a frame.
    let ask = smol::spawn({
        let client = client.clone();
        async move { client.request_within(numbered_query(1, 9), Duration::from_secs(1)).await }
    });
    setup.cable.take().expect("it is plugged in").cut_after(60);
    let unanswered = smol::block_on(ask);
    assert!(matches!(unanswered, Err(Error::TimedOut { .. })), "{unanswered:?}");
    setup.plug_instrument();
    assert_answered(&client, 10..14);
    let other = other.address();
    let truly = setup
        .instrument
        .truth()
        .sent()
        .into_iter()
        .filter(|record| record.truth == TrueClass::Unsolicited && record.connection != other);
    let pushed: Vec<_> = setup.push.waiting().into_iter().map(|got| got.frame).collect();
    assert_eq!(pushed, truly.map(|record| record.frame).collect::<Vec<_>>());
}

#[test]
fn the_next_host_gets_its_own_answers_after_an_unplugged_one() {
    let Some(setup) = Setup::new("[latency]\nmin_ms = 200\nmax_ms = 200\n") else { return };
    // In a frame: the bridge finds the next frame after the rest of this one.
    let mut host = setup.host();
    host.socket.write_all(&query(1).encode()[..70]).expect("it is plugged in");
    drop(host);
    setup.board.until_unplugged(HOST);
    let client = setup.client();
    assert_answered(&client, 0..2);
    smol::block_on(client.close());
    setup.board.until_unplugged(HOST);

    // In an upload: the bridge gives it up when the line has been silent for a while.
    let mut host = setup.host();
    host.socket
        .write_all(&command(SAVE).with_payload_len(2000).encode())
        .expect("it is plugged in");
    host.socket.write_all(&[1; 500]).expect("it is plugged in");
    setup.until_counter("host_broke_off", |count| count == 1);
    let refused = host.next().frame;
    assert_eq!((refused.code, refused.status), (SAVE, 0));
    drop(host);
    setup.board.until_unplugged(HOST);

    // With a pending query: its answer must not go to the next host, which sends the same query.
    let mut host = setup.host();
    host.send(&numbered_query(3, 1));
    setup.until_received(CommandCode::STAGE_POSITION_GET, 3);
    drop(host);
    setup.board.until_unplugged(HOST);
    let client = setup.client_with(Some(TokenField::Int32Data2));
    assert_answered(&client, 2..6);
}

#[test]
fn without_a_subscriber_answers_go_on_and_pushes_come_again() {
    let Some(mut setup) = Setup::new("[stage]\ncontinuous_axes = [\"y\"]\n") else { return };
    let client = setup.client();
    setup.push.next();
    setup.push.socket.shutdown(std::net::Shutdown::Both).expect("it is plugged in");
    setup.board.until_unplugged(PUSH);
    assert_answered(&client, 0..20);
    setup.push = RawClient::over(setup.board.plug(PUSH));
    let got: Vec<_> = (0..20).map(|_| setup.push.next()).collect();
    assert!(got[1..].iter().all(|got| got.skipped == 0), "only the first push may be cut");
    let truly = setup.sent(|truth| *truth == TrueClass::Unsolicited);
    let got: Vec<_> = got.into_iter().map(|got| got.frame).collect();
    assert!(truly.windows(20).any(|some| some == got), "in order, each once, none lost");
}

#[test]
fn garbage_on_any_uart_is_counted_and_the_next_frame_found() {
    let Some(mut setup) = Setup::new("") else { return };
    // It contains the beginning of a frame.
    let garbage = [&[0x11; 50][..], &query(2).encode()[..27]].concat();
    let count = u32::try_from(garbage.len()).expect("it is short");
    let mut host = setup.host();
    host.socket.write_all(&garbage).expect("it is plugged in");
    host.send(&numbered_query(1, 1));
    assert_eq!(host.next().frame.int32_data[..2], [1, 1]);
    setup.until_counter("host_noise", |noise| noise == count);

    setup.cable.as_ref().expect("it is plugged in").noise(&garbage);
    host.send(&numbered_query(2, 2));
    assert_eq!(host.next().frame.int32_data[..2], [2, 2]);
    setup.until_counter("instrument_noise", |noise| noise == count);

    setup.push.socket.write_all(&garbage).expect("it is plugged in");
    setup.until_counter("push_ignored", |ignored| ignored == count);

    setup.log = None;
    setup.board.until_unplugged(LOG);
    let mut log = setup.board.plug(LOG);
    log.write_all(&garbage).expect("it is plugged in");
    drop(log);
    setup.board.until_unplugged(LOG);
    setup.log = Some(setup.board.log(LOG));

    // Answers, pushes and the log still work.
    host.send(&move_to(3, 19.1));
    assert_eq!(host.next().frame.status, 1);
    let (before, stopped) = setup.push.until_code(CommandCode::STAGE_MOTION_STOPPED);
    assert_eq!((stopped.frame.selector(), stopped.skipped), (3, 0));
    let truly = setup.sent(|truth| *truth == TrueClass::Unsolicited);
    assert_eq!(before.len() + 1, truly.len());
    setup.until_counter("pushes", |pushes| pushes as usize == truly.len());
}

#[test]
fn the_log_on_interrupts_tells_what_was_dropped_and_why() {
    let Some(setup) = Setup::new("") else { return };
    let mut host = setup.host();
    for number in 0..3 {
        host.ask(&numbered_query(1, number));
    }
    host.socket.write_all(&[0x11; 50]).expect("it is plugged in");
    host.ask(&numbered_query(1, 3));
    let log = setup.log.as_ref().expect("the log is read");
    let parts =
        ["info Counters {", "commands: 4", "answers: 4", "host_noise: 50", "host_dropped: 0"];
    log.until_line(|line| parts.iter().all(|part| line.contains(part)));
}

#[test]
fn a_halt_overtakes_everything_and_cancels_the_queued_moves() {
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
    let all = silent.chain(moves).chain([halt]);
    let bytes: Vec<u8> = all.flat_map(|frame| frame.encode()).collect();
    host.socket.write_all(&bytes).expect("it is plugged in");

    let (refused, answer) = host.until_code(CommandCode::STAGE_HALT);
    assert_eq!((answer.frame.status, answer.frame.selector()), (1, 1));
    let refused: Vec<_> =
        refused.iter().map(|got| (got.frame.status, got.frame.selector())).collect();
    assert_eq!(refused, [(0, 1), (0, 2), (0, 3), (0, 1), (0, 2), (0, 3), (0, 4)]);
    let received = setup.instrument.truth().received();
    let received: Vec<_> = received.into_iter().map(|command| command.frame.code).collect();
    assert_eq!(received, [&SILENT[..], &[CommandCode::STAGE_HALT]].concat(), "and no move");
}
