//! What the demo asks and moves, and what it hears meanwhile. Nothing is judged here.

use std::time::{Duration, SystemTime};

use async_channel::Sender;
use flamingo_microscope::Axis;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Answer, Client, Clock, Event, MotionStopped, Stats, Subscription};
use smol::future::zip;
use smol::{Task, Timer};

use crate::connect::within;

/// Between two rounds of queries.
const PAUSE: Duration = Duration::from_millis(100);
/// No motion here takes nearly as long.
const MOTION: Duration = Duration::from_secs(5);
/// Short steps, in mm or degrees, that end before they are acknowledged.
const STEPS: [f64; 4] = [0.02, -0.02, 0.02, -0.02];

/// What there is to print and to count.
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
        /// When the acknowledgement came.
        acknowledged: SystemTime,
    },
    /// A request or a motion did not end as it should.
    Failed {
        what: String,
        at: SystemTime,
    },
    Event(Event),
    /// The last thing that is counted: every event before it was heard.
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

    /// Hands on what is heard, until the connection is closed.
    pub(super) async fn events(self, mut events: Subscription) {
        // Holding a client here would keep the connection open for ever.
        let Self { client, to } = self;
        drop(client);
        while let Some(event) = events.next().await {
            let _ = to.send(Happened::Event(event)).await;
        }
    }

    /// All of it, between two state queries: what the simulator sent between their answers, this
    /// client must have heard.
    pub(super) async fn play(self) {
        self.ask(state()).await;
        let moves = Axis::ALL.map(|axis| {
            let script = self.clone();
            smol::spawn(async move { script.travel(axis).await })
        });
        // Once each: levels are also pushed, so a second query would wait until no answer to the
        // first can come any more.
        for laser in 1..=4 {
            self.ask(Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(laser)).await;
        }
        while !moves.iter().all(Task::is_finished) {
            self.query_everything().await;
            Timer::after(PAUSE).await;
        }
        self.ask(state()).await;
        match self.client.stats().await {
            Ok(stats) => self.tell(Happened::Finished(stats)).await,
            Err(error) => self.failed(error.to_string()).await,
        }
        self.client.close().await;
    }

    /// Every query at once, from tasks of their own.
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

    /// There and back again, and a few short steps.
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

    /// Arms, moves, waits: a short motion may end before its acknowledgement.
    async fn move_to(&self, axis: Axis, target: f64) {
        let command = Frame::command(CommandCode::STAGE_POSITION_SET);
        let command = command.with_selector(axis.selector()).with_value(target);
        let mut motion = self.client.arm(axis.selector());
        let (answer, end) = zip(self.ask(command), within(MOTION, motion.wait())).await;
        let failure = match (answer, end) {
            // It was told by whoever asked.
            (None, _) => return,
            (Some(answer), Some(Ok(end))) if end.completed => {
                let acknowledged = answer.at;
                return self.tell(Happened::Moved { axis, target, end, acknowledged }).await;
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
                self.tell(Happened::Answered { request, answer: answer.clone() }).await;
                Some(answer)
            }
            Err(error) => {
                self.failed(error.to_string()).await;
                None
            }
        }
    }

    async fn failed(&self, what: String) {
        self.tell(Happened::Failed { what, at: Clock::wall() }).await;
    }

    async fn tell(&self, happened: Happened) {
        // The printer goes first only when stdout was closed: then nobody is left to tell.
        let _ = self.to.send(happened).await;
    }
}

fn position(axis: Axis) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis.selector())
}

fn state() -> Frame {
    Frame::command(CommandCode::SYSTEM_STATE_GET)
}
