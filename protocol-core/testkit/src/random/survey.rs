//! Counts of what the conversations covered, by name.

use std::collections::BTreeMap;
use std::fmt;

/// How often each thing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey(BTreeMap<&'static str, u64>);

impl Survey {
    /// One more.
    pub fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    /// How often it happened.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Adds the counts of another survey.
    pub fn add(&mut self, other: &Self) {
        for (name, number) in &other.0 {
            *self.0.entry(name).or_default() += number;
        }
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, number) in &self.0 {
            writeln!(f, "{number:>14}  {name}")?;
        }
        Ok(())
    }
}
