//! Logs go to stderr. `FLAMINGO_LOG` selects their level, or `-v` if it is not set.
//!
//! A thread of its own writes them, so that a reader of stderr that stops reading stops no daemon. The
//! lines that do not fit into the queue are left out, and the log says how many.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use flamingo_bridge::settings::LogFormat;
use serde_json::json;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::{CommandResult, Failure};

const VARIABLE: &str = "FLAMINGO_LOG";

/// The lines that wait for stderr at most: 8192 lines of 150 bytes are about 1.2 MB.
const QUEUED_LINES: usize = 8192;

/// Writes the lines that still wait when it is dropped, if stderr takes them within a second.
#[must_use]
pub(crate) struct Logs {
    #[allow(dead_code)] // only held
    worker: WorkerGuard,
}

/// Starts the logs. `verbose`: how often `-v` was given.
pub(crate) fn start(verbose: u8, format: LogFormat) -> CommandResult<Logs> {
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
    let (writer, worker) = queue(io::stderr(), format, QUEUED_LINES);
    let registry = tracing_subscriber::registry().with(targets);
    let logs = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => registry.with(logs).init(),
        LogFormat::Json => registry.with(logs.json()).init(),
    }
    Ok(Logs { worker })
}

/// A queue of `lines` lines in front of `output`.
fn queue<W: Write + Send + 'static>(
    output: W,
    format: LogFormat,
    lines: usize,
) -> (NonBlocking, WorkerGuard) {
    let left_out = Arc::new(OnceLock::new());
    let output = CountingWriter { output, format, left_out: Arc::clone(&left_out), reported: 0 };
    let (writer, worker) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(lines)
        .thread_name("flamingo-log")
        .finish(output);
    // It is set once, here.
    let _ = left_out.set(writer.error_counter());
    (writer, worker)
}

/// Says how many lines were left out, before the next one.
struct CountingWriter<W> {
    output: W,
    format: LogFormat,
    left_out: Arc<OnceLock<ErrorCounter>>,
    reported: usize,
}

impl<W: Write> Write for CountingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let left_out = self.left_out.get().map_or(0, ErrorCounter::dropped_lines);
        if left_out > self.reported {
            let new = left_out - self.reported;
            self.reported = left_out;
            let text = format!("{new} log lines were left out: stderr was not read");
            match self.format {
                LogFormat::Text => writeln!(self.output, "{text}")?,
                LogFormat::Json => {
                    let line = json!({ "level": "WARN", "fields": { "message": text } });
                    writeln!(self.output, "{line}")?;
                }
            }
        }
        self.output.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{self, Receiver};

    use super::*;

    /// Takes no line until `go` is sent, or gone.
    struct Stalled {
        go: Receiver<()>,
        lines: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            self.lines.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs 20 lines into a queue of 5 in front of an output that stalls, and returns what is written
    /// once it goes on.
    fn written(format: LogFormat) -> String {
        let (go, stall) = mpsc::channel();
        let lines = Arc::default();
        let output = Stalled { go: stall, lines: Arc::clone(&lines) };
        let (mut writer, worker) = queue(output, format, 5);
        for number in 0..20 {
            writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        drop(go);
        drop(worker);
        let bytes = lines.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_stalled_reader_stops_nobody_and_the_gap_is_reported() {
        let text = written(LogFormat::Text);
        let kept = text.lines().filter(|line| line.starts_with("line ")).count();
        let gap = text
            .lines()
            .find_map(|line| line.strip_suffix(" log lines were left out: stderr was not read"));
        assert_eq!(kept + gap.expect(&text).parse::<usize>().unwrap(), 20, "{text}");
        let json = written(LogFormat::Json);
        let gap = json.lines().find(|line| line.starts_with('{')).expect(&json);
        let gap: serde_json::Value = serde_json::from_str(gap).unwrap();
        assert_eq!(gap["level"], "WARN");
    }
}
