//! How the cost of a frame grows with what the client has to do besides: requests that are pending, answers that are
//! still owed (tombstones), subscribers, and the size of a payload. Each point of a curve takes turns with the other
//! points in one run.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::mpsc::Sender;
use std::time::Duration;

use flamingo_runtime_std::protocol::wire::FRAME_LEN;
use flamingo_runtime_std::protocol::{CommandCode, Config, Frame};
use flamingo_runtime_std::{Options, Payload, Subscription};
use flamingo_runtime_testkit::bench::clients::{Caller, Way, mean};
use flamingo_runtime_testkit::bench::limits::{
    EventServer, Events, NOT_ANSWERED, READ_LEN, event_server, open, query, read_raw, upload_server,
};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Point, Report, Rounds, Stopwatch, Target, alternate, caller_on_first, run,
};
use smol::Task;

const ROUNDS: usize = 5;
const TURNS: usize = 4;
/// Longer than the benchmark.
const LONG: Duration = Duration::from_secs(3600);
/// A cost that has grown by less is flat.
const FLAT: f64 = 1.25;

const EVENTS: usize = 4096;
const ANSWERS_AT_ONCE: i32 = 8;
/// Answers that are owed count as well.
const WINDOW: usize = 1024;
const ANSWERS_OF_EACH: usize = 50;
const BYTES_OF_A_TURN: usize = 4 * 1024 * 1024;

const PENDING: [usize; 5] = [0, 8, 16, 32, 48];
const TOMBSTONES: [usize; 5] = [0, 32, 64, 128, 192];
const SUBSCRIBERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const PAYLOADS: [usize; 7] = [0, 1 << 7, 1 << 11, 1 << 15, 1 << 19, 1 << 23, 1 << 25];

/// A client with a server that sends events.
struct Busy {
    caller: Caller,
    send: Sender<Events>,
    /// Requests that are never answered.
    pending: Vec<Task<()>>,
}

impl Busy {
    fn start() -> Self {
        let EventServer { address, send } = event_server();
        let config = Config::default().with_window(WINDOW).with_grace(LONG.into());
        let options = Options::new(address.to_string()).protocol(config).event_capacity(EVENTS);
        Self { caller: Caller::connect(Way::Open, options), send, pending: Vec::new() }
    }

    /// Sends requests for these lasers that are never answered, and waits until they are written.
    fn send_unanswered(&mut self, lasers: std::ops::Range<usize>) {
        for laser in lasers {
            let laser = i32::try_from(laser).expect("a few");
            let (client, frame) = (self.caller.client.clone(), Frame::command(NOT_ANSWERED));
            self.pending.push(self.caller.spawn(async move {
                let outcome = client.request_within(frame.with_selector(laser), LONG).await;
                panic!("expected no outcome, got {outcome:?}");
            }));
        }
        // A command may be held back until its task runs again.
        while self.stats().0 < self.pending.len() {
            self.until_done();
        }
    }

    /// Waits until the driver has done what it was told before.
    fn until_done(&self) {
        self.caller.run(async { self.caller.client.request(query()).await.expect("an answer") });
    }

    fn with_pending(count: usize) -> Self {
        let mut busy = Self::start();
        busy.send_unanswered(0..count);
        assert_eq!(busy.stats(), (count, 0));
        busy
    }

    fn with_tombstones(count: usize) -> Self {
        let mut busy = Self::start();
        for begin in (0..count).step_by(32) {
            busy.send_unanswered(begin..begin + 32);
            for request in busy.pending.drain(..) {
                busy.caller.run(request.cancel());
            }
            busy.until_done();
        }
        assert_eq!(busy.stats(), (0, count));
        busy
    }

    /// Requests in flight, and tombstones.
    fn stats(&self) -> (usize, usize) {
        let stats = self.caller.run(self.caller.client.stats()).expect("the driver runs");
        (stats.in_flight, stats.tombstones)
    }

    fn events(&self, subscribers: &mut Vec<Subscription>, count: usize, payload: usize) -> f64 {
        let send = || self.send.send(Events { count, payload }).expect("the server runs");
        self.caller.take_events(subscribers, count, send)
    }
}

/// A curve: what grows, the name of the line, and the unit of the cost.
struct Curve<'a> {
    plot: &'a str,
    axis: &'a str,
    series: &'a str,
    /// Nanoseconds in a unit of cost.
    scale: f64,
    unit: &'a str,
}

impl Curve<'_> {
    /// Prints the median of one contender.
    #[allow(clippy::cast_precision_loss)] // at most 32 MiB
    fn point(&self, report: &Report, at: usize, rounds: &Rounds, contender: usize) {
        let Self { plot, axis, series, scale, unit } = *self;
        let value = rounds.time(contender, 50) / scale;
        report.point(Point { plot, series, axis, at: at as f64, value, unit });
    }
}

/// The cost of an event and of an answer on a client in each of these states.
fn in_states(report: &mut Report, axis: &str, states: &[usize], make: fn(usize) -> Busy) {
    let query = |axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
    let queries: Vec<_> = (1..=ANSWERS_AT_ONCE).map(query).collect();
    let busy: Vec<_> = states.iter().map(|count| make(*count)).collect();
    let mut contenders: Vec<Contender<'_>> = Vec::new();
    for busy in &busy {
        let mut all = vec![busy.caller.client.subscribe(&[])];
        contenders.push(Box::new(move |times| times.push(busy.events(&mut all, EVENTS, 0))));
        let ask = || busy.caller.ask_at_once(&queries, ANSWERS_OF_EACH);
        contenders.push(Box::new(move |times| times.push(ask())));
    }
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    for (first, series) in ["an event", "an answer, 8 requests in flight"].into_iter().enumerate() {
        let plot = format!("{series}, against {axis}");
        let curve = Curve { plot: &plot, axis, series, scale: 1.0, unit: "ns" };
        for (place, at) in states.iter().enumerate() {
            curve.point(report, *at, &rounds, first + 2 * place);
        }
        let last = states.len() - 1;
        let name = format!("{series} with {} {axis}, to none", states[last]);
        let value = rounds.time(first + 2 * last, 50);
        let figure = Figure::new(value, "ns").ratio(rounds.ratio(first + 2 * last, first, 50));
        report.line(&name, figure, Target::RatioAtMost(FLAT));
    }
}

/// The cost of an event for each of its subscribers.
fn for_subscribers(report: &mut Report) {
    let busy = SUBSCRIBERS.map(|_| Busy::start());
    let mut contenders: Vec<Contender<'_>> = Vec::new();
    for (busy, count) in busy.iter().zip(SUBSCRIBERS) {
        let mut all: Vec<_> = (0..count).map(|_| busy.caller.client.subscribe(&[])).collect();
        contenders.push(Box::new(move |times| {
            let event = busy.events(&mut all, EVENTS, 0);
            times.push(mean(event, count));
        }));
    }
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    let curve = Curve {
        plot: "an event, for each subscriber",
        axis: "subscribers",
        series: "an event",
        scale: 1.0,
        unit: "ns",
    };
    for (place, count) in SUBSCRIBERS.into_iter().enumerate() {
        curve.point(report, count, &rounds, place);
    }
    let last = SUBSCRIBERS.len() - 1;
    let figure = Figure::new(rounds.time(last, 50), "ns").ratio(rounds.ratio(last, 0, 50));
    let name = format!("an event for each of {} subscribers, to one", SUBSCRIBERS[last]);
    report.line(&name, figure, Target::RatioAtMost(FLAT));
}

/// The cost of a message with a payload: received as an event, and uploaded; by the client, and by a blocking socket
/// that looks at nothing.
fn for_payloads(report: &mut Report) {
    let sizes = &PAYLOADS[..report.repetitions(PAYLOADS.len()).max(4)];
    let (busy, raw_events, uploads) = (Busy::start(), event_server(), upload_server());
    let upload_options = Options::new(uploads.to_string());
    let uploader = Caller::connect(Way::Open, upload_options);
    let subscribers = RefCell::new(vec![busy.caller.client.subscribe(&[])]);
    let raw_reader = RefCell::new(open(raw_events.address));
    let raw_writer = RefCell::new(open(uploads));
    let (busy, uploader) = (&busy, &uploader);
    let (subscribers, raw_reader, raw_writer) = (&subscribers, &raw_reader, &raw_writer);
    let mut contenders: Vec<Contender<'_>> = Vec::new();
    for size in sizes.iter().copied() {
        let count = (BYTES_OF_A_TURN / (FRAME_LEN + size)).clamp(1, 1000);
        contenders.push(Box::new(move |times| {
            times.push(busy.events(&mut subscribers.borrow_mut(), count, size));
        }));
        let send = raw_events.send.clone();
        contenders.push(Box::new(move |times| {
            let took = Stopwatch::time(|| {
                send.send(Events { count, payload: size }).expect("the server runs");
                let bytes = count * (FRAME_LEN + size);
                read_raw(&mut raw_reader.borrow_mut(), bytes, &mut vec![0; READ_LEN]);
            });
            times.push(mean(took, count));
        }));
        let count = count.min(100);
        contenders.push(upload(uploader, size, count));
        contenders.push(raw_upload(raw_writer, size, count));
    }
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    let series = ["received", "received, blocking socket", "uploaded", "uploaded, blocking socket"];
    for (first, series) in series.into_iter().enumerate() {
        let (plot, axis) = ("a message against its payload", "bytes of payload");
        let curve = Curve { plot, axis, series, scale: 1e3, unit: "µs" };
        for (place, size) in sizes.iter().enumerate() {
            curve.point(report, *size, &rounds, first + 4 * place);
        }
    }
    for (first, way) in [(0, "received"), (2, "uploaded")] {
        let at = first + 4 * (sizes.len() - 1);
        let figure = Figure::new(rounds.time(at, 50) / 1e6, "ms");
        let figure = figure.ratio(rounds.ratio(at, at + 1, 50));
        let name = format!("{} bytes {way}, to a blocking socket", sizes[sizes.len() - 1]);
        report.line(&name, figure, Target::None);
    }
}

/// An upload of so many bytes.
fn upload_frame() -> Frame {
    Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE)
}

fn upload(caller: &Caller, size: usize, count: usize) -> Contender<'_> {
    let payload = Payload::from(vec![7; size]);
    Box::new(move |times| {
        let took = Stopwatch::time(|| {
            caller.run(async {
                for _ in 0..count {
                    let payload = payload.clone();
                    let answer = caller.client.upload(upload_frame(), payload, LONG).await;
                    answer.expect("an answer");
                }
            });
        });
        times.push(mean(took, count));
    })
}

fn raw_upload(socket: &RefCell<TcpStream>, size: usize, count: usize) -> Contender<'_> {
    let frame = upload_frame().with_payload_len(u32::try_from(size).expect("at most 32 MiB"));
    let mut bytes = frame.encode().to_vec();
    bytes.resize(FRAME_LEN + size, 7);
    Box::new(move |times| {
        let (mut socket, mut answer) = (socket.borrow_mut(), [0; FRAME_LEN]);
        let took = Stopwatch::time(|| {
            for _ in 0..count {
                socket.write_all(&bytes).expect("the connection is open");
                socket.read_exact(&mut answer).expect("an answer");
            }
        });
        times.push(mean(took, count));
    })
}

fn measure(report: &mut Report) {
    caller_on_first();
    in_states(report, "requests pending", &PENDING, Busy::with_pending);
    in_states(report, "answers owed", &TOMBSTONES, Busy::with_tombstones);
    for_subscribers(report);
    for_payloads(report);
}

fn main() -> ExitCode {
    run("flat", measure)
}
