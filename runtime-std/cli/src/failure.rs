//! How a command ends: the exit codes that scripts rely on, and the one line on stderr.

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;

/// What a command gives.
pub(crate) type Done<T = ()> = Result<T, Failure>;

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

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whoever read stdout has gone: nobody is left to tell, and nothing went wrong.
    ClosedPipe,
    /// An exit code and the line that says why. An empty line: it was said already.
    Exit {
        /// Never 0.
        code: u8,
        /// What failed, on what, and what to try.
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

    /// With the code alone: the reasons stand on stderr already.
    pub(crate) fn said(code: u8) -> Self {
        Self::new(code, "")
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(INTERRUPTED, "interrupted")
    }
}

/// Says on stderr why a command ended, and gives the exit code.
pub(crate) fn exit_code(done: Done) -> ExitCode {
    match done {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Exit { code, message }) => {
            if !message.is_empty() {
                note(&format!("error: {message}"));
            }
            ExitCode::from(code)
        }
    }
}

/// For one of several things that are done: says on stderr why it failed and gives the exit code
/// of that; the others go on. A closed stdout ends them all.
pub(crate) fn exit_code_of(done: Done) -> Done<Option<u8>> {
    match done {
        Ok(()) => Ok(None),
        Err(Failure::ClosedPipe) => Err(Failure::ClosedPipe),
        Err(Failure::Exit { code, message }) => {
            note(&format!("error: {message}"));
            Ok(Some(code))
        }
    }
}

/// One line on stderr. A closed stderr is no reason to fail.
pub(crate) fn note(line: &str) {
    let line = line.replace(['\n', '\r'], " ");
    let _ = writeln!(std::io::stderr().lock(), "flamingo: {line}");
}

/// Help and version go to stdout; what is wrong with the arguments is one line on stderr.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // The reader may have gone; nothing is lost by that.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Its text is the whole help: no line for stderr.
        note("error: the command requires a subcommand or an argument; try --help");
        return ExitCode::from(USAGE);
    }
    let text = error.render().to_string();
    let told = |line: &&str| {
        !line.is_empty() && !line.starts_with("Usage:") && !line.starts_with("For more information")
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(told).collect();
    let line = lines.join(" ").replace(" tip: ", "; tip: ");
    note(&format!("{line}; try --help"));
    ExitCode::from(USAGE)
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
