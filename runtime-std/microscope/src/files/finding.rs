//! Errors and warnings about a text, each with its line.

use std::fmt;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may be intended, or it is of no effect here.
    Warning,
    /// The text cannot be used there: a workflow must not be uploaded, a value cannot be read.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if *self == Self::Error { "error" } else { "warning" })
    }
}

/// An error in a text, or something that looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The number of the line in the text, from 1; `None` if the line is missing.
    pub line: Option<usize>,
    /// The severity.
    pub severity: Severity,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
