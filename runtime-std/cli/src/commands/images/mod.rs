//! `flamingo images`: commands for image files. One file for each command.

mod facts;
mod info;
mod pixels;

use clap::{Args, Subcommand};

use crate::failure::CommandResult;
use crate::output::Out;

/// Look at image files
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    command: ImagesCommand,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    Info(info::InfoArgs),
}

pub(crate) fn run(args: &ImagesArgs, out: &mut Out) -> CommandResult {
    match &args.command {
        ImagesCommand::Info(args) => info::run(args, out),
    }
}
