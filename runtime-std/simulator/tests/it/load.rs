//! The client under load: four tasks query four moving axes at the same time, while the instrument sends
//! unsolicited frames. The result is checked against the simulator's ground truth, not the client's own counters.

use std::collections::HashMap;
use std::sync::Arc;

use flamingo_protocol_core::{Class, CommandCode, Frame, connection::TokenField, time::Duration};
use flamingo_runtime_std::{Client, Event, EventFrame, Options, Subscription};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions, TrueClass, TruthRecord};

/// Queries of each of the four tasks.
const QUERIES: i32 = 2500;
/// The same if pushes are unflagged and without tokens. Each query then takes three times as long, and none is proven:
/// what is tested is that no query fails and no event is lost.
const UNPROVEN_QUERIES: i32 = 1250;
/// All times are shorter, and all rates higher, than on a real instrument by this factor. So the same number of frames
/// arrives during a query, in a quarter of the time.
const SPEED: u32 = 4;
/// The slowest answer of a real instrument.
const SLOWEST: Duration = Duration::from_millis(10);

/// A time of a real instrument, scaled.
fn scaled(real: Duration) -> Duration {
    Duration::from_micros(real.as_micros() / u64::from(SPEED))
}

#[derive(Clone, Copy, PartialEq)]
enum Peer {
    /// Pushes are flagged, as on the real server.
    Flagged,
    /// Nothing distinguishes a push from an answer.
    Unflagged,
    /// Pushes are not flagged, but the instrument echoes tokens, and the client uses them.
    UnflaggedWithTokens,
}

struct Load {
    /// Background frames per second of the real instrument, besides position updates.
    unsolicited_per_s: u32,
    peer: Peer,
}

impl Peer {
    fn queries(self) -> i32 {
        if self == Self::Unflagged { UNPROVEN_QUERIES } else { QUERIES }
    }
}

#[derive(Debug, Default)]
struct Report {
    answers: u64,
    presumed: u64,
    failed: Vec<String>,
    for_another_axis: u64,
    /// Proven answers to another query.
    proven_wrong: u64,
    /// Presumed answers that were a push or the answer to another query.
    presumed_wrong: u64,
    events: usize,
    events_lost: usize,
    answers_as_unsolicited: usize,
}

fn scenario(load: &Load) -> Scenario {
    let flagged = load.peer == Peer::Flagged;
    let text = format!(
        "seed = 7\ntruth_capacity_frames = 1000000\n\
         [latency]\nmin_ms = {}\nmax_ms = {}\n\
         [background]\nframes_per_s = {}\n\
         [stage]\ncontinuous_axes = [\"x\", \"y\", \"z\", \"r\"]\n\
         [pushes]\nposition_hz = {}\nflagged = {flagged}\nposition_text = {flagged}\ncallback_flag = {}\n",
        2.0 / f64::from(SPEED),
        1e3 * std::time::Duration::from(scaled(SLOWEST)).as_secs_f64(),
        load.unsolicited_per_s * SPEED,
        40 * SPEED,
        !flagged,
    );
    Scenario::from_toml(&text).unwrap()
}

/// Connects with the settings that a user of such an instrument needs.
async fn connect(simulator: &Simulator, peer: Peer) -> Client {
    let mut options = Options::new(simulator.control().to_string());
    // The host may be busy; the timeout and the queue of the subscriber are not what is tested.
    options.timeout = std::time::Duration::from_secs(30);
    options.event_capacity = 1 << 16;
    options.protocol.unmarked.positions = peer != Peer::Flagged;
    match peer {
        Peer::Flagged => {}
        // After some presumed answers, the connection waits for the whole grace. The usual grace would make
        // this test take minutes.
        Peer::Unflagged => {
            options.protocol.presumed_grace = scaled(SLOWEST + SLOWEST);
            options.protocol.grace = scaled(Duration::from_millis(100));
        }
        Peer::UnflaggedWithTokens => options.protocol.tokens = Some(TokenField::Int32Data2),
    }
    Client::connect(options).await.unwrap()
}

/// Queries one axis again and again. The answer echoes int32Data1, which identifies the query.
async fn query_axis(client: Client, axis: i32, queries: i32) -> Report {
    let mut report = Report::default();
    for n in 0..queries {
        let mut query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
        query.int32_data[1] = axis * QUERIES + n;
        match client.request(query).await {
            Ok(answer) => {
                report.answers += 1;
                report.presumed += u64::from(!answer.proven);
                report.for_another_axis += u64::from(answer.frame.selector() != axis);
                let right = answer.frame.int32_data[1] == query.int32_data[1];
                report.proven_wrong += u64::from(answer.proven && !right);
                report.presumed_wrong += u64::from(!answer.proven && !right);
            }
            Err(error) => report.failed.push(error.to_string()),
        }
    }
    report
}

/// All events of a subscription until the client is closed.
async fn collect(mut events: Subscription) -> Vec<Arc<EventFrame>> {
    let mut frames = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Frame(frame) => frames.push(frame),
            other => panic!("no event may be lost: {other:?}"),
        }
    }
    frames
}

/// How often each frame occurs, compared byte by byte.
fn counted<'a>(frames: impl Iterator<Item = &'a Frame>) -> HashMap<[u8; 128], usize> {
    let mut counts = HashMap::new();
    for frame in frames {
        *counts.entry(frame.encode()).or_default() += 1;
    }
    counts
}

/// How many frames of `expected` are missing in `found`.
fn missing(expected: &HashMap<[u8; 128], usize>, found: &HashMap<[u8; 128], usize>) -> usize {
    let lacks = |(frame, count): (&[u8; 128], &usize)| {
        count.saturating_sub(found.get(frame).copied().unwrap_or_default())
    };
    expected.iter().map(lacks).sum()
}

async fn run(load: Load) -> Report {
    let options = SimulatorOptions::new(scenario(&load));
    let simulator = Simulator::start(options).await.unwrap();
    let client = connect(&simulator, load.peer).await;
    let events = smol::spawn(collect(client.subscribe(&[])));
    // The subscriber must get every push after this mark.
    let mut mark = Frame::command(CommandCode::SYSTEM_STATE_GET);
    mark.int32_data[1] = -1;
    client.request(mark).await.unwrap();
    let mut report = Report::default();
    let queries = load.peer.queries();
    let tasks: Vec<_> =
        (1..=4).map(|axis| smol::spawn(query_axis(client.clone(), axis, queries))).collect();
    for task in tasks {
        let one = task.await;
        report.answers += one.answers;
        report.presumed += one.presumed;
        report.for_another_axis += one.for_another_axis;
        report.proven_wrong += one.proven_wrong;
        report.presumed_wrong += one.presumed_wrong;
        report.failed.extend(one.failed);
    }
    mark.int32_data[1] = -2;
    client.request(mark).await.unwrap();
    client.close().await;
    assert_eq!(simulator.truth().dropped(), 0, "the truth must be complete");
    let (truth, frames) = (simulator.truth().sent(), events.await);
    simulator.stop().await;
    // Not on the thread of the drivers, where it would stop the other runs from reading.
    let judged = smol::unblock(move || {
        judge(&truth, &frames, &mut report);
        report
    });
    judged.await
}

/// Compares what was sent between the two marks with what the subscriber got.
fn judge(truth: &[TruthRecord], frames: &[Arc<EventFrame>], report: &mut Report) {
    let at = |mark: i32| {
        let is_mark = |record: &TruthRecord| record.frame.int32_data[1] == mark;
        truth.iter().position(is_mark).expect("the mark is in the truth")
    };
    let between = &truth[at(-1)..at(-2)];
    let is_push = |record: &&TruthRecord| matches!(record.truth, TrueClass::Unsolicited);
    let pushes = counted(between.iter().filter(is_push).map(|record| &record.frame));
    let answers = counted(between.iter().filter(|r| !is_push(r)).map(|record| &record.frame));
    let got = counted(frames.iter().map(|event| &event.frame));
    let as_unsolicited =
        |event: &&Arc<EventFrame>| matches!(event.class, Class::Unsolicited { .. });
    let unsolicited = frames.iter().filter(as_unsolicited);
    report.events = pushes.values().sum();
    report.events_lost = missing(&pushes, &got);
    report.answers_as_unsolicited =
        unsolicited.filter(|event| answers.contains_key(&event.frame.encode())).count();
}

fn check(name: &str, report: &Report, peer: Peer) {
    let percent = |part: u64| 100 * part / report.answers.max(1);
    let (presumed, other) = (percent(report.presumed), percent(report.presumed_wrong));
    println!("{name}: {report:?}; presumed {presumed} %, {other} % not the answer proper");
    assert!(report.failed.is_empty(), "{name}: {:?}", &report.failed[..report.failed.len().min(3)]);
    assert_eq!(report.answers, 4 * u64::try_from(peer.queries()).unwrap(), "{name}");
    assert_eq!(report.for_another_axis, 0, "{name}");
    assert_eq!(report.proven_wrong, 0, "{name}");
    assert_eq!(report.events_lost, 0, "{name}");
    assert!(report.events > 0, "{name}: there must be events");
    if peer != Peer::Unflagged {
        assert_eq!(report.presumed, 0, "{name}: nothing is uncertain here");
        assert_eq!(report.answers_as_unsolicited, 0, "{name}");
    }
}

/// Runs all rates at the same time: most of the time is the latency of the instrument.
fn all_rates(name: &str, peer: Peer) {
    let rates = [40, 400, 4000];
    let runs = rates.map(|unsolicited_per_s| smol::spawn(run(Load { unsolicited_per_s, peer })));
    for (run, rate) in runs.into_iter().zip(rates) {
        check(&format!("{rate}/s, {name}"), &smol::block_on(run), peer);
    }
}

#[test]
fn with_flagged_pushes_all_answers_are_right_and_proven() {
    all_rates("pushes flagged", Peer::Flagged);
}

#[test]
fn with_unflagged_pushes_no_proven_answer_is_wrong() {
    all_rates("pushes unflagged", Peer::Unflagged);
}

#[test]
fn with_tokens_all_answers_are_proven() {
    all_rates("pushes unflagged, tokens", Peer::UnflaggedWithTokens);
}
