//! Faults of the instrument never give a client a wrong answer: the client over TCP against the simulator with
//! faults. The answer echoes int32Data1, which identifies the query.

use std::sync::Arc;
use std::time::Duration;

use flamingo_protocol_core::{Class, CommandCode, Frame, connection::TokenField};
use flamingo_runtime_std::{Answer, Client, Error, Event, EventFrame, Options, Subscription};
use flamingo_simulator::{Fault, Scenario, Simulator, SimulatorOptions, TrueClass, TruthRecord};

const WITH_AND_WITHOUT_TOKENS: [Option<TokenField>; 2] = [None, Some(TokenField::Int32Data2)];

async fn start(scenario: Scenario) -> Simulator {
    Simulator::start(SimulatorOptions::new(scenario)).await.unwrap()
}

async fn connect(simulator: &Simulator, tune: impl FnOnce(&mut Options)) -> Client {
    let mut options = Options::new(simulator.control().to_string());
    tune(&mut options);
    Client::connect(options).await.unwrap()
}

fn numbered_query(code: CommandCode, axis: i32, number: i32) -> Frame {
    let mut frame = Frame::command(code).with_selector(axis);
    frame.int32_data[1] = number;
    frame
}

async fn ask(client: &Client, axis: i32, number: i32) -> Result<Answer, Error> {
    client.request(numbered_query(CommandCode::STAGE_POSITION_GET, axis, number)).await
}

/// Checks that this is the proven answer to the query with this number.
fn assert_right(answer: Result<Answer, Error>, number: i32) {
    let answer = answer.unwrap_or_else(|error| panic!("question {number}: {error}"));
    assert_eq!(answer.frame.int32_data[1], number);
    assert!(answer.proven);
}

/// All events of a subscription until the client was closed.
async fn rest(mut events: Subscription) -> Vec<Arc<EventFrame>> {
    let mut frames = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Frame(frame) => frames.push(frame),
            Event::Lagged(lost) => panic!("{lost} events were lost"),
            _ => {}
        }
    }
    frames
}

#[test]
fn a_late_answer_never_becomes_the_next_requests_answer() {
    for tokens in WITH_AND_WITHOUT_TOKENS {
        smol::block_on(async {
            let mut scenario = Scenario::default();
            let late = Fault::every(4).code(CommandCode::STAGE_POSITION_GET);
            scenario.faults.late_answers = late;
            scenario.faults.late_by_ms = 250.0;
            let simulator = start(scenario).await;
            let client = connect(&simulator, |options| {
                options.protocol.tokens = tokens;
                options.timeout = Duration::from_millis(600);
            })
            .await;
            let events = client.subscribe(&[CommandCode::STAGE_POSITION_GET]);
            let mut timeouts = 0;
            for number in 1..=30 {
                let query = numbered_query(CommandCode::STAGE_POSITION_GET, 1, number);
                let quick = Duration::from_millis(100);
                match client.request_within(query, quick).await {
                    // The very next one may not wait as long as the late answer takes.
                    Err(Error::TimedOut { .. }) => {
                        timeouts += 1;
                        assert_right(ask(&client, 1, 1000 + number).await, 1000 + number);
                    }
                    answer => assert_right(answer, number),
                }
            }
            client.close().await;
            let late = rest(events).await;
            assert!(timeouts >= 3, "{tokens:?}: {timeouts} answers were late");
            let is_late = |event: &&Arc<EventFrame>| matches!(event.class, Class::Late { .. });
            let told = late.iter().filter(is_late).count();
            assert!(told >= timeouts - 1, "{tokens:?}: {told} of {timeouts} were told as late");
        });
    }
}

#[test]
fn a_lost_answer_does_not_shift_later_answers_by_one() {
    for tokens in WITH_AND_WITHOUT_TOKENS {
        smol::block_on(async {
            let mut scenario = Scenario::default();
            let lost = Fault::every(10).code(CommandCode::STAGE_POSITION_GET);
            scenario.faults.lost_answers = lost;
            let simulator = start(scenario).await;
            let client = connect(&simulator, |options| {
                options.protocol.tokens = tokens;
                options.timeout = Duration::from_millis(150);
            })
            .await;
            let mut lost = 0;
            for number in 1..=60 {
                match ask(&client, 1, number).await {
                    Err(Error::TimedOut { .. } | Error::Unanswered { .. }) => lost += 1,
                    answer => assert_right(answer, number),
                }
            }
            assert!((3..=12).contains(&lost), "{tokens:?}: {lost} answers were lost");
            client.close().await;
        });
    }
}

#[test]
fn a_command_that_is_never_answered_shifts_nothing() {
    for tokens in WITH_AND_WITHOUT_TOKENS {
        smol::block_on(async {
            let never = "never_answered = [\"CAMERA_IMAGE_SIZE_GET\"]";
            let simulator = start(Scenario::from_toml(never).unwrap()).await;
            let client = connect(&simulator, |options| {
                options.protocol.tokens = tokens;
                options.timeout = Duration::from_millis(100);
                // With tokens only time ends what is owed. Until then it takes a place of the window.
                options.protocol.grace = options.timeout.into();
            })
            .await;
            for number in 1..=5 {
                let size =
                    client.request(numbered_query(CommandCode::CAMERA_IMAGE_SIZE_GET, 0, number));
                let pixel =
                    numbered_query(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET, 0, 100 + number);
                let (size, pixel) = smol::future::zip(size, client.request(pixel)).await;
                let unanswered =
                    matches!(size, Err(Error::TimedOut { .. } | Error::Unanswered { .. }));
                assert!(unanswered, "{size:?}");
                assert_right(pixel, 100 + number);
                assert_right(ask(&client, 1, 200 + number).await, 200 + number);
            }
            client.close().await;
        });
    }
}

#[test]
fn answers_and_pushes_are_never_taken_for_each_other() {
    smol::block_on(async {
        let busy = "seed = 3\n[background]\nframes_per_s = 400\n\
                    [stage]\ncontinuous_axes = [\"x\", \"z\"]\n";
        let simulator = start(Scenario::from_toml(busy).unwrap()).await;
        let client = connect(&simulator, |_| {}).await;
        let events = client.subscribe(&[]);
        let mut answers = Vec::new();
        for number in 1..=50 {
            let size = numbered_query(CommandCode::CAMERA_IMAGE_SIZE_GET, 0, 0);
            answers.push(client.request(size).await.unwrap());
            answers.push(ask(&client, 1, number).await.unwrap());
        }
        client.close().await;
        let events = rest(events).await;
        let truth = simulator.truth().sent();
        let class_of = |frame: &Frame| -> Vec<&TrueClass> {
            let same = truth.iter().filter(|record: &&TruthRecord| record.frame == *frame);
            same.map(|record| &record.truth).collect()
        };
        assert!(events.len() > 10, "there were {} events", events.len());
        for event in &events {
            let truth = class_of(&event.frame);
            assert!(truth.contains(&&TrueClass::Unsolicited), "{}: {truth:?}", event.frame);
        }
        for answer in &answers {
            let truth = class_of(&answer.frame);
            let answered = truth.iter().any(|truth| matches!(truth, TrueClass::Answer { .. }));
            assert!(answer.proven && answered, "{}: {truth:?}", answer.frame);
        }
    });
}

#[test]
fn a_short_move_that_stops_before_its_acknowledgement_ends() {
    smol::block_on(async {
        let scenario = "[latency]\nmove_ack_ms = 300\n[stage]\nspeed_factor = 100\n";
        let simulator = start(Scenario::from_toml(scenario).unwrap()).await;
        let client = connect(&simulator, |_| {}).await;
        let here = ask(&client, 3, 1).await.unwrap().frame.value;
        let mut motion = client.arm(3);
        let target = numbered_query(CommandCode::STAGE_POSITION_SET, 3, 2).with_value(here + 0.25);
        let acknowledged = client.request(target).await.unwrap();
        let end = motion.wait().await.unwrap();
        assert!(end.completed);
        assert!(end.at < acknowledged.at, "the motion ended before the acknowledgement came");
        let there = ask(&client, 3, 3).await.unwrap().frame.value;
        assert!((there - here - 0.25).abs() < 1e-6, "from {here} to {there}");
        client.close().await;
    });
}

#[test]
fn a_hostile_stream_costs_neither_an_answer_nor_an_event() {
    smol::block_on(async {
        let mut scenario =
            Scenario::from_toml("seed = 11\n[background]\nframes_per_s = 400\n").unwrap();
        let faults = &mut scenario.faults;
        faults.split_writes = Fault::every(3);
        faults.junk = Fault::every(5);
        faults.broken_markers = Fault::every(7);
        faults.false_markers = Fault::every(4);
        faults.stale_prefix_bytes = 300;
        let simulator = start(scenario).await;
        let client = connect(&simulator, |_| {}).await;
        let events = client.subscribe(&[]);
        assert_right(ask(&client, 1, -1).await, -1);
        for number in 1..=300 {
            assert_right(ask(&client, 1 + number % 4, number).await, number);
        }
        let noise = client.stats().await.unwrap().counters.noise_bytes;
        assert!(noise > 1000, "only {noise} bytes of noise");
        client.close().await;
        let events = rest(events).await;
        let truth = simulator.truth().sent();
        let at =
            |mark: i32| truth.iter().position(|record| record.frame.int32_data[1] == mark).unwrap();
        let between = &truth[at(-1)..at(300)];
        let unsolicited = |r: &&TruthRecord| matches!(r.truth, TrueClass::Unsolicited);
        let pushes: Vec<_> =
            between.iter().filter(unsolicited).map(|record| record.frame).collect();
        let mut got = events.iter().map(|event| event.frame);
        for push in &pushes {
            assert!(got.any(|frame| frame == *push), "lost, or out of order: {push}");
        }
        assert!(pushes.len() > 100, "{} pushes", pushes.len());
    });
}
