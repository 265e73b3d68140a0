//! `flamingo settings diff`: compares the scope settings of the instrument with a file, value by value.

use std::path::PathBuf;

use clap::Args;
use flamingo_microscope::sections::SectionText;
use serde::Serialize;

use super::microscope;
use super::values::{ValueJson, values};
use crate::args::ClientArgs;
use crate::commands::workflow::read_file;
use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::output::Out;

/// Compare the scope settings of the instrument with a file
///
/// Prints each value that differs: with - as the instrument has it, with + as the file has it. The order of the
/// lines and comments do not count. The exit code is 0, whether there are differences or not.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// File with settings, as `flamingo get settings` prints them; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    client: ClientArgs,
}

/// The JSON of a value that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct DifferenceJson {
    section: String,
    name: String,
    /// `null`: not there.
    instrument: Option<String>,
    file: Option<String>,
}

pub(super) async fn run(args: DiffArgs, out: &mut Out) -> CommandResult {
    let name = args.file.display().to_string();
    let file = read_file(&args.file).await?;
    let file =
        SectionText::read(&file).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let in_file = values(&file);
    if in_file.is_empty() {
        return Err(Failure::usage(format!(
            "{name}: expected settings, as `flamingo get settings` prints them, found no value"
        )));
    }
    let microscope = microscope(&args.client).await?;
    let text = microscope.settings().load_text().await?;
    let text = SectionText::read(&text)
        .map_err(|error| Failure::new(PROTOCOL, format!("settings of the instrument: {error}")))?;
    let differences = differences(values(&text), in_file);
    for difference in &differences {
        print(out, difference)?;
    }
    if differences.is_empty() && !out.json() {
        note(&format!("{name}: no value differs from the instrument's"));
    }
    Ok(())
}

fn print(out: &mut Out, difference: &DifferenceJson) -> CommandResult {
    let DifferenceJson { section, name, instrument, file } = difference;
    out.either(difference, || {
        let line = |sign: char, value: &Option<String>| {
            value.as_ref().map(|value| format!("{sign} {section}/{name} = {value}"))
        };
        [line('-', instrument), line('+', file)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("\n")
    })
}

/// The values of both texts that are not equal, in the order of the instrument's lines; then those that only
/// the file has. The second value with one name is compared with the second one.
fn differences(instrument: Vec<ValueJson>, mut file: Vec<ValueJson>) -> Vec<DifferenceJson> {
    let mut found = Vec::new();
    for value in instrument {
        let is_same = |other: &ValueJson| {
            other.section.eq_ignore_ascii_case(&value.section)
                && other.name.eq_ignore_ascii_case(&value.name)
        };
        let other = file.iter().position(is_same).map(|at| file.remove(at).value);
        if other.as_ref() != Some(&value.value) {
            let (section, name) = (value.section, value.name);
            found.push(DifferenceJson {
                section,
                name,
                instrument: Some(value.value),
                file: other,
            });
        }
    }
    found.extend(file.into_iter().map(|value| DifferenceJson {
        section: value.section,
        name: value.name,
        instrument: None,
        file: Some(value.value),
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<ValueJson> {
        values(&SectionText::read(text.as_bytes()).unwrap())
    }

    #[test]
    fn only_values_that_differ_are_shown() {
        let instrument = "<A>\n  One = 1\n  Two = 2\n  Three = 3\n</A>\n";
        let file = "# a comment\n<a>\n  two = 2\n  one = 5\n  Four = 4\n</a>\n";
        let shown: Vec<_> = differences(of(instrument), of(file))
            .into_iter()
            .map(|each| (each.name, each.instrument, each.file))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            shown,
            [
                ("One".to_owned(), some("1"), some("5")),
                ("Three".to_owned(), some("3"), None),
                ("Four".to_owned(), None, some("4")),
            ]
        );
    }
}
