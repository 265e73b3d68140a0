//! The stage controller in firmware (`protocol-core/examples/mcu-stage`), in QEMU, with the smol client or a
//! raw socket on its UART. The timing of the stage is tested in its own package.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::TcpStream;
use std::time::Duration;

use crate::emulator::{Emulator, program};
use flamingo_protocol_core::{Class, CommandCode as Code, Flags, Frame, wire::FRAME_LEN};
use flamingo_runtime_std::{Client, EventFrame, Options, Subscription};
use flamingo_runtime_testkit::peer::{Peer, move_to, next_frame, position_of, soon};
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use smol::{Async, Timer, future};

const X: i32 = 1;
const HOME: f64 = 7.5;

/// Runs the body with a board that has started. Without an emulator it does nothing.
fn with_board<F: Future<Output = ()>>(body: impl FnOnce(Emulator) -> F) {
    if let Some(program) = program("mcu-stage") {
        smol::block_on(async {
            let board = Emulator::start(&program, "lm3s6965evb", 2);
            until_started(&board).await;
            body(board).await;
        });
    }
}

/// Waits until the board has started. Bytes that come before it has set up its UART are lost, so this asks,
/// with a growing timeout, until the last query is answered.
async fn until_started(board: &Emulator) {
    let stream = raw(board).stream;
    let asked = Cell::new(0);
    let asking = async {
        loop {
            asked.set(asked.get() + 1);
            let mut query = Frame::command(Code::SYSTEM_STATE_GET);
            query.client_id = asked.get();
            (&stream).write_all(&query.encode()).await.expect("it is plugged in");
            let patience = Duration::from_millis(50) * asked.get().unsigned_abs();
            Timer::after(patience).await;
        }
    };
    let answered = async {
        let mut bytes = [0; FRAME_LEN];
        while Frame::decode(&bytes).map(|frame| frame.client_id) != Ok(asked.get()) {
            (&stream).read_exact(&mut bytes).await.expect("it is plugged in");
        }
    };
    soon("the board to start", future::or(answered, asking)).await;
}

/// The reports of the board on its second UART, since the cable was plugged in.
struct Report(BufReader<Async<TcpStream>>);

impl Report {
    fn of(board: &Emulator) -> Self {
        Self(BufReader::new(Async::new(board.plug(1)).expect("a socket")))
    }

    /// Waits until the counter `name` has such a value; gives all counters by name.
    async fn until(&mut self, name: &str, wanted: impl Fn(u64) -> bool) -> HashMap<String, u64> {
        loop {
            let mut line = String::new();
            soon("a report", self.0.read_line(&mut line)).await.expect("plugged in");
            let words: Vec<_> = line.split_whitespace().collect();
            let counter = |pair: &[&str]| Some((pair[0].to_owned(), pair.get(1)?.parse().ok()?));
            let counters: HashMap<_, _> = words.chunks(2).filter_map(counter).collect();
            if counters.get(name).is_some_and(|count| wanted(*count)) {
                return counters;
            }
        }
    }
}

fn options(board: &Emulator) -> Options {
    let mut options = Options::new(board.uart(0).to_string());
    // The host may be busy; the timeout is not what is tested.
    options.timeout = Duration::from_secs(20);
    options.event_capacity = 100_000;
    options
}

async fn plug_in(board: &Emulator) -> Client {
    Client::connect(options(board)).await.expect("the board answers")
}

fn raw(board: &Emulator) -> Peer {
    Peer { stream: Async::new(board.plug(0)).expect("a socket") }
}

fn speed(mm_per_s: f64) -> Frame {
    Frame::command(Code::STAGE_VELOCITY_SET).with_selector(X).with_value(mm_per_s)
}

/// Sends a command and gives its answer, which must be proven.
async fn ask(client: &Client, frame: Frame) -> Frame {
    let answer = client.request(frame).await.expect("it is answered");
    assert!(answer.proven, "{}", answer.frame);
    answer.frame
}

/// Checks that the answer is an echo of the command with status 1, whatever its value.
fn assert_done(answer: &Frame, command: &Frame) {
    assert_eq!(*answer, Frame { status: 1, value: answer.value, ..*command });
}

/// Checks a position update and gives its position.
fn pushed(event: &EventFrame) -> f64 {
    let frame = &event.frame;
    assert_eq!((frame.code, frame.selector(), frame.status), (Code::STAGE_POSITION_GET, X, 1));
    assert_eq!(frame.flags, Flags::STAGE_POSITIONS_IN_BUFFER);
    assert_eq!(event.class, Class::Unsolicited { ours: false });
    assert_eq!(frame.text(), Ok(&*format!("1={:.6}\n2=0.000000\n3=0.000000\n", frame.value)));
    frame.value
}

/// The positions up to the end of a motion, and the frame that reports the end.
async fn until_stopped(events: &mut Subscription) -> (Vec<f64>, Frame) {
    let mut positions = Vec::new();
    loop {
        let event = next_frame(events).await;
        if event.frame.code == Code::STAGE_MOTION_STOPPED {
            return (positions, event.frame);
        }
        positions.push(pushed(&event));
    }
}

/// Checks that no event is left: everything before the answer to this query has arrived.
async fn nothing_more(client: &Client, events: &mut Subscription) {
    ask(client, Frame::command(Code::SYSTEM_STATE_GET)).await;
    let more = future::poll_once(events.next()).await;
    assert!(more.is_none(), "{more:?}");
}

#[test]
fn a_thousand_queries_get_their_answers_and_no_push_is_lost() {
    with_board(async |board| {
        let client = plug_in(&board).await;
        let mut events = client.subscribe(&[]);
        // 1 µm between two pushes; the whole way takes two minutes.
        assert_done(&ask(&client, speed(0.04)).await, &speed(0.04));
        let go = move_to(X, 12.0);
        assert_done(&ask(&client, go).await, &go);
        let mut last = HOME;
        for number in 0..1000 {
            let mut query = match number % 10 {
                3 => position_of(2),
                7 => Frame::command(Code::SYSTEM_STATE_GET),
                _ => position_of(X),
            };
            query.client_id = 5000 - number;
            query.int32_data[1] = number;
            let answer = ask(&client, query).await;
            match number % 10 {
                3 => assert_eq!(answer, query, "refused: the board has no such axis"),
                7 => {
                    query.int32_data[0] = 0xA002;
                    assert_done(&answer, &query);
                }
                _ => {
                    assert_done(&answer, &query);
                    assert!((last..12.0).contains(&answer.value), "{} < {last}", answer.value);
                    last = answer.value;
                }
            }
        }
        assert_done(&client.halt(X).await.expect("stopped").frame, &halt());
        let (positions, stopped) = until_stopped(&mut events).await;
        for (number, position) in (7501..).zip(&positions) {
            let expected = f64::from(number) / 1000.0;
            assert_eq!(position.to_bits(), expected.to_bits(), "{position} is not {expected}");
        }
        assert!(positions.len() > 20, "too few pushes: {}", positions.len());
        assert!(stopped.value >= last && stopped.status == 0, "{stopped}");
        nothing_more(&client, &mut events).await;
        let stats = client.stats().await.expect("the driver runs");
        let core = stats.counters;
        assert_eq!((core.late, core.ambiguous, core.presumed, core.noise_bytes), (0, 0, 0, 0));
        assert_eq!(core.unsolicited, positions.len() as u64 + 1);
        assert_eq!(stats.events_lost, 0);
    });
}

fn halt() -> Frame {
    Frame::command(Code::STAGE_HALT).with_selector(X)
}

#[test]
fn a_halt_stops_a_move_and_the_next_move_reaches_its_target() {
    with_board(async |board| {
        let client = plug_in(&board).await;
        let mut events = client.subscribe(&[]);
        let mut motion = client.arm(X);
        ask(&client, speed(0.1)).await;
        ask(&client, move_to(X, 12.0)).await;
        let event = next_frame(&mut events).await;
        let first = pushed(&event);
        assert_eq!(first.to_bits(), 7.5025_f64.to_bits());
        assert_done(&client.halt(X).await.expect("stopped").frame, &halt());
        let end = soon("the end of the motion", motion.wait()).await.expect("reported");
        assert!(!end.completed);
        assert!((first..12.0).contains(&end.frame.value), "{}", end.frame);
        let (_, stopped) = until_stopped(&mut events).await;
        assert_eq!(stopped, end.frame);
        let rest = ask(&client, position_of(X)).await.value;
        assert_eq!(rest.to_bits(), stopped.value.to_bits());
        nothing_more(&client, &mut events).await;

        ask(&client, speed(10.0)).await;
        ask(&client, move_to(X, 11.0)).await;
        let end = soon("the end of the motion", motion.wait()).await.expect("reported");
        assert!(end.completed);
        assert_eq!(end.frame.value.to_bits(), 11.0_f64.to_bits());
        let (positions, _) = until_stopped(&mut events).await;
        assert!(positions.is_sorted() && positions.len() >= 8, "{positions:?}");
        nothing_more(&client, &mut events).await;
    });
}

#[test]
fn garbage_is_counted_and_the_next_command_is_answered() {
    with_board(async |board| {
        let mut report = Report::of(&board);
        let mut wire = raw(&board);
        // Reads the count of bytes that were skipped during the start.
        wire.write_bytes(b"!").await;
        wire.write(&position_of(X)).await;
        wire.read().await;
        let mut noise = report.until("noise", |noise| noise > 0).await["noise"];
        let frame = position_of(X).encode();
        let mut random = fastrand::Rng::with_seed(6);
        for number in 0..100 {
            let junk = match number % 5 {
                0 => vec![0xFF; random.usize(1..400)],
                1 => frame[..random.usize(1..128)].to_vec(),
                2 => frame[random.usize(1..128)..].to_vec(),
                3 => frame[..4].repeat(random.usize(1..60)),
                _ => position_of(X).with_payload_len(u32::MAX).encode().to_vec(),
            };
            noise += junk.len() as u64;
            wire.write_bytes(&junk).await;
            let mut query = position_of(X);
            query.int32_data[1] = number;
            wire.write(&query).await;
            assert_eq!(wire.read().await, Frame { status: 1, value: HOME, ..query });
        }
        let counters = report.until("noise", |skipped| skipped >= noise).await;
        assert_eq!((counters["noise"], counters["overruns"]), (noise, 0));
    });
}

#[test]
fn an_unplugged_board_keeps_moving_for_the_next_client() {
    with_board(async |board| {
        let mut first = raw(&board);
        for frame in [speed(0.1), move_to(X, 12.0)] {
            first.write(&frame).await;
            assert_done(&first.read().await, &frame);
        }
        let last = first.read().await.value;
        // The client leaves in the middle of a command.
        first.write_bytes(&move_to(X, 8.0).encode()[..77]).await;
        drop(first);

        let client = plug_in(&board).await;
        let mut events = client.subscribe(&[]);
        let event = next_frame(&mut events).await;
        let position = pushed(&event);
        assert!(position > last, "{position} is not after {last}");
        let asked = ask(&client, position_of(X)).await.value;
        assert!(asked >= position && asked < 12.0, "{asked}");
        client.halt(X).await.expect("stopped");
        let (positions, stopped) = until_stopped(&mut events).await;
        assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
        assert!(stopped.status == 0 && stopped.value >= asked, "{stopped}");
        client.close().await;

        // Plugged in once more, with the stage at rest.
        let client = plug_in(&board).await;
        let rest = ask(&client, position_of(X)).await.value;
        assert_eq!(rest.to_bits(), stopped.value.to_bits());
    });
}

#[test]
fn a_broken_upload_does_not_swallow_the_next_commands() {
    with_board(async |board| {
        let mut report = Report::of(&board);
        let mut first = raw(&board);
        let upload = Frame::command(Code::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(1_000_000);
        first.write(&upload).await;
        first.write_bytes(&[1; 5000]).await;
        drop(first);
        let counters = report.until("cut", |cut| cut == 1).await;
        assert_eq!(counters["overruns"], 0);
        let client = plug_in(&board).await;
        assert_eq!(ask(&client, position_of(X)).await.value.to_bits(), HOME.to_bits());
    });
}

#[test]
fn impossible_commands_are_refused_unknown_ones_not_answered() {
    with_board(async |board| {
        let client = plug_in(&board).await;
        let mut events = client.subscribe(&[]);
        for frame in [
            move_to(X, 12.4),
            move_to(X, 0.5),
            move_to(3, 20.0),
            position_of(4),
            Frame::command(Code::STAGE_HOME).with_selector(X),
            Frame::command(Code::CAMERA_IMAGE_SIZE_GET),
        ] {
            assert_eq!(ask(&client, frame).await, frame, "an echo with status 0");
        }
        client.send(Frame::command(Code(0x6FFF))).await.expect("written");
        // An upload is skipped and refused, even if it contains commands.
        let commands = move_to(X, 8.0).encode().repeat(500);
        let settings = Frame::command(Code::COMMON_SCOPE_SETTINGS_SAVE);
        let answer = client.upload(settings, commands, Duration::from_secs(20)).await;
        assert_eq!(answer.expect("it is answered").frame.status, 0);
        nothing_more(&client, &mut events).await;
        client.close().await;

        // The client refuses to send this, so it goes over a raw socket.
        let mut wire = raw(&board);
        let nowhere = move_to(X, f64::NAN);
        wire.write(&nowhere).await;
        assert_eq!(wire.read().await, nowhere);
        wire.write(&position_of(X)).await;
        assert_eq!(wire.read().await.value.to_bits(), HOME.to_bits());
    });
}
