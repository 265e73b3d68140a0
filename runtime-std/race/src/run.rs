//! One run of a strategy: starts the instrument, starts a process that plays the load, and evaluates the result. The load
//! is in `load.rs`, the process in `worker.rs`, the evaluation in `evaluate.rs`.

use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use flamingo_protocol_core::{Frame, time::Instant};
use flamingo_simulator::{FaultKind, Simulator, SimulatorOptions};
use smol::block_on;

use super::evaluate::{Evaluation, Observations, evaluate};
use super::load::{Asked, FIRST, Load, Moved, Played};
use super::processors::{self, ProcessorSplit};
use super::strategies::Kind;
use super::worker::{FrameBytes, Job, JobReport, origin};
use super::{RaceError, failed};

/// The result of one run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) kind: Kind,
    pub(super) load: Load,
    pub(super) evaluation: Evaluation,
    /// Commands that the instrument received in addition to the load.
    pub(super) extra_commands: usize,
    /// Processor time in percent of one processor.
    pub(super) cpu_percent: Option<f64>,
    pub(super) time: Duration,
    /// The instrument closed the connection, because the client did not read.
    pub(super) dropped: bool,
}

/// Makes one run.
pub(super) fn run(
    kind: Kind,
    load: Load,
    split: Option<&ProcessorSplit>,
) -> Result<Run, RaceError> {
    // The thread of the simulator inherits this.
    processors::stay_on(split.map_or(&[], |split| &split.instrument));
    let options = SimulatorOptions::new(load.scenario(kind));
    let simulator = block_on(Simulator::start(options)).map_err(failed)?;
    let job = Job {
        strategy: kind.name().to_owned(),
        load,
        instrument: simulator.control(),
        processors: split.map(|split| split.player.clone()).unwrap_or_default(),
    };
    let report = worker(&job).map_err(|error| match error {
        RaceError::Failed(why) => RaceError::Failed(format!("{}: {why}", kind.name())),
        other => other,
    })?;
    let truth = simulator.truth();
    let clock = truth.clock();
    let (sent, received, faults) = (truth.sent(), truth.received(), truth.faults());
    block_on(simulator.stop());

    let translated = Translated { from: report.origin, to: origin(clock) };
    let played = translated.played(&report).ok_or_else(not_valid)?;
    let handled: Option<Vec<_>> = report.handled.iter().map(|it| translated.handled(it)).collect();
    let span = (translated.at(report.begin), translated.at(report.end));
    let time = Duration::from(span.1.since(span.0));
    let observed = Observations {
        played: &played,
        handled: &handled.ok_or_else(not_valid)?,
        sent: &sent,
        span,
    };
    Ok(Run {
        kind,
        load,
        evaluation: evaluate(&observed),
        extra_commands: received.iter().filter(|record| record.frame.hardware_id < FIRST).count(),
        cpu_percent: report.cpu.map(|cpu| 100.0 * cpu.as_secs_f64() / time.as_secs_f64()),
        time,
        dropped: faults.iter().any(|fault| fault.kind == FaultKind::NotDraining),
    })
}

/// Starts this program again, to play the load.
fn worker(job: &Job) -> Result<JobReport, RaceError> {
    let job = serde_json::to_string(job).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let output = Command::new(program)
        .args(["race", "--player", &job])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        if was_interrupted(output.status) {
            return Err(RaceError::Interrupted);
        }
        return Err(failed(format_args!("the worker process ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(failed)
}

fn not_valid() -> RaceError {
    failed("the report of the worker process is not valid")
}

/// Whether Ctrl-C or a request to terminate ended a process.
#[cfg(unix)]
fn was_interrupted(status: ExitStatus) -> bool {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt;
    let ended_by = [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw);
    status.signal().is_some_and(|signal| ended_by.contains(&signal))
}

#[cfg(not(unix))]
fn was_interrupted(_status: ExitStatus) -> bool {
    false
}

/// Converts times of the worker process to the clock of the ground truth. Both know the wall-clock time at 0 of their
/// clock.
struct Translated {
    from: u64,
    to: u64,
}

impl Translated {
    fn at(&self, micros: u64) -> Instant {
        Instant::from_micros((self.from + micros).saturating_sub(self.to))
    }

    fn handled(&self, (at, frame): &(u64, FrameBytes)) -> Option<(Instant, Frame)> {
        Some((self.at(*at), frame.frame()?))
    }

    fn played(&self, report: &JobReport) -> Option<Played> {
        let asked = report.asked.iter().map(|(at, returned, command, answer)| {
            let answer = match answer {
                Some(answer) => Some(answer.frame()?),
                None => None,
            };
            let (at, returned) = (self.at(*at), self.at(*returned));
            Some(Asked { command: command.frame()?, at, returned, answer })
        });
        let moved = report.moved.iter().map(|(begun, waited, asked, noticed)| Moved {
            begun: self.at(*begun),
            waited: *waited,
            asked: self.at(*asked),
            noticed: noticed.map(|at| self.at(at)),
        });
        Some(Played { asked: asked.collect::<Option<_>>()?, moved: moved.collect() })
    }
}
