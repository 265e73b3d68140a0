//! `flamingo man`: prints the man page, or writes one page per command.

use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use crate::examples;
use crate::failure::{CommandResult, Failure};
use crate::output::Out;

/// Print the man page of all commands
///
/// Read it with: flamingo man > flamingo.1 && man ./flamingo.1
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write one page per command into this directory instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, out: &mut Out) -> CommandResult {
    let page = |error: std::io::Error| Failure::new(1, format!("man page: {error}"));
    if let Some(dir) = &args.dir {
        return clap_mangen::generate_to(examples::command(), dir)
            .map_err(|error| Failure::usage(format!("man pages into {}: {error}", dir.display())));
    }
    let mut text = Vec::new();
    let mut command = examples::command().disable_help_subcommand(true);
    command.build();
    Man::new(command.clone()).render(&mut text).map_err(page)?;
    for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        render(subcommand, &mut text).map_err(page)?;
    }
    out.bytes(&text)
}

/// Renders a command and its subcommands, one page after the other.
fn render(command: &clap::Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    Man::new(command.clone()).render(text)?;
    command.get_subcommands().try_for_each(|subcommand| render(subcommand, text))
}
