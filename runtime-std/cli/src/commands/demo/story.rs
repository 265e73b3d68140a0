//! What the demo shows by default: both programs side by side, while they run. On a terminal the numbers count up in
//! place; in a pipe there are a few lines.

use std::time::Duration;

use console::Term;
use flamingo_simulator::Scenario;

use super::naive::NaiveJson;
use crate::failure::CommandResult;
use crate::output::Out;

/// How often the numbers are shown on a terminal, and in a pipe.
const ON_A_TERMINAL: Duration = Duration::from_millis(100);
const IN_A_PIPE: Duration = Duration::from_secs(1);

/// What the client of this library has so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ours {
    pub(super) queries: usize,
    pub(super) answers: usize,
    pub(super) events: usize,
}

/// The lines that count up.
#[derive(Debug)]
pub(super) struct Story {
    on_a_terminal: bool,
    shown_at: Option<Duration>,
}

impl Story {
    /// Prints what it is about.
    pub(super) fn begin(out: &mut Out, scenario: &Scenario) -> CommandResult<Self> {
        let (positions, others) = (scenario.pushes.position_hz, scenario.background.frames_per_s);
        out.line(&format!(
            "Two programs, each with a simulated instrument. All four axes move. Each of them pushes {positions} positions a\n\
             second, and {others} other messages come each second. Both programs ask where the axes are. One takes every\n\
             frame with the code of its query for the answer, as many programs do; flamingo classifies every frame.\n\
             The record of the simulator says what is right.\n",
        ))?;
        out.line(&format!("{:>8}  {:>32}  {:>32}", "", "matches by code", "flamingo"))?;
        out.line(&format!(
            "{:>8}  {:>10} {:>10} {:>10}  {:>10} {:>10} {:>10}",
            "time", "queries", "wrong", "lost", "queries", "unanswered", "events"
        ))?;
        let on_a_terminal =
            Term::stdout().is_term() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Ok(Self { on_a_terminal, shown_at: None })
    }

    /// Whether it is time to show the numbers again.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let pause = if self.on_a_terminal { ON_A_TERMINAL } else { IN_A_PIPE };
        self.shown_at.is_none_or(|at| now.saturating_sub(at) >= pause)
    }

    /// Shows the numbers after this time.
    pub(super) fn show(
        &mut self,
        out: &mut Out,
        after: Duration,
        naive: NaiveJson,
        ours: Ours,
    ) -> CommandResult {
        self.shown_at = Some(after);
        let NaiveJson { queries, wrong, lost, .. } = naive;
        let line = format!(
            "{:>6.1} s  {queries:>10} {wrong:>10} {lost:>10}  {:>10} {:>10} {:>10}",
            after.as_secs_f64(),
            ours.queries,
            ours.queries - ours.answers,
            ours.events,
        );
        if self.on_a_terminal {
            return out.bytes(format!("\r{line}").as_bytes());
        }
        out.line(&line)
    }

    /// Ends the line that counts up.
    pub(super) fn end(&self, out: &mut Out) -> CommandResult {
        if self.on_a_terminal { out.line("") } else { Ok(()) }
    }
}
