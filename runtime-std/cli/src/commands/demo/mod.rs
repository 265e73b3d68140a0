//! `flamingo demo`: a client and a simulated instrument in one program, over real sockets. It checks
//! against the simulator's record that every query got its own answer and that no event was lost.
//!
//! The requests are in `script.rs`, the comparison in `compare.rs`, the program that it is compared with in `naive.rs`, and
//! the lines that count up in `story.rs`; this file prints.

mod compare;
mod naive;
mod script;
mod story;

use std::time::{Duration, SystemTime};

use clap::Args;
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::protocol::time::Instant;
use flamingo_runtime_std::{Client, Clock, Event, Options};
use flamingo_simulator::{Scenario, ScenarioCode, Simulator, SimulatorOptions};
use serde_json::json;

use crate::connect::within;
use crate::failure::{CommandResult, Failure, NO_ANSWER};
use crate::frame_json::FrameJson;
use crate::frame_text::{class_name, frame_line};
use crate::output::{Out, milliseconds, rfc3339};
use compare::{Observed, SummaryJson};
use naive::{Naive, NaiveJson};
use script::{Happened, Script};
use story::Story;

/// The time limit for the demo.
const LIMIT: Duration = Duration::from_secs(13);
/// Events per second, in addition to those that motions cause.
const BACKGROUND: f64 = 40.0;
/// The delay of the acknowledgement of a move. It is longer than a short motion.
const MOVE_ACKNOWLEDGED_MS: f64 = 40.0;

/// Run a client against a simulated instrument
///
/// Starts two simulated instruments on free ports of this machine. A program that matches answers by their code
/// talks to one, and flamingo to the other; both move and query all axes while events arrive. Shows how many answers
/// are wrong and lost. The table at the end compares what flamingo received with the frames that the simulator sent.
/// Takes about 3 s. With --verbose each answer and each event is printed instead.
#[derive(Debug, Default, Args)]
pub(crate) struct DemoArgs {}

pub(crate) async fn run(verbose: bool, out: &mut Out) -> CommandResult {
    within(LIMIT, demo(verbose, out)).await.unwrap_or_else(|| {
        Err(Failure::new(
            NO_ANSWER,
            format!("demo: not finished within {LIMIT:?}; is this machine busy?"),
        ))
    })
}

async fn demo(verbose: bool, out: &mut Out) -> CommandResult {
    let simulator = simulator().await?;
    let other = self::simulator().await?;
    let address = simulator.control();
    let each = verbose || out.json();
    if each {
        out.either(&json!({ "simulator": address }), || {
            format!("simulated instrument on {address}")
        })?;
    }
    let mut story = if each { None } else { Some(Story::begin(out, &scenario())?) };

    let client = Client::connect(Options::new(address.to_string())).await?;
    let naive = Naive::start(other.control(), other.truth())
        .map_err(|error| Failure::new(1, format!("demo: {error}")))?;
    let (to, happened) = async_channel::bounded(1024);
    let script = Script::new(client.clone(), to);
    // Both tasks end when the script closes the connection.
    let tasks =
        [smol::spawn(script.clone().events(client.subscribe(&[]))), smol::spawn(script.play())];
    let (mut observed, clock) = (Observed::default(), Clock::start());
    while let Ok(happened) = happened.recv().await {
        if each {
            print(out, &happened)?;
        }
        observed.count(happened);
        let after = since(clock);
        if let Some(story) = story.as_mut().filter(|story| story.is_due(after)) {
            story.show(out, after, naive.compare(), observed.so_far())?;
        }
    }
    for task in tasks {
        task.await;
    }
    let took = since(clock);
    let naive = smol::unblock(|| naive.end()).await;
    if let Some(story) = &mut story {
        story.show(out, took, naive, observed.so_far())?;
        story.end(out)?;
    }
    if out.json() {
        out.object(&json!({ "matches_by_code": naive }))?;
    }
    let summary = observed.compare(&simulator.truth().sent());
    simulator.stop().await;
    other.stop().await;
    conclude(out, naive, &summary)
}

fn since(clock: Clock) -> Duration {
    clock.now().since(Instant::default()).into()
}

async fn simulator() -> CommandResult<Simulator> {
    let options = SimulatorOptions::new(scenario());
    Simulator::start(options).await.map_err(|error| Failure::new(1, format!("demo: {error}")))
}

/// An instrument without faults, and events that are never the answer to a query.
fn scenario() -> Scenario {
    let codes = [
        CommandCode::UI_SET_GAUGE_VALUE,
        CommandCode::LED_PREVIEW_DISABLE,
        CommandCode::CAMERA_STACK_COMPLETE,
    ];
    let mut scenario = Scenario::default();
    scenario.background.frames_per_s = BACKGROUND;
    scenario.background.codes = codes.map(ScenarioCode).to_vec();
    scenario.latency.move_ack_ms = Some(MOVE_ACKNOWLEDGED_MS);
    scenario
}

fn print(out: &mut Out, happened: &Happened) -> CommandResult {
    match happened {
        Happened::Answered { answer, .. } => {
            let record = FrameJson::of(answer);
            out.either(&record, || {
                let proof = if answer.proven { "proven" } else { "presumed" };
                let line = frame_line(&answer.frame, &answer.payload);
                let elapsed = milliseconds(answer.elapsed);
                row(answer.at, "answer", &format!("{line}  {elapsed} ms, {proof}"))
            })
        }
        Happened::Moved { axis, target, end, acknowledged } => {
            let overtaken = end.at < *acknowledged;
            let unit = axis.unit();
            let moved = json!({
                "moved": axis.letter(), format!("target_{unit}"): target,
                "ended_before_acknowledged": overtaken, "time": rfc3339(end.at),
            });
            out.either(&moved, || {
                let early = if overtaken { ", before its acknowledgement" } else { "" };
                row(end.at, "moved", &format!("axis {axis} to {target} {unit}{early}"))
            })
        }
        Happened::Failed { what, at } => out
            .either(&json!({ "failed": what, "time": rfc3339(*at) }), || row(*at, "FAILED", what)),
        Happened::Event(Event::Frame(event)) => {
            let (class, _) = class_name(&event.class);
            if class == "solicited" {
                // It was printed as a presumed answer.
                return Ok(());
            }
            let record = FrameJson::new(&event.frame).payload(&event.payload);
            out.either(&record.class(&event.class).at(event.at), || {
                let kind = if class == "unsolicited" { "event" } else { class };
                row(event.at, kind, &frame_line(&event.frame, &event.payload))
            })
        }
        Happened::Event(_) | Happened::Finished(_) => Ok(()),
    }
}

fn row(at: SystemTime, kind: &str, text: &str) -> String {
    let time = rfc3339(at);
    format!("{}  {kind:<9}  {text}", time.get(11..23).unwrap_or(&time))
}

fn conclude(out: &mut Out, naive: NaiveJson, summary: &SummaryJson) -> CommandResult {
    let NaiveJson { queries, wrong, lost, .. } = naive;
    out.either(summary, || {
        format!(
            "\n\
             matches by code: of {queries} queries {wrong} got a wrong answer, and {lost} answers were lost\n\
             flamingo: {} wrong, {} lost\n\n\
             requests      {:>8}\n\
             answers       {:>8}\n\
             late          {:>8}\n\
             timeouts      {:>8}\n\
             events        {:>8}\n\
             events lost   {:>8}  (of {} that the simulator sent between the first and the last answer)\n\
             latency p50   {:>8.3} ms\n\
             latency p99   {:>8.3} ms",
            summary.misattributed,
            summary.requests - summary.answers,
            summary.requests,
            summary.answers,
            summary.late,
            summary.timeouts,
            summary.events,
            summary.events_lost,
            summary.events_sent,
            summary.p50_ms,
            summary.p99_ms,
        )
    })?;
    match summary.failure() {
        None => Ok(()),
        Some(failure) => Err(Failure::new(1, format!("demo: {failure}"))),
    }
}
