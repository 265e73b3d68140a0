//! Reads a text of sections, line by line. A line with a problem takes nothing away from the others.

use std::collections::HashMap;

use super::line::{
    BYTE_ORDER_MARK, Kind, has_odd_space, kind, same_name, split, trimmed, wide_encoding,
};
use super::{Line, SectionError, SectionText, Span};
use crate::files::finding::Severity;

/// How many characters of a line an error shows.
const SHOWN: usize = 60;

/// The largest number of errors, and of warnings, that are kept: a payload may have millions of lines.
const MOST: usize = 1000;

/// The largest number of sections that are open at the same time. Real files have two.
const DEEPEST: usize = 64;

#[derive(Default)]
pub(super) struct Reader {
    text: SectionText,
    /// The open sections, with the lines of their tags.
    open: Vec<(usize, usize)>,
    /// The names that were read, with the first line of each. All in lower case.
    sections: HashMap<String, usize>,
    names: HashMap<(Option<String>, String), usize>,
    lone_return: bool,
    errors: usize,
    warnings: usize,
}

impl Reader {
    pub(super) fn read(mut self, bytes: &[u8]) -> Result<SectionText, SectionError> {
        if let Some(encoding) = wide_encoding(bytes) {
            let expected = "text in UTF-8".to_owned();
            let found = format!("{encoding}; save the file as UTF-8");
            return Err(SectionError { line: 1, expected, found });
        }
        for (number, (bytes, lone_return)) in (1..).zip(split(bytes)) {
            if lone_return && !self.lone_return {
                self.lone_return = true;
                self.error(number, "a line end LF or CR LF", "a line end CR alone");
            }
            self.line(number, bytes);
            self.check_errors(number)?;
        }
        while let Some((section, line)) = self.open.pop() {
            let expected = format!("{} before the end", tag(&self.text.sections[section]));
            self.error(line, expected, "none");
            self.check_errors(line)?;
        }
        Ok(self.text)
    }

    fn check_errors(&self, line: usize) -> Result<(), SectionError> {
        if self.errors <= MOST {
            return Ok(());
        }
        let expected = format!("at most {MOST} errors");
        let found = "more; is it a text of another kind?".to_owned();
        Err(SectionError { line, expected, found })
    }

    fn line(&mut self, number: usize, bytes: &[u8]) {
        let mut begin = 0;
        if number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            self.warn(1, "text without a byte order mark", "one; save the file without it");
            begin = BYTE_ORDER_MARK.len();
        }
        let mut entry = None;
        // Spaces inside a value are part of it.
        let mut checked = [begin..bytes.len(), 0..0];
        match kind(bytes) {
            Kind::Empty => {}
            Kind::Comment => {
                let found = format!("the comment {:?}; remove it", shown(bytes));
                self.warn(number, "a value or a tag", found);
                checked = [0..0, 0..0];
            }
            Kind::Open(name) => self.opened(number, name),
            Kind::Close { name, odd } => self.closed(number, &name, odd),
            Kind::Entry { name, value } => {
                checked = [begin..value.start, value.end..bytes.len()];
                let span = Span { name, value };
                self.named(number, &span, bytes);
                entry = Some(span);
            }
            Kind::Other => {
                let found = format!("{:?}", shown(bytes));
                self.error(number, "`name = value`, <Section> or </Section>", found);
            }
        }
        if checked.into_iter().any(|part| has_odd_space(&bytes[part])) {
            let found = format!("another space in {:?}; write plain spaces", shown(bytes));
            self.error(number, "plain spaces", found);
        }
        let section = self.section();
        self.text.lines.push(Line { bytes: bytes.to_vec(), section, entry });
    }

    fn opened(&mut self, number: usize, name: String) {
        if let Some(first) = self.sections.get(&key(&name)) {
            let found = format!("it also on line {first}; remove one of them");
            self.warn(number, format!("<{name}> once"), found);
        } else {
            self.sections.insert(key(&name), number);
        }
        if self.open.len() >= DEEPEST {
            let found = format!("<{name}> in another one");
            self.error(number, format!("at most {DEEPEST} open sections"), found);
        }
        self.text.parents.push(self.open.last().map(|(section, _)| *section));
        self.open.push((self.text.sections.len(), number));
        self.text.sections.push(name);
    }

    fn closed(&mut self, number: usize, name: &str, odd: bool) {
        let is_named =
            |(section, _): &(usize, usize)| same_name(&self.text.sections[*section], name);
        let place = self.open.iter().rposition(is_named);
        let last = self.open.last().map(|(section, _)| tag(&self.text.sections[*section]));
        if odd {
            self.warn(number, tag(name), "another slash; write one");
        }
        match place {
            Some(place) => {
                while self.open.len() > place + 1 {
                    let expected = last.clone().unwrap_or_default();
                    self.error(number, expected, tag(name));
                    self.open.pop();
                }
                self.open.pop();
            }
            None if self.sections.contains_key(&key(name)) => {
                let found = format!("{} again; remove it", tag(name));
                self.warn(number, "one end tag for each section", found);
            }
            None => {
                let none = "no closing tag: no section is open".to_owned();
                self.error(number, last.unwrap_or(none), tag(name));
            }
        }
    }

    /// The innermost open section.
    fn section(&self) -> Option<usize> {
        self.open.last().map(|(section, _)| *section)
    }

    /// Notes the name of a line, and warns if it was there before.
    fn named(&mut self, number: usize, span: &Span, bytes: &[u8]) {
        let name = String::from_utf8_lossy(&bytes[span.name.clone()]).into_owned();
        let section = self.section().map(|section| self.text.sections[section].clone());
        let place = (section.as_deref().map(key), key(&name));
        if let Some(first) = self.names.get(&place) {
            let found = format!("it also on line {first}; remove one of them");
            let place = section.map_or(String::new(), |section| format!(" in <{section}>"));
            self.warn(number, format!("`{name}` once{place}"), found);
        } else {
            self.names.insert(place, number);
        }
    }

    fn warn(&mut self, line: usize, expected: impl Into<String>, found: impl Into<String>) {
        self.add(Severity::Warning, line, expected.into(), found.into());
    }

    fn error(&mut self, line: usize, expected: impl Into<String>, found: impl Into<String>) {
        self.add(Severity::Error, line, expected.into(), found.into());
    }

    fn add(&mut self, severity: Severity, line: usize, mut expected: String, mut found: String) {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count > MOST {
            return;
        }
        if severity == Severity::Warning && *count == MOST {
            expected = format!("fewer than {MOST} warnings");
            found = String::from("more; the others are not shown");
        }
        self.text.problems.push((severity, SectionError { line, expected, found }));
    }
}

/// A name for comparing: in lower case, with one space between words.
fn key(name: &str) -> String {
    let words: Vec<String> = name.split_whitespace().map(str::to_ascii_lowercase).collect();
    words.join(" ")
}

fn tag(name: &str) -> String {
    format!("</{name}>")
}

fn shown(bytes: &[u8]) -> String {
    let text = &bytes[trimmed(bytes, 0..bytes.len())];
    String::from_utf8_lossy(text).chars().take(SHOWN).collect()
}
