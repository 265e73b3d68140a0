//! The `flamingo` program: reads the command line, runs one command, and turns its result into an
//! exit code. Each command is in a file or folder of its own, in `commands`.

mod args;
mod colour;
mod command_line;
mod commands;
mod config;
mod connect;
mod examples;
mod failure;
mod frame_json;
mod frame_text;
mod interrupt;
mod logging;
mod new_file;
mod output;
mod profile;
mod suggest;
mod terminal_picture;
mod units;
mod usage_error;

use std::process::ExitCode;

use flamingo_bridge::settings::LogFormat;

use args::Command;
use commands::{
    bridge, codes, completions, config as config_command, decode, demo, doctor, get, halt, images,
    lights, live, man, moves, queue, race, record, replay, send, set, settings, sim, watch,
    workflow,
};
use failure::CommandResult;
use interrupt::Interrupt;
use output::Out;

fn main() -> ExitCode {
    completions::answer_shell();
    let line = match command_line::read() {
        Ok(line) => line,
        Err(code) => return code,
    };
    let cli = line.cli;
    let mut out = Out::new(cli.json);
    let command = cli.command.unwrap_or_default();
    if let Command::Config(args) = &command {
        return failure::exit_code(config_command::run(args, line.connect_from, &mut out));
    }
    if let Command::Bridge(args) = &command {
        return failure::exit_code(bridge::run(args, cli.verbose, &mut out));
    }
    if let Command::Race(args) = &command
        && args.is_one_run()
    {
        // Started by `flamingo race`, which reports Ctrl-C. Without a handler, this process ends silently.
        return failure::exit_code(race::run_blocking(args, cli.json));
    }
    let result = logging::start(cli.verbose, LogFormat::Text).and_then(|_logs| {
        let interrupt = Interrupt::install()?;
        smol::block_on(run(command, cli.verbose > 0, &mut out, &interrupt))
    });
    failure::exit_code(result)
}

async fn run(
    command: Command,
    verbose: bool,
    out: &mut Out,
    interrupt: &Interrupt,
) -> CommandResult {
    match command {
        Command::Demo(_) => interrupt.or(Box::pin(demo::run(verbose, out))).await,
        Command::Sim(args) => sim::run(args, out, interrupt).await,
        // `main` has run it already: it handles signals itself.
        Command::Bridge(_) | Command::Config(_) => Ok(()),
        Command::Race(args) => interrupt.or(race::run(args, out.json())).await,
        Command::Get(args) => interrupt.or(get::run(args, out)).await,
        Command::Move(args) => Box::pin(moves::run(*args, out, interrupt)).await,
        Command::Home(args) => Box::pin(moves::home(args, out, interrupt)).await,
        Command::Velocity(args) => interrupt.or(moves::velocity(args, out)).await,
        Command::Set(args) => Box::pin(set::run(args, out, interrupt)).await,
        Command::Laser(args) => interrupt.or(lights::laser_command(args, out)).await,
        Command::Led(args) => interrupt.or(lights::led(args, out)).await,
        Command::Illumination(args) => interrupt.or(lights::illumination(args, out)).await,
        Command::Halt(args) => halt::run(args, out).await,
        Command::Watch(args) => Box::pin(watch::run(*args, out, interrupt)).await,
        Command::Send(args) => interrupt.or(send::run(args, out)).await,
        Command::Live(args) => Box::pin(live::run(*args, out, interrupt)).await,
        Command::Images(args) => images::run(args, out, interrupt).await,
        Command::Workflow(args) => Box::pin(workflow::run(args, out, interrupt)).await,
        Command::Queue(args) => Box::pin(queue::run(args, out, interrupt)).await,
        Command::Settings(args) => settings::run(args, out, interrupt).await,
        Command::Doctor(args) => interrupt.or(Box::pin(doctor::run(args, out))).await,
        Command::Record(args) => record::run(args, out, interrupt).await,
        Command::Replay(args) => replay::run(args, out, interrupt).await,
        Command::Decode(args) => interrupt.or(decode::run(args, out)).await,
        Command::Codes(args) => codes::run(&args, out),
        Command::Completions(args) => completions::run(&args, out),
        Command::Man(args) => man::run(&args, out),
    }
}
