//! Reads the light of a workflow: `Laser 3 3: 561 nm MLE = 5.88 1`, `LED_RGB_Board = 29.82 0`,
//! `Left path = ON 1`.

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_till1, take_while1};
use nom::character::complete::{multispace1, u32};
use nom::combinator::{all_consuming, map_opt, rest, value, verify};
use nom::sequence::{preceded, separated_pair};
use nom::{IResult, Parser};

use super::values::number;
use super::{OPTIONS, PATH, SOURCE, WorkflowError};
use crate::files::sections::{Entry, SectionText, same_name};
use crate::units::Percent;

const LED: &str = "LED_RGB_Board";
const LEFT: &str = "Left path";
const RIGHT: &str = "Right path";

/// A laser in a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct LaserLine {
    /// The number of the laser, from 1.
    pub number: u32,
    /// The text after the number, such as `3: 561 nm MLE`; often empty.
    pub name: String,
    /// The wavelength in nm, if the name contains it.
    pub wavelength_nm: Option<u32>,
    /// The level.
    pub level: Percent,
    /// Whether the laser is on.
    pub on: bool,
    /// The number of its line in the file, from 1.
    pub line: usize,
}

/// Reads the lasers. A laser that is there twice counts once, and must have the same value twice.
pub(super) fn lasers(text: &SectionText) -> Result<Vec<LaserLine>, WorkflowError> {
    let mut lines: Vec<(u32, Entry<'_>)> = Vec::new();
    for entry in text.entries(SOURCE) {
        let Ok((_, (number, _))) = laser(&entry.name) else { continue };
        if let Some((_, first)) = lines.iter().find(|(other, _)| *other == number) {
            agree(first, &entry)?;
        } else {
            lines.push((number, entry));
        }
    }
    let mut lasers = Vec::new();
    for (number, entry) in lines.into_iter().filter(|(_, entry)| !entry.value.is_empty()) {
        let Ok((_, (_, name))) = laser(&entry.name) else { continue };
        let (level, on) = level(&entry)?;
        let (name, wavelength_nm) = (name.trim().to_owned(), wavelength(name));
        lasers.push(LaserLine { number, name, wavelength_nm, level, on, line: entry.line });
    }
    Ok(lasers)
}

/// The lines about light that are there twice with different values, except lasers, the LED and the
/// paths, which have their own functions.
pub(super) fn conflicts(text: &SectionText) -> Vec<WorkflowError> {
    let mut found = Vec::new();
    for section in [SOURCE, PATH, OPTIONS] {
        let mut lines: Vec<Entry<'_>> = Vec::new();
        for entry in text.entries(section) {
            let own = [LED, LEFT, RIGHT].iter().any(|name| same_name(&entry.name, name));
            if own || laser(&entry.name).is_ok() {
                continue;
            }
            match lines.iter().find(|first| same_name(&first.name, &entry.name)) {
                Some(first) => found.extend(agree(first, &entry).err()),
                None => lines.push(entry),
            }
        }
    }
    found
}

/// The first entry; an error if another one with this name has another value.
fn only<'a>(
    text: &'a SectionText,
    section: &str,
    name: &str,
) -> Result<Option<Entry<'a>>, WorkflowError> {
    let mut entries = text.all(section, name);
    let Some(first) = entries.next() else { return Ok(None) };
    entries.try_for_each(|entry| agree(&first, &entry))?;
    Ok(Some(first).filter(|entry| !entry.value.is_empty()))
}

/// Whether two lines for the same light have the same value. The server may use either.
fn agree(first: &Entry<'_>, second: &Entry<'_>) -> Result<(), WorkflowError> {
    if first.value.split_whitespace().eq(second.value.split_whitespace()) {
        return Ok(());
    }
    Err(second.wrong("the same value as on the other line of this name; remove one line").into())
}

/// The name of the line of a laser.
pub(super) fn laser_name(text: &SectionText, number: u32) -> Option<String> {
    let is_this = |entry: &Entry| laser(&entry.name).is_ok_and(|(_, (found, _))| found == number);
    Some(text.entries(SOURCE).find(is_this)?.name.into_owned())
}

pub(super) fn led(text: &SectionText) -> Result<Option<(Percent, bool)>, WorkflowError> {
    only(text, SOURCE, LED)?.map(|entry| level(&entry)).transpose()
}

/// Whether the left and the right path are open.
pub(super) fn paths(text: &SectionText) -> Result<[Option<bool>; 2], WorkflowError> {
    Ok([path(text, LEFT)?, path(text, RIGHT)?])
}

fn path(text: &SectionText, name: &str) -> Result<Option<bool>, WorkflowError> {
    let Some(entry) = only(text, PATH, name)? else { return Ok(None) };
    match entry.value.split_whitespace().last() {
        Some("1" | "ON") => Ok(Some(true)),
        Some("0" | "OFF") => Ok(Some(false)),
        _ => Err(entry.wrong("ON 1 or OFF 0").into()),
    }
}

/// Reads `Laser 3 3: 561 nm MLE`: the number, and the name after it. As in all names, upper and lower
/// case are the same, and so are all spaces.
fn laser(text: &str) -> IResult<&str, (u32, &str)> {
    let is_name = |name: &str| !name.starts_with(char::is_alphanumeric);
    let start = (tag_no_case("Laser"), take_while1(char::is_whitespace));
    preceded(start, (u32, verify(rest, is_name))).parse(text)
}

/// Reads `5.88 1`: percent, and whether the light is on.
fn level(entry: &Entry) -> Result<(Percent, bool), WorkflowError> {
    let percent = map_opt(take_till1(char::is_whitespace), number);
    let on = alt((value(false, tag("0")), value(true, tag("1"))));
    let mut level = all_consuming(separated_pair(percent, multispace1, on));
    let read: IResult<&str, (f64, bool)> = level.parse(&entry.value);
    match read {
        Ok((_, (percent, on))) => Ok((Percent(percent), on)),
        Err(_) => Err(entry.wrong("percent and 0 or 1, such as 5.88 1").into()),
    }
}

/// The number before the word `nm`: 561 in `3: 561 nm MLE`.
fn wavelength(name: &str) -> Option<u32> {
    let words: Vec<&str> = name.split_whitespace().collect();
    let unit = words.iter().position(|word| *word == "nm")?;
    words.get(unit.checked_sub(1)?)?.parse().ok()
}
