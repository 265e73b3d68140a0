//! `flamingo race`: prints the table of the experiment in the crate `flamingo-race`.

use flamingo_race::{RaceArgs, RaceError};

use crate::failure::{CommandResult, Failure, note};
use crate::output::{Out, stdout_failed};

/// Runs the experiment on a thread of its own, since it blocks.
pub(crate) async fn run(args: RaceArgs, json: bool) -> CommandResult {
    smol::unblock(move || {
        let mut out = Out::new(json);
        let mut print = |line: &str| out.write(format!("{line}\n").as_bytes());
        match flamingo_race::run(&args, json, &mut print) {
            Ok(Some(plot)) => {
                note(&format!("plot written to {}", plot.display()));
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(RaceError::Output(error)) => Err(stdout_failed(&error)),
            Err(error) => Err(Failure::new(1, error.to_string())),
        }
    })
    .await
}
