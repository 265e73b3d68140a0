//! `flamingo images`: commands for image files that were written before. One file for each command.

mod facts;
mod info;
mod pixels;
mod pyramid;

use clap::{Args, Subcommand};

use crate::failure::CommandResult;
use crate::interrupt::Interrupt;
use crate::output::Out;

/// Work on image files that were written before; nothing is sent
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    command: ImagesCommand,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    Info(info::InfoArgs),
    Pyramid(pyramid::PyramidArgs),
}

pub(crate) async fn run(args: ImagesArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    match args.command {
        ImagesCommand::Info(args) => info::run(&args, out),
        ImagesCommand::Pyramid(args) => pyramid::run(args, out, interrupt).await,
    }
}
