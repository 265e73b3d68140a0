//! `flamingo settings get` and `settings set`: one value of the scope settings, found by its name.

use clap::Args;
use flamingo_microscope::sections::SectionText;
use serde::Serialize;

use super::microscope;
use super::save::{self, ReplaceArgs};
use crate::args::ClientArgs;
use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::interrupt::Interrupt;
use crate::output::Out;
use crate::suggest::did_you_mean;

/// Print one value of the scope settings
#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Name as in the settings, such as "Home x-axis", or "Stage limits/Home x-axis"; upper and lower case are the same
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    client: ClientArgs,
}

/// Change one value of the scope settings
///
/// All other bytes stay as they are. The command shows the line before and after the change, asks, keeps the
/// old settings in a file, and reads the new ones back.
#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Name as in the settings, such as "Home x-axis", or "Stage limits/Home x-axis"; upper and lower case are the same
    #[arg(value_name = "NAME")]
    name: String,

    /// New value
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    value: String,

    #[command(flatten)]
    replace: ReplaceArgs,

    #[command(flatten)]
    client: ClientArgs,
}

/// The JSON of a value.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ValueJson {
    pub(super) section: String,
    pub(super) name: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// All values, in the order of their lines.
pub(super) fn values(text: &SectionText) -> Vec<ValueJson> {
    let mut sections: Vec<&str> = Vec::new();
    for section in text.sections() {
        // The entries of sections with one name come together.
        if !sections.iter().any(|known| known.eq_ignore_ascii_case(section)) {
            sections.push(section);
        }
    }
    let mut values: Vec<ValueJson> = sections
        .into_iter()
        .flat_map(|section| {
            text.entries(section).map(|entry| ValueJson {
                section: section.to_owned(),
                name: entry.name.to_string(),
                value: entry.value.to_string(),
                line: entry.line,
            })
        })
        .collect();
    values.sort_by_key(|value| value.line);
    values
}

/// The only value with this name. `Section/Name` names one of several.
fn find(text: &SectionText, name: &str) -> CommandResult<ValueJson> {
    let mut values = values(text);
    let with_section = |value: &ValueJson| format!("{}/{}", value.section, value.name);
    let is_named = |value: &ValueJson| {
        value.name.eq_ignore_ascii_case(name) || with_section(value).eq_ignore_ascii_case(name)
    };
    let found: Vec<usize> = (0..values.len()).filter(|at| is_named(&values[*at])).collect();
    match found[..] {
        [only] => Ok(values.swap_remove(only)),
        [] => {
            let meant = meant(name, &values);
            Err(Failure::usage(format!(
                "settings: expected a name in the scope settings, found {name:?}{meant}; flamingo get settings \
                 lists them"
            )))
        }
        _ => {
            let places: Vec<String> = found
                .iter()
                .map(|at| format!("{} (line {})", with_section(&values[*at]), values[*at].line))
                .collect();
            let places = places.join(", ");
            Err(Failure::usage(format!(
                "settings: {name:?} is there {} times: {places}; write Section/Name",
                found.len()
            )))
        }
    }
}

/// How many names an error lists.
const LISTED: usize = 6;

/// The names that have all words that were typed, or longer ones; otherwise the most similar name.
fn meant(typed: &str, values: &[ValueJson]) -> String {
    let typed_words = typed.to_lowercase();
    let contains = |value: &&ValueJson| {
        let name = value.name.to_lowercase();
        let has = |word| name.split(|c: char| !c.is_alphanumeric()).any(|of| of.starts_with(word));
        typed_words.split_whitespace().all(has)
    };
    let names: Vec<&str> = values.iter().filter(contains).map(|value| &*value.name).collect();
    match names.len() {
        0 => did_you_mean(typed, values.iter().map(|value| value.name.as_str())),
        1..=LISTED => format!("; did you mean {}?", names.join(", or ")),
        more => format!("; {more} names contain it"),
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(PROTOCOL, format!("settings of the instrument: {error}"))
}

pub(super) async fn get(args: GetArgs, out: &mut Out) -> CommandResult {
    let microscope = microscope(&args.client).await?;
    let text = microscope.settings().load_text().await?;
    let text = SectionText::read(&text).map_err(|error| unreadable(&error))?;
    let value = find(&text, &args.name)?;
    out.either(&value, || value.value.clone())
}

pub(super) async fn set(args: SetArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    if args.value.contains(['\n', '\r']) {
        let message =
            "settings set: expected a value on one line, found a line end; nothing was saved";
        return Err(Failure::usage(message));
    }
    let microscope = interrupt.or(microscope(&args.client)).await?;
    let before = interrupt.or(async { Ok(microscope.settings().load_text().await?) }).await?;
    let mut text = SectionText::read(&before).map_err(|error| unreadable(&error))?;
    let old = find(&text, &args.name)?;
    if old.value == args.value {
        note(&format!(
            "{}: the instrument already has {:?}; nothing was saved",
            old.name, old.value
        ));
        return Ok(());
    }
    if !text.set(&old.section, &old.name, &args.value) {
        let message = format!("{}: line {} cannot be changed", old.name, old.line);
        return Err(Failure::usage(format!("{message}; nothing was saved")));
    }
    let after = text.to_bytes();
    save::check("the changed settings", &after)?;
    let shown = |value: &str| if value.is_empty() { "(empty)" } else { value }.to_owned();
    let (from, to) = (shown(&old.value), shown(&args.value));
    note(&format!("line {}: {} = {from} becomes {to}", old.line, old.name));
    let question = format!("Change the settings of {}?", args.client.server.connect);
    save::replace(&microscope, &before, &after, question, args.replace, out, interrupt).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "<A>\n  One = 1\n  Two = 2\n</A>\n<B>\n  One = 3\n</B>\n";

    #[test]
    fn a_name_in_two_sections_needs_its_section() {
        let text = SectionText::read(TEXT.as_bytes()).unwrap();
        assert_eq!(find(&text, "two").unwrap().value, "2");
        assert_eq!(find(&text, "b/one").unwrap().line, 6);
        let Err(Failure::Exit { message, .. }) = find(&text, "one") else { panic!() };
        assert!(message.contains("A/One (line 2), B/One (line 6)"), "{message}");
    }
}
