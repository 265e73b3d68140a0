//! `flamingo codes`: the table of command codes, with what is known about each. The facts that decide about a
//! frame are in the core; `notes.tsv` has the notes and sources of docs/protocol.md, and a test compares them.

use clap::Args;
use flamingo_protocol_core::CommandCode;
use flamingo_protocol_core::wire::{CallbackFlag, Kind, Payload, Pushed, Row, Selector, TABLE};
use serde::Serialize;

use crate::args::code;
use crate::failure::{CommandResult, Failure};
use crate::output::Out;
use crate::suggest::did_you_mean;

/// Code, source and note of each command, with tabs between.
const NOTES: &str = include_str!("notes.tsv");
/// Up to this number of codes, everything that is known about each is printed.
const IN_FULL: usize = 3;

/// Print the command codes, and what is known about each
///
/// The letters say how sure it is: S the server's own header, source or log; O observed on an instrument; C only
/// client code assumes it.
#[derive(Debug, Args)]
pub(crate) struct CodesArgs {
    /// A part of the name, a word of the note, or a number: position, 0x6008, 24584
    #[arg(value_name = "SEARCH")]
    search: Option<String>,
}

/// The JSON of a code.
#[derive(Serialize)]
struct CodeJson {
    code: u32,
    hex: String,
    name: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    int32_data0: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'static str>,
    pushed: bool,
    stops: bool,
    /// Whether an answer needs the flag TRIGGER_CALL_BACK in the command.
    needs_callback_flag: bool,
    note: &'static str,
    sure: &'static str,
}

impl CodeJson {
    fn of(row: &Row) -> Self {
        let (sure, note) = note(row.code);
        Self {
            code: row.code.0,
            hex: format!("0x{:04X}", row.code.0),
            name: row.name(),
            kind: kind(row),
            int32_data0: selector(row.selector),
            payload: payload(row.payload),
            pushed: row.pushed != Pushed::Never,
            stops: row.effect.stops(),
            needs_callback_flag: row.callback == CallbackFlag::Needed,
            note,
            sure,
        }
    }

    /// Everything on one line, without the note.
    fn line(&self) -> String {
        let Self { hex, name, kind, .. } = self;
        let about: Vec<&str> = self.about().collect();
        format!("{hex}  {name:<38}{kind:<21}{}", about.join(", ")).trim_end().to_owned()
    }

    fn about(&self) -> impl Iterator<Item = &'static str> {
        let pushed = self.pushed && self.kind != "event";
        [
            self.int32_data0,
            self.payload,
            pushed.then_some("also pushed"),
            self.stops.then_some("sent before everything else"),
        ]
        .into_iter()
        .flatten()
    }

    fn paragraph(&self) -> String {
        let callback = if self.needs_callback_flag && self.kind != "event" {
            "\n            is answered only with the flag TRIGGER_CALL_BACK"
        } else {
            ""
        };
        let note = if self.note.is_empty() {
            String::new()
        } else {
            format!("\n            {}", self.note)
        };
        let Self { code, sure, .. } = self;
        format!("{}\n            {code} in decimal; sure: {sure}{callback}{note}", self.line())
    }
}

/// The source and the note of a code.
fn note(code: CommandCode) -> (&'static str, &'static str) {
    let hex = format!("0x{:04X}", code.0);
    let mut lines = NOTES.lines().map(|line| line.splitn(3, '\t'));
    let found =
        lines.find_map(|mut line| (line.next()? == hex).then_some((line.next()?, line.next()?)));
    found.unwrap_or_default()
}

const fn kind(row: &Row) -> &'static str {
    match row.kind {
        Kind::Query => "query",
        Kind::Action => "action",
        Kind::FireAndForget if row.is_usually_acknowledged() => "usually acknowledged",
        Kind::FireAndForget => "fire and forget",
        Kind::Event => "event",
    }
}

const fn selector(selector: Selector) -> Option<&'static str> {
    match selector {
        Selector::None => None,
        Selector::Axis => Some("axis"),
        Selector::Laser => Some("laser"),
        Selector::Led => Some("colour"),
    }
}

const fn payload(payload: Payload) -> Option<&'static str> {
    match payload {
        Payload::None => None,
        Payload::Up => Some("payload up"),
        Payload::Down => Some("payload down"),
        Payload::Both => Some("payload both ways"),
    }
}

/// All known names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(Row::name)
}

pub(crate) fn run(args: &CodesArgs, out: &mut Out) -> CommandResult {
    let found = match &args.search {
        Some(search) => search_for(search)?,
        None => TABLE.iter().collect(),
    };
    let in_full = found.len() <= IN_FULL;
    for row in found {
        let json = CodeJson::of(row);
        out.either(&json, || if in_full { json.paragraph() } else { json.line() })?;
    }
    Ok(())
}

/// The codes with this number; with this in their name; or else with this in their note.
fn search_for(search: &str) -> CommandResult<Vec<&'static Row>> {
    if search.starts_with(|first: char| first.is_ascii_digit()) {
        let code = code(search).map_err(|error| Failure::usage(format!("codes: {error}")))?;
        return code.row().map(|row| vec![row]).ok_or_else(|| {
            Failure::usage(format!(
                "codes: nothing is known about 0x{:04X}; flamingo send can send it nevertheless",
                code.0
            ))
        });
    }
    let wanted = search.trim().to_uppercase().replace([' ', '-'], "_");
    let by_name: Vec<&Row> = TABLE.iter().filter(|row| row.name().contains(&wanted)).collect();
    if !by_name.is_empty() {
        return Ok(by_name);
    }
    let wanted = search.trim().to_lowercase();
    let in_note = |row: &&Row| note(row.code).1.to_lowercase().contains(&wanted);
    let by_note: Vec<&Row> = TABLE.iter().filter(in_note).collect();
    if !by_note.is_empty() {
        return Ok(by_note);
    }
    let meant = did_you_mean(search, names());
    Err(Failure::usage(format!(
        "codes: expected a part of a name or of a note, or a number, found {search:?}{meant}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_source_and_a_note_of_the_protocol() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
        let page = std::fs::read_to_string(page).unwrap().replace(['`'], "").replace("**", "");
        for row in TABLE {
            let (sure, note) = note(row.code);
            assert!(!sure.is_empty(), "{}", row.name());
            let end = format!("| {note} | {sure} |");
            let start = format!("| 0x{:04X} | {} | {} |", row.code.0, row.name(), kind(row));
            let found = page.lines().find(|line| line.starts_with(&start)).unwrap_or_default();
            assert!(
                found.ends_with(&end.replace("|  |", "| |")) || found.ends_with(&end),
                "{start} {end}"
            );
        }
        assert_eq!(NOTES.lines().count(), TABLE.len());
    }

    #[test]
    fn a_search_finds_names_numbers_and_notes() {
        let found = |search: &str| -> Vec<&str> {
            search_for(search).unwrap().into_iter().map(Row::name).collect()
        };
        assert_eq!(found("0x6008"), ["STAGE_POSITION_GET"]);
        assert_eq!(found("24584"), ["STAGE_POSITION_GET"]);
        assert_eq!(found("stage position get"), ["STAGE_POSITION_GET"]);
        assert!(found("position").len() > 4);
        assert_eq!(found("emergency"), ["STAGE_HALT"]);
        for nothing in ["banana", "0x7777", "6008"] {
            assert!(search_for(nothing).is_err(), "{nothing}");
        }
    }
}
