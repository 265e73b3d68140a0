//! `flamingo race`: prints the table of the experiment in the crate `flamingo-race`.

use flamingo_race::{RaceArgs, RaceError};

use crate::failure::{CommandResult, Failure, note};
use crate::output::{Out, stdout_failed};

/// Runs the experiment on a thread of its own, since it blocks.
pub(crate) async fn run(args: RaceArgs, json: bool) -> CommandResult {
    smol::unblock(move || run_blocking(&args, json)).await
}

/// Runs the experiment, or one run of it.
pub(crate) fn run_blocking(args: &RaceArgs, json: bool) -> CommandResult {
    let mut out = Out::new(json);
    let mut print = |line: &str| out.write(format!("{line}\n").as_bytes());
    match flamingo_race::run(args, json, &mut print) {
        Ok(Some(plot)) => {
            note(&format!("plot written to {}", plot.display()));
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(RaceError::Output(error)) => Err(stdout_failed(&error)),
        Err(RaceError::Interrupted) => Err(Failure::interrupted()),
        Err(error @ RaceError::Refused(_)) => Err(Failure::usage(error.to_string())),
        Err(error) => Err(Failure::new(1, error.to_string())),
    }
}
