//! The load of every client: 10 000 queries from four threads or tasks, while the simulated instrument sends 400
//! unsolicited frames in a second and one axis moves. What the client reports is compared with the truth of the
//! simulator: every answer is the one to its query, none is lost, and every event comes once, in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flamingo_protocol_core::{Class, CommandCode, Frame};
use flamingo_runtime_std::{Event, Options};
use flamingo_simulator::{
    AxisName, Scenario, Simulator, SimulatorOptions, TrueClass, Truth, TruthRecord,
};

use super::{Calls, Events};

const WORKERS: usize = 4;
const QUERIES: usize = 10_000;
/// Unsolicited frames in a second: position updates of the axis that moves, and others.
const POSITIONS: f64 = 40.0;
const OTHERS: f64 = 360.0;
/// The number of the first query, which its answer repeats. Unsolicited frames have none.
const FIRST: i32 = 1_000_000;

fn instrument() -> SimulatorOptions {
    let mut scenario = Scenario::default();
    scenario.truth_capacity_frames = 1 << 20;
    (scenario.latency.min_ms, scenario.latency.max_ms) = (0.0, 0.2);
    scenario.pushes.position_hz = POSITIONS;
    scenario.background.frames_per_s = OTHERS;
    scenario.stage.continuous_axes = vec![AxisName::R];
    SimulatorOptions::new(scenario)
}

/// The query with this number. Each worker asks for one axis, and now and then for something else.
fn query(worker: usize, nth: usize) -> Frame {
    let axis = i32::try_from(worker + 1).unwrap();
    let mut query = match nth % 50 {
        7 => Frame::command(CommandCode::SYSTEM_STATE_GET),
        _ => Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis),
    };
    query.hardware_id = FIRST + i32::try_from(nth * WORKERS + worker).unwrap();
    query
}

pub fn under_load_every_answer_is_right_and_none_lost<C: Calls>() {
    C::run(async {
        let simulator = Simulator::start(instrument()).await.unwrap();
        let mut options = Options::new(simulator.control().to_string());
        // The events are looked at when all queries are answered.
        options.event_capacity = 1 << 20;
        let client = C::connect(options).await.expect("the handshake");
        let mut events = client.subscribe(&[]);
        // All that the simulator sends after this answer comes after the subscription.
        let first = client.ask(numbered(QUERIES)).await.expect("an answer").frame;
        let answers = Arc::new(Mutex::new(Vec::with_capacity(QUERIES)));
        let collected = Arc::clone(&answers);
        let work = move |client: C, worker: usize| -> super::Work {
            let answers = Arc::clone(&collected);
            Box::pin(async move {
                for nth in 0..QUERIES / WORKERS {
                    let query = query(worker, nth);
                    let answer = client.ask_here(query).await.expect("an answer");
                    answers.lock().unwrap().push((query, answer.frame));
                }
            })
        };
        client.at_once(WORKERS, work).await;
        // What came before this answer has reached the subscriber.
        let last = client.ask(numbered(QUERIES + 1)).await.expect("an answer").frame;
        let marks = [(numbered(QUERIES), first), (numbered(QUERIES + 1), last)];
        let answers = std::mem::take(&mut *answers.lock().unwrap());
        assert_eq!(answers.len(), QUERIES);
        let truth = simulator.truth();
        assert_eq!(truth.dropped(), 0, "the truth is complete");
        let right = check_answers(&truth, &answers);
        assert_eq!(right, QUERIES);
        check_events(&mut events, &truth, marks.map(|mark| sequence(&truth, &mark.1))).await;
        assert_eq!(client.stats().await.unwrap().events_lost, 0);
        client.close().await;
        simulator.stop().await;
    });
}

/// A query with a number that no worker uses.
fn numbered(number: usize) -> Frame {
    let mut query = Frame::command(CommandCode::SYSTEM_STATE_GET);
    query.hardware_id = FIRST + i32::try_from(number).unwrap();
    query
}

/// The place of an answer on the wire.
fn sequence(truth: &Truth, answer: &Frame) -> u64 {
    let sent = truth.sent();
    let found = sent.iter().find(|record| record.frame == *answer).expect("it was sent");
    found.sequence
}

/// Compares the answers with the truth. Returns how many are right.
fn check_answers(truth: &Truth, answers: &[(Frame, Frame)]) -> usize {
    let requests: HashMap<_, _> = truth
        .received()
        .iter()
        .map(|command| (command.frame.hardware_id, command.request))
        .collect();
    let mut of_request = HashMap::new();
    for record in truth.sent() {
        if let TrueClass::Answer { request, .. } = record.truth {
            of_request.insert(request, record.frame);
        }
    }
    for (query, answer) in answers {
        assert_eq!(*answer, of_request[&requests[&query.hardware_id]], "the answer to {query}");
    }
    answers.len()
}

/// Each unsolicited frame between two answers comes once, in the order on the wire. The subscription may have begun a
/// little before the first of the two.
async fn check_events(events: &mut impl Events, truth: &Truth, [first, last]: [u64; 2]) {
    let sent = truth.sent();
    let unsolicited = |record: &&TruthRecord| record.truth == TrueClass::Unsolicited;
    let sent: Vec<_> = sent.iter().filter(unsolicited).filter(|it| it.sequence < last).collect();
    let before = sent.iter().filter(|record| record.sequence < first).count();
    let meanwhile = sent.len() - before;
    assert!(meanwhile >= 50, "only {meanwhile} unsolicited frames were sent meanwhile");
    let mut received = Vec::new();
    while received.len() < meanwhile {
        received.push(next_unsolicited(events).await);
    }
    let begins_at = |skipped: &usize| {
        received.iter().zip(&sent[*skipped..]).all(|(frame, record)| *frame == record.frame)
    };
    let begin = (0..=before).find(begins_at).expect("the frames of the wire, each once, in order");
    for record in &sent[begin + meanwhile..] {
        assert_eq!(next_unsolicited(events).await, record.frame);
    }
}

async fn next_unsolicited(events: &mut impl Events) -> Frame {
    loop {
        match events.next().await {
            Some(Event::Frame(event)) if matches!(event.class, Class::Unsolicited { .. }) => {
                return event.frame;
            }
            // A presumed answer.
            Some(Event::Frame(event)) if matches!(event.class, Class::Solicited { .. }) => {}
            other => panic!("expected an unsolicited frame, got {other:?}"),
        }
    }
}
