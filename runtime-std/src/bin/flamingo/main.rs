//! The `flamingo` program: reads the command line, runs one command, turns its end into an exit
//! code. Nothing else is decided here; each command is in a file of its own.

mod args;
mod completions;
mod decode;
mod failure;
mod interrupt;
mod logging;
mod man;
mod output;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Done;
use interrupt::Interrupt;
use output::Out;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    let mut out = Out::new(cli.json);
    let command = cli.command.unwrap_or_default();
    let done = logging::start(cli.verbose)
        .and_then(|()| Interrupt::install())
        .and_then(|interrupt| smol::block_on(run(command, &mut out, &interrupt)));
    failure::exit_code(done)
}

async fn run(command: Command, out: &mut Out, interrupt: &Interrupt) -> Done {
    let work = async {
        match command {
            Command::Decode(args) => decode::run(args, out).await,
            Command::Completions(args) => completions::run(&args, out),
            Command::Man(args) => man::run(&args, out),
            _ => Err(failure::Failure::usage("soon")),
        }
    };
    interrupt.or(work).await
}
