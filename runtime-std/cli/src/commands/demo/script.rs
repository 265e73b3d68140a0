//! The requests and motions of the demo, and the events that arrive. `compare.rs` checks them.

use std::time::{Duration, SystemTime};

use async_channel::Sender;
use flamingo_microscope::Axis;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Answer, Client, Clock, Event, MotionStopped, Stats, Subscription};
use smol::future::zip;
use smol::{Task, Timer};

use crate::connect::within;

/// The pause between two rounds of queries.
const PAUSE: Duration = Duration::from_millis(100);
/// The time limit for a motion.
const MOTION: Duration = Duration::from_secs(5);
/// Short motions, in mm or degrees, that end before their acknowledgement.
const STEPS: [f64; 4] = [0.02, -0.02, 0.02, -0.02];

/// What the demo prints and counts.
#[allow(clippy::large_enum_variant)] // a few hundred of them, each printed at once
pub(super) enum Happened {
    Answered {
        request: Frame,
        answer: Answer,
    },
    /// A motion has ended.
    Moved {
        axis: Axis,
        target: f64,
        end: MotionStopped,
        /// The time of the acknowledgement.
        acknowledged: SystemTime,
    },
    /// A request or a motion failed.
    Failed {
        what: String,
        at: SystemTime,
    },
    Event(Event),
    /// The last item: every event before it has arrived.
    Finished(Stats),
}

/// One client, shared by the tasks of the demo.
#[derive(Clone)]
pub(super) struct Script {
    client: Client,
    to: Sender<Happened>,
}

impl Script {
    pub(super) fn new(client: Client, to: Sender<Happened>) -> Self {
        Self { client, to }
    }

    /// Forwards events until the connection is closed.
    pub(super) async fn events(self, mut events: Subscription) {
        // A client that is kept here would keep the connection open.
        let Self { client, to } = self;
        drop(client);
        while let Some(event) = events.next().await {
            let _ = to.send(Happened::Event(event)).await;
        }
    }

    /// Runs everything between two queries of the state. The client must receive every event that the
    /// simulator sends between the answers to them.
    pub(super) async fn play(self) {
        self.ask(state()).await;
        let moves = Axis::ALL.map(|axis| {
            let script = self.clone();
            smol::spawn(async move { script.travel(axis).await })
        });
        // Once each: the instrument also pushes levels, so a second query would wait until a late answer
        // to the first is no longer possible.
        for laser in 1..=4 {
            self.ask(Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(laser)).await;
        }
        while !moves.iter().all(Task::is_finished) {
            self.query_everything().await;
            Timer::after(PAUSE).await;
        }
        self.ask(state()).await;
        match self.client.stats().await {
            Ok(stats) => self.report(Happened::Finished(stats)).await,
            Err(error) => self.failed(error.to_string()).await,
        }
        self.client.close().await;
    }

    /// Sends every query at once, each from a task of its own.
    async fn query_everything(&self) {
        let positions = Axis::ALL.map(position);
        let others = [Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET), state()];
        let queries = positions.into_iter().chain(others).map(|query| {
            let script = self.clone();
            smol::spawn(async move { script.ask(query).await })
        });
        for query in queries.collect::<Vec<_>>() {
            query.await;
        }
    }

    /// Moves there and back, and then a few short steps.
    async fn travel(&self, axis: Axis) {
        let Some(answer) = self.ask(position(axis)).await else { return };
        let start = answer.frame.value;
        let far = if axis == Axis::R { 75.0 } else { 1.5 };
        self.move_to(axis, start + far).await;
        self.move_to(axis, start).await;
        let mut target = start;
        for step in STEPS {
            target += step;
            self.move_to(axis, target).await;
        }
    }

    /// Arms, moves, and waits: a short motion can end before its acknowledgement.
    async fn move_to(&self, axis: Axis, target: f64) {
        let command = Frame::command(CommandCode::STAGE_POSITION_SET);
        let command = command.with_selector(axis.selector()).with_value(target);
        let mut motion = self.client.arm(axis.selector());
        let (answer, end) = zip(self.ask(command), within(MOTION, motion.wait())).await;
        let failure = match (answer, end) {
            // `ask` has reported the failure.
            (None, _) => return,
            (Some(answer), Some(Ok(end))) if end.completed => {
                let acknowledged = answer.at;
                return self.report(Happened::Moved { axis, target, end, acknowledged }).await;
            }
            (_, Some(Ok(end))) => format!("ended with status {}, expected 1", end.frame.status),
            (_, Some(Err(error))) => error.to_string(),
            (_, None) => format!("did not end within {MOTION:?}"),
        };
        self.failed(format!("motion of axis {axis} to {target}: {failure}")).await;
    }

    async fn ask(&self, request: Frame) -> Option<Answer> {
        match self.client.request(request).await {
            Ok(answer) => {
                self.report(Happened::Answered { request, answer: answer.clone() }).await;
                Some(answer)
            }
            Err(error) => {
                self.failed(error.to_string()).await;
                None
            }
        }
    }

    async fn failed(&self, what: String) {
        self.report(Happened::Failed { what, at: Clock::wall() }).await;
    }

    async fn report(&self, happened: Happened) {
        // The receiver ends early only if stdout is closed.
        let _ = self.to.send(happened).await;
    }
}

fn position(axis: Axis) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis.selector())
}

fn state() -> Frame {
    Frame::command(CommandCode::SYSTEM_STATE_GET)
}
