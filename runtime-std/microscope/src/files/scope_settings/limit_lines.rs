//! Reads the limits of the axes, and finds lines that may be limits but have another name or place.
//!
//! Such a line may set a narrower limit than the lines that can be read. So the limits of its axis
//! are not known.

use std::ops::ControlFlow;

use super::{STAGE, ScopeSettingsError, finite};
use crate::axis::Axis;
use crate::files::finding::Severity;
use crate::files::sections::{AnyLine, Content, Entry, SectionError, SectionText, same_name};
use crate::stage::limits::{Limit, StageLimits};
use crate::units::Position;

const KINDS: [&str; 2] = ["Soft", "Hard"];
const ENDS: [&str; 2] = ["min", "max"];

/// The values of an axis in the same section that are no limits.
const OTHERS: [&str; 4] = ["Home", "Unload", "Default velocity", "Unload velocity"];

/// The words of limits. Inside <Stage limits> each of them makes a line doubtful.
const WORDS: [&str; 6] = ["limit", "soft", "hard", "min", "max", "axis"];

/// The largest number of doubtful lines that are kept for an axis.
const MOST: usize = 1000;

/// How many characters of a line an error shows.
const SHOWN: usize = 60;

/// A line that may be a limit, but that cannot be read as one.
pub(super) struct DoubtfulLine {
    /// The axes that it may limit, in the order of [`Axis::ALL`].
    axes: [bool; 4],
    pub(super) error: SectionError,
    /// The text reports the line already, because it has no form.
    pub(super) is_known_error: bool,
}

/// Reads all limits of an axis. If a line is there twice, both count.
pub(super) fn limits(
    text: &SectionText,
    axis: Axis,
    doubtful: &[DoubtfulLine],
    problems: &mut Vec<(Severity, ScopeSettingsError)>,
) -> StageLimits {
    let mut unread = Vec::new();
    let mut read = |end: &str| {
        let mut found = Vec::new();
        for kind in KINDS {
            let name = format!("{kind} limit {end} {axis}-axis");
            for entry in text.all(STAGE, &name) {
                let line = entry.line;
                match finite(&entry) {
                    Ok(at) => {
                        let name = name.clone();
                        found.push(Limit { at: Position::of(axis, at), name, line });
                    }
                    Err(error) => {
                        unread.push((line, error.to_string()));
                        problems.push((Severity::Error, error.into()));
                    }
                }
            }
        }
        found.into_iter()
    };
    let min = read("min").reduce(|a, b| if b.at.value() > a.at.value() { b } else { a });
    let max = read("max").reduce(|a, b| if b.at.value() < a.at.value() { b } else { a });
    if let (Some(min), Some(max)) = (&min, &max)
        && min.at.value() >= max.at.value()
    {
        let crossed = ScopeSettingsError::Crossed { min: min.clone(), max: max.clone() };
        unread.push((min.line, crossed.to_string()));
        problems.push((Severity::Error, crossed));
    }
    let of_axis = doubtful.iter().filter(|line| of(axis, line.axes));
    unread.extend(of_axis.map(|line| (line.error.line, line.error.to_string())));
    // Without all limits, each line of another form may be one. A known name with odd spaces also.
    let incomplete = min.is_none() || max.is_none();
    let name = format!("{axis}-axis");
    let is_limit = |found: &str| {
        let found = found.to_ascii_lowercase();
        found.contains("limit") && found.contains(&name)
    };
    let form = text.errors().filter(|error| incomplete || is_limit(&error.found));
    unread.extend(form.map(|error| (error.line, error.to_string())));
    unread.sort();
    unread.dedup();
    let unread = unread.into_iter().map(|(_, text)| text).collect();
    StageLimits { min, max, unread }
}

/// Finds the lines that may be limits, but that are not read as limits: their name is not known, their
/// value contains another line, or their place is wrong.
pub(super) fn doubtful(text: &SectionText) -> Vec<DoubtfulLine> {
    let mut counts = [0_usize; 4];
    let mut found = Vec::new();
    let _ = text.lines().filter_map(|line| doubt(text, &line)).try_for_each(|line| {
        let mut is_new = false;
        for (count, limited) in counts.iter_mut().zip(line.axes) {
            is_new |= limited && *count < MOST;
            *count += usize::from(limited);
        }
        if is_new {
            found.push(line);
        }
        let is_full = counts.iter().all(|count| *count >= MOST);
        if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

fn doubt(text: &SectionText, line: &AnyLine<'_>) -> Option<DoubtfulLine> {
    let strict = line.sections.iter().any(|name| name.to_ascii_lowercase().contains("limit"));
    let reads_as_limit = |part: &str| if strict { has_word(part) } else { is_limit(part) };
    match &line.content {
        Content::Entry(entry) => entry_doubt(line, entry, reads_as_limit),
        Content::Tag(name) => {
            let is_doubtful = is_limit(name) && (name.contains('=') || has_axis(name));
            is_doubtful.then(|| unnamed(line.number, name, name))
        }
        Content::Other(part) => {
            let part = part.trim();
            let lower = part.to_ascii_lowercase();
            let is_other = OTHERS.iter().any(|name| lower.starts_with(&name.to_ascii_lowercase()));
            let is_doubtful = reads_as_limit(part) && (has_limit_word(&lower) || !is_other);
            let error = text.errors().find(|error| error.line == line.number).cloned();
            is_doubtful.then(|| {
                let mut doubtful = unnamed(line.number, part, part);
                if let Some(error) = error {
                    doubtful.error = error;
                    doubtful.is_known_error = true;
                }
                doubtful
            })
        }
    }
}

fn entry_doubt(
    line: &AnyLine<'_>,
    entry: &Entry<'_>,
    reads_as_limit: impl Fn(&str) -> bool,
) -> Option<DoubtfulLine> {
    let shown = format!("{} = {}", entry.name, entry.value);
    let in_place = line.sections.first().is_some_and(|section| same_name(section, STAGE));
    let is_known = known_limit(&entry.name);
    if let Some((axis, name)) = is_known.as_ref().filter(|_| !in_place) {
        let expected = format!("`{name}` directly in <{STAGE}>");
        let error = SectionError { line: entry.line, expected, found: "it elsewhere".to_owned() };
        let axes = Axis::ALL.map(|other| other == *axis);
        let axes = if has_word(&entry.value) { [true; 4] } else { axes };
        return Some(DoubtfulLine { axes, error, is_known_error: false });
    }
    let is_other = |axis: Axis| {
        OTHERS.iter().any(|name| same_name(&entry.name, &format!("{name} {axis}-axis")))
    };
    if is_known.is_some() || Axis::ALL.into_iter().any(is_other) {
        // The value of a known line is a number.
        let joined = reads_as_limit(&entry.value) || (in_place && entry.value.contains('='));
        return joined.then(|| unnamed(entry.line, &shown, &entry.value));
    }
    let is_foreign = in_place && !entry.name.is_ascii();
    (is_foreign || reads_as_limit(&shown)).then(|| unnamed(entry.line, &shown, &shown))
}

/// A line that is shown as `shown`, and that limits the axes that `part` names.
fn unnamed(line: usize, shown: &str, part: &str) -> DoubtfulLine {
    let expected = format!("limits as `Soft limit max x-axis = 9.5`, each on a line of <{STAGE}>");
    let shown: String = shown.chars().take(SHOWN).collect();
    let found = format!("{shown:?}; write the known name, or remove the line");
    let error = SectionError { line, expected, found };
    DoubtfulLine { axes: axes(part), error, is_known_error: false }
}

/// The axis and the name of a limit whose name is known.
fn known_limit(name: &str) -> Option<(Axis, String)> {
    let names = Axis::ALL.into_iter().flat_map(|axis| {
        let of_kind = move |kind: &'static str| {
            ENDS.map(|end| (axis, format!("{kind} limit {end} {axis}-axis")))
        };
        KINDS.into_iter().flat_map(of_kind)
    });
    names.into_iter().find(|(_, known)| same_name(name, known))
}

/// Whether a text contains a word of limits.
fn has_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// Whether a text in lower case contains a word of limits that other values of an axis do not have.
fn has_limit_word(text: &str) -> bool {
    WORDS.iter().any(|word| *word != "axis" && text.contains(word))
}

/// Whether a text reads as a limit of an axis, also outside <Stage limits>. Other sections have words
/// such as `UI slider min` and `Offset left x-axis`.
fn is_limit(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = words(&text).collect();
    let is_kind = words.iter().any(|word| matches!(*word, "soft" | "hard"));
    let is_end = |word: &&str| ["min", "max", "axis"].iter().any(|start| word.starts_with(start));
    let limit = text.contains("limit") && (is_kind || has_axis(&text));
    limit || (is_kind && words.iter().any(is_end))
}

/// Whether a text names an axis, as `axis` or as a letter.
fn has_axis(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("axis") || words(&text).any(|word| matches!(word, "x" | "y" | "z" | "r"))
}

/// The axes that a text names with a letter; all if that is not clear.
fn axes(text: &str) -> [bool; 4] {
    let lower = text.to_ascii_lowercase();
    let named = Axis::ALL.map(|axis| {
        let letter = axis.to_string();
        words(&lower).any(|word| word == letter)
    });
    let has_foreign_letter =
        text.chars().any(|letter| !letter.is_ascii() && letter.is_alphabetic());
    if has_foreign_letter || named == [false; 4] { [true; 4] } else { named }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric())
}

fn of(axis: Axis, axes: [bool; 4]) -> bool {
    Axis::ALL.into_iter().zip(axes).any(|(other, limited)| other == axis && limited)
}
