//! The form of the instrument's texts: nested sections `<Section>` … `</Section>` with lines of
//! `name = value`. Scope settings and workflow files have this form.
//!
//! Reading and writing keeps every byte. Reading is in `reader.rs`, one line in `line.rs`. What the
//! values mean is in `scope_settings.rs` and `workflow/`.

mod line;
mod reader;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::files::finding::{Finding, Severity};
pub(crate) use line::same_name;
use line::{Kind, kind};

/// A text of sections. It keeps every byte: indentation, line ends, and bytes that are not UTF-8.
///
/// ```
/// use flamingo_microscope::sections::SectionText;
/// let bytes = b"<Stage limits>\r\n  Home x-axis = 7.5\r\n</Stage limits>\r\n";
/// let mut text = SectionText::parse(bytes)?;
/// let home = text.get("Stage limits", "Home x-axis").unwrap();
/// assert_eq!((home.value.as_ref(), home.line), ("7.5", 2));
/// assert_eq!(text.to_bytes(), bytes);
/// text.set("Stage limits", "Home x-axis", "8");
/// assert_eq!(text.to_bytes(), b"<Stage limits>\r\n  Home x-axis = 8\r\n</Stage limits>\r\n");
/// # Ok::<(), flamingo_microscope::sections::SectionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SectionText {
    lines: Vec<Line>,
    /// The names of the sections, in the order of their opening tags.
    sections: Vec<String>,
    /// The section in which each of them was opened.
    parents: Vec<Option<usize>>,
    /// The problems of the lines, in the order in which they were found.
    problems: Vec<(Severity, SectionError)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// The line with its line end.
    bytes: Vec<u8>,
    /// The section that is open at the line.
    section: Option<usize>,
    entry: Option<Span>,
}

/// The places of name and value in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    name: Range<usize>,
    value: Range<usize>,
}

/// A line `name = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name, without the spaces around it.
    pub name: Cow<'a, str>,
    /// The value, without the spaces around it; it may be empty.
    pub value: Cow<'a, str>,
    /// The number of its line, from 1.
    pub line: usize,
}

/// A line and the sections around it.
pub(crate) struct AnyLine<'a> {
    /// The number of the line, from 1.
    pub(crate) number: usize,
    /// The names of the sections, from the inside to the outside.
    pub(crate) sections: Vec<&'a str>,
    pub(crate) content: Content<'a>,
}

/// What a line contains.
pub(crate) enum Content<'a> {
    Entry(Entry<'a>),
    /// The name in a tag.
    Tag(String),
    /// Text of another form.
    Other(Cow<'a, str>),
}

/// Why a text does not have this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct SectionError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What the line may contain.
    pub expected: String,
    /// What the line contains.
    pub found: String,
}

/// Why a value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {name}: expected {expected}, found {found:?}")]
#[non_exhaustive]
pub struct ValueError {
    /// The number of the line, from 1.
    pub line: usize,
    /// The name.
    pub name: String,
    /// What the value may be.
    pub expected: &'static str,
    /// The value.
    pub found: String,
}

impl Entry<'_> {
    /// Makes an error that says what was expected instead of this value.
    pub(crate) fn wrong(&self, expected: &'static str) -> ValueError {
        let (name, found) = (self.name.to_string(), self.value.to_string());
        ValueError { line: self.line, name, expected, found }
    }
}

impl SectionText {
    /// Reads a text whose lines are all right. Warnings are allowed: see [`Self::findings`].
    ///
    /// # Errors
    /// [`SectionError`]: the first error of [`Self::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SectionError> {
        let text = Self::read(bytes)?;
        let error = text.errors().next().cloned();
        error.map_or(Ok(text), Err)
    }

    /// Reads each line on its own. [`Self::findings`] names the lines that have problems; the other
    /// lines can be used. An error is a section that is not closed or is closed with another name, a
    /// line that is neither empty, nor a tag, nor `name = value`, a line end CR alone, and a no-break
    /// space outside a value. A warning is a byte order mark, a comment, an end tag that is there
    /// twice or has two slashes, and a name that is there twice.
    ///
    /// # Errors
    /// [`SectionError`]: the text is UTF-16 or UTF-32, or has more than 1000 errors.
    pub fn read(bytes: &[u8]) -> Result<Self, SectionError> {
        reader::Reader::default().read(bytes)
    }

    /// The problems of the lines, in the order of the lines.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let problems = self.problems.iter();
        let mut findings: Vec<_> = problems
            .map(|(severity, SectionError { line, expected, found })| Finding {
                line: Some(*line),
                severity: *severity,
                message: format!("expected {expected}, found {found}"),
            })
            .collect();
        findings.sort_by_key(|finding| finding.line);
        findings
    }

    /// The errors of the form, in the order in which the reader found them.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &SectionError> {
        let problems = self.problems.iter();
        problems.filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error)
    }

    /// The names of the sections, in the order of their opening tags.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(String::as_str)
    }

    /// The text. Only the values that were set differ from the bytes that were read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| &line.bytes).copied().collect()
    }

    /// Whether there is a section with this name. Upper and lower case are the same.
    #[must_use]
    pub fn has_section(&self, section: &str) -> bool {
        self.sections.iter().any(|name| same_name(name, section))
    }

    /// The first entry `name` directly in a section `section`. Upper and lower case are the same.
    #[must_use]
    pub fn get(&self, section: &str, name: &str) -> Option<Entry<'_>> {
        self.entries(section).find(|entry| same_name(&entry.name, name))
    }

    /// All entries `name` directly in the sections `section`, in order.
    pub fn all<'a>(&'a self, section: &str, name: &str) -> impl Iterator<Item = Entry<'a>> {
        self.entries(section).filter(move |entry| same_name(&entry.name, name))
    }

    /// All lines that are neither empty nor comments.
    pub(crate) fn lines(&self) -> impl Iterator<Item = AnyLine<'_>> {
        (1..).zip(&self.lines).filter_map(|(number, line)| {
            let content = match kind(&line.bytes) {
                Kind::Empty | Kind::Comment => return None,
                Kind::Open(name) | Kind::Close { name, .. } => Content::Tag(name),
                Kind::Entry { .. } | Kind::Other => match &line.entry {
                    Some(span) => Content::Entry(line.entry(span, number)),
                    None => Content::Other(String::from_utf8_lossy(&line.bytes)),
                },
            };
            let around = std::iter::successors(line.section, |at| self.parents[*at]);
            let sections = around.map(|at| self.sections[at].as_str()).collect();
            Some(AnyLine { number, sections, content })
        })
    }

    /// All entries directly in the sections with this name, in order.
    pub fn entries<'a>(&'a self, section: &str) -> impl Iterator<Item = Entry<'a>> {
        (1..).zip(&self.lines).filter_map(move |(number, line)| {
            let span = line.entry.as_ref()?;
            self.is_in(line, section).then(|| line.entry(span, number))
        })
    }

    /// Changes the value of the first entry `name` in `section`, and no other byte. Returns `false`
    /// if there is no such entry, or if the value contains a line end.
    pub fn set(&mut self, section: &str, name: &str, value: &str) -> bool {
        if value.contains(['\n', '\r']) {
            return false;
        }
        let Some(at) = self.line_of(section, name) else { return false };
        let line = &mut self.lines[at];
        let Some(span) = &mut line.entry else { return false };
        let old = span.value.clone();
        // After `name =` without a space, one is added.
        let no_space = old.is_empty() && line.bytes.get(old.start.wrapping_sub(1)) == Some(&b'=');
        let new = if no_space { format!(" {value}") } else { value.to_owned() };
        line.bytes.splice(old.clone(), new.bytes());
        let start = old.start + usize::from(no_space);
        span.value = start..start + value.len();
        true
    }

    /// The line of the first entry `name` in `section`.
    fn line_of(&self, section: &str, name: &str) -> Option<usize> {
        self.lines.iter().position(|line| {
            line.entry.as_ref().is_some_and(|span| {
                let found = String::from_utf8_lossy(&line.bytes[span.name.clone()]);
                self.is_in(line, section) && same_name(&found, name)
            })
        })
    }

    fn is_in(&self, line: &Line, section: &str) -> bool {
        line.section.is_some_and(|at| same_name(&self.sections[at], section))
    }
}

impl Line {
    fn entry(&self, span: &Span, line: usize) -> Entry<'_> {
        Entry {
            name: String::from_utf8_lossy(&self.bytes[span.name.clone()]),
            value: String::from_utf8_lossy(&self.bytes[span.value.clone()]),
            line,
        }
    }
}

impl fmt::Display for SectionText {
    /// Writes the text; bytes that are not UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests;
