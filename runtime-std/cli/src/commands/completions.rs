//! `flamingo completions`: prints the completions of the command line for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::CommandResult;
use crate::output::Out;

/// Print the completions for a shell
///
/// For bash, for example: flamingo completions bash > ~/.local/share/bash-completion/completions/flamingo
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Your shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, out: &mut Out) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "flamingo", &mut script);
    out.bytes(&script)
}
