//! Where the logs go: stderr, always. Which of them: `FLAMINGO_LOG`, or else `-v`.

use flamingo_bridge::settings::LogFormat;
use tracing_subscriber::EnvFilter;

use crate::failure::{Done, Failure};

const VARIABLE: &str = "FLAMINGO_LOG";

/// Starts the logs. `verbose`: how often `-v` was given.
pub(crate) fn start(verbose: u8, format: LogFormat) -> Done {
    let level = match verbose {
        // What a user must know is said by the command itself, in one line.
        0 => "error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = match std::env::var(VARIABLE) {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(&filter).map_err(|error| {
            Failure::usage(format!("{VARIABLE}={filter}: {error}; try {VARIABLE}=debug"))
        })?,
        _ => EnvFilter::new(level),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}
