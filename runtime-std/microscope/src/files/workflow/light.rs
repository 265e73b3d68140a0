//! Reads the light of a workflow: `Laser 3 3: 561 nm MLE = 5.88 1`, `LED_RGB_Board = 29.82 0`,
//! `Left path = ON 1`.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till1};
use nom::character::complete::{multispace1, u32};
use nom::combinator::{all_consuming, map_opt, rest, value, verify};
use nom::sequence::{preceded, separated_pair};
use nom::{IResult, Parser};

use super::values::number;
use super::{PATH, SOURCE, WorkflowError};
use crate::files::sections::{Entry, SectionText};
use crate::units::Percent;

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

pub(super) fn lasers(text: &SectionText) -> Result<Vec<LaserLine>, WorkflowError> {
    let mut lasers = Vec::new();
    for entry in text.entries(SOURCE) {
        let Ok((_, (number, name))) = laser(&entry.name) else { continue };
        if entry.value.is_empty() {
            continue;
        }
        let (level, on) = level(&entry)?;
        let (name, wavelength_nm) = (name.trim().to_owned(), wavelength(name));
        lasers.push(LaserLine { number, name, wavelength_nm, level, on, line: entry.line });
    }
    Ok(lasers)
}

/// The name of the line of a laser.
pub(super) fn laser_name(text: &SectionText, number: u32) -> Option<String> {
    let is_this = |entry: &Entry| laser(&entry.name).is_ok_and(|(_, (found, _))| found == number);
    Some(text.entries(SOURCE).find(is_this)?.name.into_owned())
}

pub(super) fn led(text: &SectionText) -> Result<Option<(Percent, bool)>, WorkflowError> {
    let entry = text.get(SOURCE, "LED_RGB_Board").filter(|entry| !entry.value.is_empty());
    entry.map(|entry| level(&entry)).transpose()
}

pub(super) fn path(text: &SectionText, name: &str) -> Result<Option<bool>, WorkflowError> {
    let entry = text.get(PATH, name).filter(|entry| !entry.value.is_empty());
    let Some(entry) = entry else { return Ok(None) };
    match entry.value.split_whitespace().last() {
        Some("1" | "ON") => Ok(Some(true)),
        Some("0" | "OFF") => Ok(Some(false)),
        _ => Err(entry.wrong("ON 1 or OFF 0").into()),
    }
}

/// Reads `Laser 3 3: 561 nm MLE`: the number, and the name after it.
fn laser(text: &str) -> IResult<&str, (u32, &str)> {
    let name = verify(rest, |name: &str| name.is_empty() || name.starts_with(' '));
    preceded(tag("Laser "), (u32, name)).parse(text)
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
