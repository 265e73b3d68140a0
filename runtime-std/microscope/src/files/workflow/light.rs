//! The light of a workflow: `Laser 3 3: 561 nm MLE = 5.88 1`, `LED_RGB_Board = 29.82 0`,
//! `Left path = ON 1`.

use super::values::number;
use super::{PATH, SOURCE, WorkflowError};
use crate::files::sections::{Entry, SectionText};
use crate::units::Percent;

/// A laser in a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct LaserLine {
    /// Its number, from 1.
    pub number: u32,
    /// What stands behind the number, such as `3: 561 nm MLE`; often empty.
    pub name: String,
    /// Its wavelength in nm, if the name says it.
    pub wavelength_nm: Option<u32>,
    /// How bright.
    pub level: Percent,
    /// Whether it is on.
    pub on: bool,
    /// The number of its line in the file, from 1.
    pub line: usize,
}

pub(super) fn lasers(text: &SectionText) -> Result<Vec<LaserLine>, WorkflowError> {
    let mut lasers = Vec::new();
    for entry in text.entries(SOURCE) {
        let Some(number) = laser_number(&entry) else { continue };
        if entry.value.is_empty() {
            continue;
        }
        let (level, on) = level(&entry)?;
        let name = entry.name["Laser ".len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        let name = name.trim().to_owned();
        let wavelength_nm = wavelength(&name);
        lasers.push(LaserLine { number, name, wavelength_nm, level, on, line: entry.line });
    }
    Ok(lasers)
}

/// The name of the line for a laser.
pub(super) fn laser_name(text: &SectionText, number: u32) -> Option<String> {
    let entry = text.entries(SOURCE).find(|entry| laser_number(entry) == Some(number))?;
    Some(entry.name.into_owned())
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

fn laser_number(entry: &Entry) -> Option<u32> {
    let rest = entry.name.strip_prefix("Laser ")?;
    rest.split(' ').next()?.parse().ok()
}

/// `561` of `3: 561 nm MLE`.
fn wavelength(name: &str) -> Option<u32> {
    let words: Vec<&str> = name.split_whitespace().collect();
    let unit = words.iter().position(|word| *word == "nm")?;
    words.get(unit.checked_sub(1)?)?.parse().ok()
}

/// `5.88 1`: percent, and whether it is on.
fn level(entry: &Entry) -> Result<(Percent, bool), WorkflowError> {
    let expected = "percent and 0 or 1, such as 5.88 1";
    let mut words = entry.value.split_whitespace();
    let level = words.next().and_then(number).ok_or_else(|| entry.wrong(expected))?;
    match (words.next(), words.next()) {
        (Some("0"), None) => Ok((Percent(level), false)),
        (Some("1"), None) => Ok((Percent(level), true)),
        _ => Err(entry.wrong(expected).into()),
    }
}
