//! The bridge in firmware, in an emulator: the simulated instrument at UART 0, a host at UART 1, a
//! subscriber at UART 2. The simulator's ground truth judges.
#![cfg(unix)]

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::firmware::cable::Cable;
use crate::firmware::log::Log;
use crate::firmware::{Firmware, Running};
use flamingo_protocol_core::{CommandCode, Frame, START_MARKER, TokenField};
use flamingo_runtime_std::{Client, Clock, Error, Options};
use flamingo_runtime_testkit::raw::{Raw, command, move_to, query, simulator};
use flamingo_simulator::{Simulator, TrueClass};

const INSTRUMENT: usize = 0;
const HOST: usize = 1;
const PUSH: usize = 2;
const LOG: usize = 3;

/// One emulator at a time is enough for a small machine.
static EMULATOR: Mutex<()> = Mutex::new(());

/// The firmware with everything plugged in.
struct Bench {
    instrument: Simulator,
    push: Raw,
    cable: Option<Cable>,
    log: Option<Log>,
    running: Running,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    /// `None`: there is no emulator here.
    fn new(scenario: &str) -> Option<Self> {
        let alone = EMULATOR.lock().unwrap_or_else(PoisonError::into_inner);
        let program = Firmware::build("mcu-bridge")?;
        let running = Firmware::run(&program, "mps2-an386", 4);
        let instrument = simulator(scenario);
        let push = Raw::over(running.plug(PUSH));
        let log = Some(running.log(LOG));
        let mut bench = Self { instrument, push, cable: None, log, running, _alone: alone };
        bench.plug_instrument();
        Some(bench)
    }

    fn plug_instrument(&mut self) {
        self.cable = Some(Cable::new(self.running.plug(INSTRUMENT), self.instrument.control()));
    }

    fn client(&self) -> Client {
        self.client_with(None)
    }

    fn client_with(&self, tokens: Option<TokenField>) -> Client {
        let mut options = Options::new(self.running.uart(HOST).to_string());
        // A busy machine may be slow: what is judged is whether anything is wrong or lost.
        options.timeout = Duration::from_secs(20);
        options.protocol.tokens = tokens;
        smol::block_on(Client::connect(options)).expect("it answers")
    }

    /// A host without any code of ours but the frames.
    fn host(&self) -> Raw {
        Raw::over(self.running.plug(HOST))
    }

    fn until_counter(&self, name: &str, holds: impl Fn(u32) -> bool) {
        self.log.as_ref().expect("it is read").until_counter(name, holds);
    }

    /// What the instrument received so often, at least.
    fn until_received(&self, code: CommandCode, times: usize) {
        let clock = Clock::start();
        let received = || self.instrument.truth().received();
        while received().iter().filter(|command| command.frame.code == code).count() < times {
            assert!(clock.now().as_micros() < 20_000_000, "the instrument gets no {code}");
            std::thread::yield_now();
        }
    }

    /// What the instrument really sent over the cable that is plugged in.
    fn sent(&self, wanted: impl Fn(&TrueClass) -> bool) -> Vec<Frame> {
        let cable = self.cable.as_ref().expect("it is plugged in").address();
        let sent = self.instrument.truth().sent_to(cable).into_iter();
        sent.filter(|record| wanted(&record.truth)).map(|record| record.frame).collect()
    }
}

/// A question for a position that can be told from all others: int32Data1 comes back as sent.
fn question(axis: i32, number: i32) -> Frame {
    let mut question = query(axis);
    question.int32_data[1] = number;
    question
}

/// So many questions, and each gets its own answer.
fn is_answered_right(client: &Client, numbers: std::ops::Range<i32>) {
    for number in numbers {
        let question = question(1 + number % 4, number);
        let answer = smol::block_on(client.request(question)).expect("it is answered");
        assert!(answer.proven);
        assert_eq!(answer.frame.int32_data[..2], question.int32_data[..2]);
    }
}

/// 3 KiB with markers, and with a whole frame that is none.
fn settings() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..3072_u32).map(|at| at.wrapping_mul(31).to_le_bytes()[0]).collect();
    bytes[700..704].copy_from_slice(&START_MARKER.to_le_bytes());
    bytes[1500..1628].copy_from_slice(&move_to(1, 5.0).encode());
    bytes
}

const SAVE: CommandCode = CommandCode::COMMON_SCOPE_SETTINGS_SAVE;
const LOAD: CommandCode = CommandCode::COMMON_SCOPE_SETTINGS_LOAD;

#[test]
fn a_thousand_queries_under_pushes_get_their_own_answers_and_each_push_comes_once_where_it_belongs()
{
    let Some(mut bench) = Bench::new("seed = 3\n[stage]\ncontinuous_axes = [\"y\"]\n") else {
        return;
    };
    let client = bench.client();
    let mut events = client.subscribe(&[]);
    let mut answers = Vec::new();
    for number in 1..=1000_i32 {
        let question = question([1, 3, 4][number.unsigned_abs() as usize % 3], number);
        let answer = smol::block_on(client.request(question)).expect("it is answered");
        assert!(answer.proven);
        assert_eq!(answer.frame.int32_data, question.int32_data);
        answers.push(answer.frame);
    }
    smol::block_on(client.halt(2)).expect("it is answered");
    let (mut pushes, last) = bench.push.until_code(CommandCode::STAGE_MOTION_STOPPED);
    pushes.push(last);
    let pushes: Vec<_> = pushes.into_iter().map(|got| got.frame).collect();
    let truly = bench.sent(|truth| matches!(truth, TrueClass::Answer { .. }));
    let asked = |frame: &Frame| frame.code == CommandCode::STAGE_POSITION_GET;
    assert_eq!(answers, truly.into_iter().filter(asked).collect::<Vec<_>>());
    assert_eq!(pushes, bench.sent(|truth| *truth == TrueClass::Unsolicited));
    assert!(pushes.len() > 20, "{} pushes", pushes.len());
    assert!(events.try_next().is_none(), "the host gets answers only");
}

#[test]
fn a_payload_longer_than_any_buffer_comes_through_whole_and_an_upload_that_is_too_long_is_refused()
{
    let Some(bench) = Bench::new("") else { return };
    let settings = settings();
    let mut other = Raw::connect(&bench.instrument);
    other.upload(&command(SAVE), &settings);
    assert_eq!(other.until_code(SAVE).1.frame.status, 1);

    let client = bench.client();
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
    is_answered_right(&client, 0..8);
}

#[test]
fn when_the_instrument_is_unplugged_in_the_middle_of_anything_it_works_again_behind_it() {
    let Some(mut bench) = Bench::new("") else { return };
    let settings = settings();
    let mut other = Raw::connect(&bench.instrument);
    other.upload(&command(SAVE), &settings);
    other.until_code(SAVE);
    let client = bench.client();
    is_answered_right(&client, 0..4);

    // In a payload: what is missing of it is filler, which stands in no text.
    let load = smol::spawn({
        let client = client.clone();
        async move { client.request(command(LOAD)).await }
    });
    bench.cable.take().expect("it is plugged in").cut_after(128 + 1000);
    let payload = smol::block_on(load).expect("its header has come").payload;
    assert_eq!((&payload[..1000], payload.len()), (&settings[..1000], settings.len()));
    assert!(payload[1000..].iter().all(|byte| *byte == 0xFF));

    // Nothing is there: no answer, and not another's.
    let unanswered = smol::block_on(client.request_within(question(1, 4), Duration::from_secs(1)));
    assert!(matches!(unanswered, Err(Error::TimedOut { .. })), "{unanswered:?}");
    bench.plug_instrument();
    is_answered_right(&client, 5..9);

    // In a frame.
    let ask = smol::spawn({
        let client = client.clone();
        async move { client.request_within(question(1, 9), Duration::from_secs(1)).await }
    });
    bench.cable.take().expect("it is plugged in").cut_after(60);
    let unanswered = smol::block_on(ask);
    assert!(matches!(unanswered, Err(Error::TimedOut { .. })), "{unanswered:?}");
    bench.plug_instrument();
    is_answered_right(&client, 10..14);
    let other = other.address();
    let truly = bench
        .instrument
        .truth()
        .sent()
        .into_iter()
        .filter(|record| record.truth == TrueClass::Unsolicited && record.connection != other);
    let pushed: Vec<_> = bench.push.waiting().into_iter().map(|got| got.frame).collect();
    assert_eq!(pushed, truly.map(|record| record.frame).collect::<Vec<_>>());
}

#[test]
fn when_the_host_is_unplugged_in_the_middle_of_anything_the_next_one_gets_its_own_answers() {
    let Some(bench) = Bench::new("[latency]\nmin_ms = 200\nmax_ms = 200\n") else { return };
    // In a frame: the next one is found behind what is left of it.
    let mut host = bench.host();
    host.socket.write_all(&query(1).encode()[..70]).expect("it is plugged in");
    drop(host);
    bench.running.until_unplugged(HOST);
    let client = bench.client();
    is_answered_right(&client, 0..2);
    smol::block_on(client.close());
    bench.running.until_unplugged(HOST);

    // In an upload: it is given up when the line has been silent.
    let mut host = bench.host();
    host.socket
        .write_all(&command(SAVE).with_payload_len(2000).encode())
        .expect("it is plugged in");
    host.socket.write_all(&[1; 500]).expect("it is plugged in");
    bench.until_counter("host_broke_off", |count| count == 1);
    let refused = host.next().frame;
    assert_eq!((refused.code, refused.status), (SAVE, 0));
    drop(host);
    bench.running.until_unplugged(HOST);

    // With a question under way: its answer is not the next host's, which asks the same.
    let mut host = bench.host();
    host.send(&question(3, 1));
    bench.until_received(CommandCode::STAGE_POSITION_GET, 3);
    drop(host);
    bench.running.until_unplugged(HOST);
    let client = bench.client_with(Some(TokenField::Int32Data2));
    is_answered_right(&client, 2..6);
}

#[test]
fn when_the_push_port_is_unplugged_the_rest_goes_on_and_pushes_come_again_once_each() {
    let Some(mut bench) = Bench::new("[stage]\ncontinuous_axes = [\"y\"]\n") else { return };
    let client = bench.client();
    bench.push.next();
    bench.push.socket.shutdown(std::net::Shutdown::Both).expect("it is plugged in");
    bench.running.until_unplugged(PUSH);
    is_answered_right(&client, 0..20);
    bench.push = Raw::over(bench.running.plug(PUSH));
    let got: Vec<_> = (0..20).map(|_| bench.push.next()).collect();
    assert!(got[1..].iter().all(|got| got.skipped == 0), "no push is cut, but perhaps the first");
    let truly = bench.sent(|truth| *truth == TrueClass::Unsolicited);
    let got: Vec<_> = got.into_iter().map(|got| got.frame).collect();
    assert!(truly.windows(20).any(|some| some == got), "in order, each once, none missing");
}

#[test]
fn garbage_on_any_uart_is_skipped_and_counted_and_the_next_frame_is_found() {
    let Some(mut bench) = Bench::new("") else { return };
    // With the beginning of a frame in it.
    let garbage = [&[0x11; 50][..], &query(2).encode()[..27]].concat();
    let count = u32::try_from(garbage.len()).expect("it is short");
    let mut host = bench.host();
    host.socket.write_all(&garbage).expect("it is plugged in");
    host.send(&question(1, 1));
    assert_eq!(host.next().frame.int32_data[..2], [1, 1]);
    bench.until_counter("host_noise", |noise| noise == count);

    bench.cable.as_ref().expect("it is plugged in").noise(&garbage);
    host.send(&question(2, 2));
    assert_eq!(host.next().frame.int32_data[..2], [2, 2]);
    bench.until_counter("instrument_noise", |noise| noise == count);

    bench.push.socket.write_all(&garbage).expect("it is plugged in");
    bench.until_counter("push_ignored", |ignored| ignored == count);

    bench.log = None;
    bench.running.until_unplugged(LOG);
    let mut log = bench.running.plug(LOG);
    log.write_all(&garbage).expect("it is plugged in");
    drop(log);
    bench.running.until_unplugged(LOG);
    bench.log = Some(bench.running.log(LOG));

    // Everything still works, and is logged.
    host.send(&move_to(3, 19.1));
    assert_eq!(host.next().frame.status, 1);
    let (before, stopped) = bench.push.until_code(CommandCode::STAGE_MOTION_STOPPED);
    assert_eq!((stopped.frame.selector(), stopped.skipped), (3, 0));
    let truly = bench.sent(|truth| *truth == TrueClass::Unsolicited);
    assert_eq!(before.len() + 1, truly.len());
    bench.until_counter("pushes", |pushes| pushes as usize == truly.len());
}

#[test]
fn a_halt_goes_before_everything_when_no_more_is_taken_and_cancels_what_waits() {
    const SILENT: [CommandCode; 4] = [
        CommandCode::STORAGE_PATH_UNMOUNT,
        CommandCode::STORAGE_PATH_TEST,
        CommandCode::COMMON_SYSTEM_UPDATE_LIVE_VIEW,
        CommandCode::CAMERA_SNAPSHOT_GET,
    ];
    let Some(bench) = Bench::new("never_answered = [0x1014, 0x1015, 0x1017, 0x3006]\n") else {
        return;
    };
    let mut host = bench.host();
    let halt = command(CommandCode::STAGE_HALT).with_selector(1);
    // These take the whole window; the moves wait for it, and for three there is no room.
    let silent = SILENT.map(command).into_iter();
    let moves = [1, 2, 3, 4, 1, 2, 3].map(|axis| move_to(axis, 15.0));
    let all = silent.chain(moves).chain([halt]);
    let bytes: Vec<u8> = all.flat_map(|frame| frame.encode()).collect();
    host.socket.write_all(&bytes).expect("it is plugged in");

    let (told, answer) = host.until_code(CommandCode::STAGE_HALT);
    assert_eq!((answer.frame.status, answer.frame.selector()), (1, 1));
    let told: Vec<_> = told.iter().map(|got| (got.frame.status, got.frame.selector())).collect();
    assert_eq!(told, [(0, 1), (0, 2), (0, 3), (0, 1), (0, 2), (0, 3), (0, 4)]);
    let received = bench.instrument.truth().received();
    let received: Vec<_> = received.into_iter().map(|command| command.frame.code).collect();
    assert_eq!(received, [&SILENT[..], &[CommandCode::STAGE_HALT]].concat(), "and no move at all");
}
