//! Logs go to stderr. `FLAMINGO_LOG` selects their level, or `-v` if it is not set.

use flamingo_bridge::settings::LogFormat;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::{CommandResult, Failure};

const VARIABLE: &str = "FLAMINGO_LOG";

/// Starts the logs. `verbose`: how often `-v` was given.
pub(crate) fn start(verbose: u8, format: LogFormat) -> CommandResult {
    let level = match verbose {
        // The command itself prints, in one line, what a user must know.
        0 => "error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = std::env::var(VARIABLE).unwrap_or_default();
    let filter = if filter.is_empty() { level } else { filter.as_str() };
    let targets: Targets = filter.parse().map_err(|error| {
        Failure::usage(format!("{VARIABLE}={filter}: {error}; try {VARIABLE}=debug"))
    })?;
    let registry = tracing_subscriber::registry().with(targets);
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry.with(logs).init(),
        LogFormat::Json => registry.with(logs.json()).init(),
    }
    Ok(())
}
