//! One strategy on one load: starts the instrument, lets a program of its own play against it, and
//! has it judged. What is played is `load.rs`, who plays is `player.rs`.

use std::process::{Command, Stdio};
use std::time::Duration;

use flamingo_protocol_core::{Frame, Instant};
use flamingo_simulator::{FaultKind, Simulator, SimulatorOptions};
use smol::block_on;

use super::judge::{Evidence, Judgement, judge};
use super::load::{Asked, FIRST, Load, Moved, Played};
use super::player::{Diary, FrameBytes, Part, origin};
use super::processors::{self, Split};
use super::strategies::Kind;

/// What one run came to.
#[derive(Debug, Clone)]
pub(super) struct Heat {
    pub(super) kind: Kind,
    pub(super) load: Load,
    pub(super) judgement: Judgement,
    /// Commands that the instrument got besides those of the load.
    pub(super) extra_commands: usize,
    /// Of one processor, in per cent.
    pub(super) cpu_percent: Option<f64>,
    pub(super) time: Duration,
    /// The instrument dropped the client, which did not read.
    pub(super) dropped: bool,
}

/// Runs it.
pub(super) fn run(kind: Kind, load: Load, split: Option<&Split>) -> Result<Heat, String> {
    // Its thread is started by this one.
    processors::stay_on(split.map_or(&[], |split| &split.instrument));
    let options = SimulatorOptions::new(load.scenario(kind));
    let simulator = block_on(Simulator::start(options)).map_err(|error| error.to_string())?;
    let part = Part {
        strategy: kind.name().to_owned(),
        load,
        instrument: simulator.control(),
        processors: split.map(|split| split.player.clone()).unwrap_or_default(),
    };
    let diary = player(&part).map_err(|error| format!("{}: {error}", kind.name()))?;
    let truth = simulator.truth();
    let clock = truth.clock();
    let (sent, received, faults) = (truth.sent(), truth.received(), truth.faults());
    block_on(simulator.stop());

    let translated = Translated { from: diary.origin, to: origin(clock) };
    let played = translated.played(&diary).ok_or("what the player says makes no sense")?;
    let handled: Option<Vec<_>> = diary.handled.iter().map(|it| translated.handled(it)).collect();
    let span = (translated.at(diary.begin), translated.at(diary.end));
    let time = Duration::from(span.1.since(span.0));
    let evidence = Evidence {
        played: &played,
        handled: &handled.ok_or("what the player says makes no sense")?,
        sent: &sent,
        span,
    };
    Ok(Heat {
        kind,
        load,
        judgement: judge(&evidence),
        extra_commands: received.iter().filter(|record| record.frame.hardware_id < FIRST).count(),
        cpu_percent: diary.cpu.map(|cpu| 100.0 * cpu.as_secs_f64() / time.as_secs_f64()),
        time,
        dropped: faults.iter().any(|fault| fault.kind == FaultKind::NotDraining),
    })
}

/// This program once more, to play a part.
fn player(part: &Part) -> Result<Diary, String> {
    let part = serde_json::to_string(part).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["race", "--player", &part])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("its program ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The player's times by the clock of the ground truth: both know what the calendar said when their
/// clock was at 0.
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

    fn played(&self, diary: &Diary) -> Option<Played> {
        let asked = diary.asked.iter().map(|(at, returned, command, answer)| {
            let answer = match answer {
                Some(answer) => Some(answer.frame()?),
                None => None,
            };
            let (at, returned) = (self.at(*at), self.at(*returned));
            Some(Asked { command: command.frame()?, at, returned, answer })
        });
        let moved = diary.moved.iter().map(|(begun, waited, asked, noticed)| Moved {
            begun: self.at(*begun),
            waited: *waited,
            asked: self.at(*asked),
            noticed: noticed.map(|at| self.at(at)),
        });
        Some(Played { asked: asked.collect::<Option<_>>()?, moved: moved.collect() })
    }
}
