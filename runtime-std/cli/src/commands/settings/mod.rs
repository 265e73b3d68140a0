//! `flamingo settings`: reads and changes the scope settings of the instrument: the whole text in `save.rs`,
//! one value in `values.rs`, and the differences to a file in `diff.rs`. `flamingo get settings` prints the text.

mod diff;
mod save;
mod values;

use clap::{Args, Subcommand};
use flamingo_microscope::{Microscope, Patience};

use crate::args::ClientArgs;
use crate::connect;
use crate::failure::CommandResult;
use crate::interrupt::Interrupt;
use crate::output::Out;

/// Read or change the scope settings of the instrument
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    #[command(subcommand)]
    command: SettingsCommand,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    Get(values::GetArgs),
    Set(values::SetArgs),
    Diff(diff::DiffArgs),
    Save(save::SaveArgs),
}

pub(crate) async fn run(args: SettingsArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    match args.command {
        SettingsCommand::Get(args) => interrupt.or(values::get(args, out)).await,
        SettingsCommand::Set(args) => values::set(args, out, interrupt).await,
        SettingsCommand::Diff(args) => interrupt.or(diff::run(args, out)).await,
        SettingsCommand::Save(args) => save::run(args, out, interrupt).await,
    }
}

async fn microscope(client: &ClientArgs) -> CommandResult<Microscope> {
    let connect =
        connect::connect_to_instrument(&client.peer, &client.server.connect, client.timeout);
    Ok(Microscope::over(connect.await?, Patience::default()))
}
