//! Writes to stdout: text or JSON, and the formats that several commands share. The reader of stdout
//! may close it at any time.
//!
//! A frame as JSON is in `frame_json.rs`, a frame as text in `frame_text.rs`.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Stdout, Write};
use std::time::SystemTime;

pub(crate) use flamingo_race::statistics::milliseconds;
use serde::Serialize;

use crate::failure::{CommandResult, Failure};
use crate::interrupt::Writing;

/// Stdout, with the format that the user has chosen.
#[derive(Debug)]
pub(crate) struct Out {
    stdout: Stdout,
    json: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self { stdout: std::io::stdout(), json }
    }

    /// Whether the user has chosen JSON.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Writes bytes unchanged.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> CommandResult {
        self.write(bytes).map_err(|error| stdout_failed(&error))
    }

    /// Like [`Self::bytes`], with the error of the operating system.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let _writing = Writing::begin();
        let mut stdout = self.stdout.lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, line: &str) -> CommandResult {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes a line of text, unless the user has chosen JSON.
    pub(crate) fn line_unless_json(&mut self, line: &str) -> CommandResult {
        if self.json { Ok(()) } else { self.line(line) }
    }

    /// Writes a JSON object on one line, also if the user has chosen text.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> CommandResult {
        self.line(&json_line(object)?)
    }

    /// Writes the object if the user has chosen JSON, and the text otherwise.
    pub(crate) fn either(
        &mut self,
        object: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> CommandResult {
        if self.json { self.object(object) } else { self.line(&text()) }
    }
}

/// A name at the begin of a line of text, as wide as the names of most values.
pub(crate) fn label(name: &str) -> String {
    format!("{name:<10}  ")
}

/// A JSON object on one line, without the end of the line.
fn json_line(object: &impl Serialize) -> CommandResult<String> {
    serde_json::to_string(object).map_err(|error| json_failed(&error))
}

/// The same, appended to other lines.
pub(crate) fn append_json(out: &mut Vec<u8>, object: &impl Serialize) -> CommandResult {
    serde_json::to_writer(out, object).map_err(|error| json_failed(&error))
}

fn json_failed(error: &serde_json::Error) -> Failure {
    Failure::new(1, format!("cannot write JSON: {error}"))
}

/// The failure of a command that cannot write to stdout.
pub(crate) fn stdout_failed(error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::new(1, format!("cannot write to stdout: {error}")),
    }
}

impl Out {
    /// Writes the first line of a command that listens: for people on a terminal, otherwise the object, which scripts
    /// read.
    pub(crate) fn ready(&mut self, ports: &impl Serialize, text: &str) -> CommandResult {
        if self.json || !self.stdout.is_terminal() { self.object(ports) } else { self.line(text) }
    }
}

/// The first line on stdout of a command that listens for clients.
#[derive(Debug, Serialize)]
pub(crate) struct PortsJson {
    pub(crate) ready: bool,
    pub(crate) control: u16,
    pub(crate) live: u16,
    pub(crate) stack: u16,
}

/// The line as it fits the width of the terminal; the whole line if stdout is no terminal.
pub(crate) fn fitted(line: &str) -> Cow<'_, str> {
    let term = console::Term::stdout();
    match term.size_checked() {
        Some((_, columns)) if term.is_term() => console::truncate_str(line, columns.into(), "…"),
        _ => Cow::Borrowed(line),
    }
}

/// A number of things: `1 error`, `2 errors`. The plural has an s.
pub(crate) fn counted(number: impl TryInto<u64>, one: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// Formats a time in UTC, with µs.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}
