//! How a command ends: the exit codes that scripts depend on, and one line on stderr.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::ErrorKind;

use crate::colour;
use crate::usage_error;

/// The result of a command.
pub(crate) type CommandResult<T = ()> = Result<T, Failure>;

/// Bad usage or refused input: nothing was sent.
pub(crate) const USAGE: u8 = 2;
/// No answer in time.
pub(crate) const NO_ANSWER: u8 = 4;
/// The instrument answered with failure.
pub(crate) const REFUSED: u8 = 5;
/// The peer broke the protocol.
pub(crate) const PROTOCOL: u8 = 6;
/// The connection was lost.
pub(crate) const LOST: u8 = 7;
/// Ctrl-C, or a request to terminate.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of stdout closed it. This is no error, and nothing is printed.
    ClosedPipe,
    /// An exit code and the reason. An empty message was printed before.
    Exit {
        /// Never 0.
        code: u8,
        /// What failed, on which object, and what to try.
        message: String,
    },
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self::Exit { code, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// For a reason that is on stderr already.
    pub(crate) fn reported(code: u8) -> Self {
        Self::new(code, "")
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(INTERRUPTED, "interrupted")
    }
}

/// Whether errors are printed as JSON. The command line says so, before anything can fail.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// From now on errors are JSON objects.
pub(crate) fn print_as_json() {
    AS_JSON.store(true, Ordering::Relaxed);
}

/// Prints an error on stderr: one line, or with `--json` one object.
fn report(code: u8, message: &str) {
    if !AS_JSON.load(Ordering::Relaxed) {
        return note(&format!("error: {message}"));
    }
    let object = serde_json::json!({ "error": message, "exit_code": code });
    let _ = writeln!(std::io::stderr().lock(), "{object}");
}

/// Prints the reason of a failure on stderr; returns the exit code.
pub(crate) fn exit_code(result: CommandResult) -> ExitCode {
    match result {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Exit { code, message }) => {
            if !message.is_empty() {
                report(code, &message);
            }
            ExitCode::from(code)
        }
    }
}

/// For one of several independent steps: prints the reason of a failure and returns its exit code,
/// so that the other steps go on. A closed stdout ends all of them.
pub(crate) fn exit_code_of(result: CommandResult) -> CommandResult<Option<u8>> {
    match result {
        Ok(()) => Ok(None),
        Err(Failure::ClosedPipe) => Err(Failure::ClosedPipe),
        Err(Failure::Exit { code, message }) => {
            report(code, &message);
            Ok(Some(code))
        }
    }
}

/// The result of several independent steps. The only failure of one step is the result; of several steps,
/// each failure is printed, and the exit code is that of the first one.
pub(crate) fn all(mut results: Vec<CommandResult>) -> CommandResult {
    if let [only] = &mut results[..] {
        return std::mem::replace(only, Ok(()));
    }
    let mut failed = None;
    for result in results {
        if let Some(code) = exit_code_of(result)? {
            failed = failed.or(Some(code));
        }
    }
    failed.map_or(Ok(()), |code| Err(Failure::reported(code)))
}

/// Prints one line on stderr. A closed stderr is ignored.
pub(crate) fn note(line: &str) {
    let line = line.replace(['\n', '\r'], " ");
    let _ = writeln!(std::io::stderr().lock(), "flamingo: {}", colour::line(&line));
}

/// Prints help and version on stdout, or an error in the arguments as one line on stderr.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed stdout is no error here.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // The text of this error is the whole help, which is not one line.
        let message = "the command requires a subcommand or an argument; try --help";
        return exit_code(Err(Failure::usage(message)));
    }
    let failure = Failure::usage(usage_error::line(error).trim_start_matches("error: "));
    exit_code(Err(failure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_a_silent_success() {
        let code = exit_code(Err(Failure::ClosedPipe));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }
}
