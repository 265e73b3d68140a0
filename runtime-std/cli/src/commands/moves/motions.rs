//! The motions of `flamingo move` and `flamingo home`: starts them, waits for their ends, shows where the
//! axes are, and halts them after Ctrl-C.

use std::future::Future;
use std::time::Duration;

use flamingo_microscope::units::Position;
use flamingo_microscope::{Axis, Error, Microscope, Motion, PositionUpdates};
use flamingo_runtime_std::{Client, Clock};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::commands::halt::halt;
use crate::connect::within;
use crate::failure::{CommandResult, Failure, INTERRUPTED, NO_ANSWER, all};
use crate::frame_json::FrameJson;
use crate::frame_text::outcome_remark;
use crate::output::{Out, milliseconds};

/// What one axis is to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    pub(super) axis: Axis,
    /// `None`: the home position, which the settings do not name.
    pub(super) target: Option<Position>,
    pub(super) home: bool,
}

impl Planned {
    fn text(self) -> String {
        match (self.home, self.target) {
            (false, Some(target)) => format!("axis {} to {target}", self.axis),
            (_, Some(target)) => format!("axis {} home, to {target}", self.axis),
            (_, None) => format!("axis {} home", self.axis),
        }
    }

    async fn begin(self, microscope: Microscope) -> Result<Motion, Error> {
        match self.target {
            Some(target) if !self.home => {
                microscope.stage().move_unchecked(self.axis, target).await
            }
            _ => microscope.stage().home(self.axis).await,
        }
    }
}

/// The errors of the typed layer name the axis.
fn failure(error: &Error) -> Failure {
    Failure::new(error.exit_code(), error.to_string())
}

/// The JSON of a move: the acknowledgement or, with `--wait`, the end of the motion.
#[derive(Serialize)]
struct MoveJson {
    axis: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_mm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_deg: Option<f64>,
    acknowledged: bool,
    /// Whether the motion has ended; `false` without `--wait`.
    ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    motion_ms: Option<f64>,
    /// The frame that reports it. None if the position of the axis shows that it has arrived.
    #[serde(flatten)]
    frame: Option<FrameJson>,
}

impl MoveJson {
    fn new(
        planned: Planned,
        acknowledged: bool,
        took: Option<Duration>,
        frame: Option<FrameJson>,
    ) -> Self {
        let is_r = planned.axis == Axis::R;
        let target = planned.target.map(Position::value);
        Self {
            axis: planned.axis.letter(),
            target_mm: target.filter(|_| !is_r),
            target_deg: target.filter(|_| is_r),
            acknowledged,
            ended: took.is_some(),
            motion_ms: took.map(milliseconds),
            frame,
        }
    }
}

/// Sends the commands of all axes at once. If one fails, all these axes are halted.
async fn begin(microscope: &Microscope, planned: &[Planned]) -> CommandResult<Vec<Motion>> {
    let begun = planned.iter().map(|each| smol::spawn(each.begin(microscope.clone())));
    let (mut motions, mut failed) = (Vec::new(), None);
    for task in begun.collect::<Vec<_>>() {
        match task.await {
            Ok(motion) => motions.push(motion),
            Err(error) => failed = failed.or_else(|| Some(failure(&error))),
        }
    }
    let Some(failed) = failed else { return Ok(motions) };
    if planned.len() > 1 {
        // Also the axis whose command was not answered: it may be moving.
        let axes: Vec<Axis> = planned.iter().map(|each| each.axis).collect();
        return Err(also(failed, &halted(microscope.client(), &axes).await));
    }
    Err(failed)
}

/// The failure, with what was done after it.
fn also(failure: Failure, done: &str) -> Failure {
    match failure {
        Failure::Exit { code, message } => Failure::new(code, format!("{message}; {done}")),
        Failure::ClosedPipe => Failure::ClosedPipe,
    }
}

/// Starts the motions; ends when each is acknowledged.
pub(super) async fn acknowledge(
    microscope: &Microscope,
    planned: &[Planned],
    out: &mut Out,
) -> CommandResult {
    let motions = begin(microscope, planned).await?;
    for (planned, motion) in planned.iter().zip(&motions) {
        let text = planned.text();
        let Some(answer) = motion.acknowledgement() else {
            // The motion has ended already, or the instrument acknowledges it at its end.
            let word = if planned.home { "sent" } else { "done" };
            out.either(&MoveJson::new(*planned, false, None, None), || format!("{text}  {word}"))?;
            continue;
        };
        out.either(&MoveJson::new(*planned, true, None, Some(FrameJson::of(answer))), || {
            let (elapsed, remark) = (milliseconds(answer.elapsed), outcome_remark(answer));
            format!("{text}  moving, acknowledged in {elapsed} ms{remark}")
        })?;
    }
    Ok(())
}

/// Starts the motions; ends when all have ended. Each axis is reported, also if another one fails.
pub(super) async fn wait(
    microscope: &Microscope,
    planned: &[Planned],
    limit: Duration,
    out: &mut Out,
) -> CommandResult {
    let clock = Clock::start();
    let elapsed =
        move || Duration::from(clock.now().since(flamingo_protocol_core::time::Instant::default()));
    let progress = show_progress(microscope.stage().position_updates(), planned);
    let begun = within(limit, begin(microscope, planned)).await;
    let motions = begun.unwrap_or_else(|| Err(still_moving(&texts(planned), limit)))?;
    let mut waits = Vec::new();
    for (planned, mut motion) in planned.iter().zip(motions) {
        let left = limit.saturating_sub(elapsed());
        waits.push((
            planned,
            smol::spawn(async move {
                if motion.acknowledgement().is_some() {
                    tracing::info!("{} moving", planned_text(&motion));
                }
                let arrival = within(left, motion.wait()).await;
                (motion, arrival, elapsed())
            }),
        ));
    }
    let mut ended = Vec::new();
    for (planned, task) in waits {
        ended.push((planned, task.await));
    }
    drop(progress);
    let mut results = Vec::new();
    for (planned, (motion, arrival, took)) in ended {
        let acknowledged = motion.acknowledgement().is_some();
        results.push(match arrival {
            None => Err(still_moving(&planned.text(), limit)),
            Some(Err(error)) => Err(failure(&error)),
            Some(Ok(arrival)) => {
                let frame = arrival
                    .message
                    .map(|frame| FrameJson::new(&frame).unsolicited().at(arrival.at));
                out.either(&MoveJson::new(*planned, acknowledged, Some(took), frame), || {
                    format!("{}  done in {} ms", planned.text(), milliseconds(took))
                })
            }
        });
    }
    all(results)
}

fn planned_text(motion: &Motion) -> String {
    format!("axis {}", motion.axis())
}

fn texts(planned: &[Planned]) -> String {
    planned.iter().map(|each| each.text()).collect::<Vec<_>>().join(", ")
}

fn still_moving(what: &str, limit: Duration) -> Failure {
    let limit = humantime::format_duration(limit);
    let message = format!("{what}: still moving after {limit}; wait longer, or: flamingo halt");
    Failure::new(NO_ANSWER, message)
}

/// Shows the positions of the axes on the terminal until the task is dropped.
fn show_progress(mut updates: PositionUpdates, planned: &[Planned]) -> smol::Task<()> {
    // Hidden if stderr is no terminal.
    let bar = ProgressBar::new_spinner().with_message(texts(planned));
    let mut shown: Vec<(Axis, String)> =
        planned.iter().map(|each| (each.axis, each.text())).collect();
    let texts: Vec<String> = planned.iter().map(|each| each.text()).collect();
    smol::spawn(async move {
        let bar = Cleared(bar);
        while let Some(update) = updates.next().await {
            let Some(at) = shown.iter().position(|(axis, _)| *axis == update.axis) else {
                continue;
            };
            shown[at].1 = format!("{}, now {:.4}", texts[at], update.position);
            let message: Vec<&str> = shown.iter().map(|(_, text)| text.as_str()).collect();
            bar.0.set_message(message.join("; "));
            bar.0.tick();
        }
    })
}

/// Removes the line when it is dropped.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The result of `work`. After Ctrl-C all these axes are halted: their commands were sent, or may have
/// been.
pub(super) async fn or_halt(
    interrupt: &crate::interrupt::Interrupt,
    client: &Client,
    axes: &[Axis],
    work: impl Future<Output = CommandResult>,
) -> CommandResult {
    let pressed = async {
        interrupt.pressed().await;
        None
    };
    if let Some(done) = smol::future::or(pressed, async { Some(work.await) }).await {
        return done;
    }
    let message = format!("interrupted, {}", halted(client, axes).await);
    Err(Failure::new(INTERRUPTED, message))
}

/// Halts these axes, all at the same time; says which of them were halted.
async fn halted(client: &Client, axes: &[Axis]) -> String {
    let halts: Vec<_> = axes
        .iter()
        .map(|axis| {
            let (client, axis) = (client.clone(), *axis);
            (axis, smol::spawn(async move { halt(&client, axis).await }))
        })
        .collect();
    let mut said = Vec::new();
    for (axis, task) in halts {
        said.push(match task.await {
            Ok(_) => format!("axis {axis} halted"),
            Err(Failure::Exit { message, .. }) => format!("but: {message}"),
            Err(Failure::ClosedPipe) => format!("but: axis {axis} may still be moving"),
        });
    }
    said.join(", ")
}
