//! `flamingo decode --html`: writes a conversation as one page that needs no network. The rows are
//! written as they come; the page is in `html/`.
//!
//! The data are JSON in blocks that a browser does not run. Every `<` in them is escaped, so no text of
//! a recording can end a block. Scripts and styles need a number that is drawn for each page.

mod shown_text;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flamingo_recording::capture::{Capture, CaptureError};
use flamingo_recording::conversation::FrameClass;
use serde::Serialize;
use serde_json::{Value, json};

use self::shown_text::{escaped, in_script, shortened, squeezed, visible};

use super::json::{self, CodeJson, TotalsJson, calendar};
use super::row::{CommandOutcome, Row, RowContent, TimedFrame};
use super::summary::Summary;
use super::text;
use crate::failure::{CommandResult, Failure};
use crate::frame_text::printable;
use crate::new_file::OverwriteArg;
use crate::output::Out;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPTS: [&str; 5] = [
    include_str!("html/data.js"),
    include_str!("html/timeline.js"),
    include_str!("html/list.js"),
    include_str!("html/panels.js"),
    include_str!("html/main.js"),
];
/// Stand in the page for what is put in.
const NONCE: &str = "{nonce}";
const TITLE: &str = "{title}";
const STYLE_HERE: &str = "/* {style} */";
const DATA_HERE: &str = "<!-- {data} -->";
const SCRIPT_HERE: &str = "/* {script} */";

/// The page shows so many rows; the totals count all.
const MOST_ROWS: u64 = 500_000;
/// So many rows are one block of data.
const BLOCK: u64 = 5_000;
/// So many texts are written once only, if they are not longer.
const KEPT_TEXTS: usize = 20_000;
const LONGEST_KEPT: usize = 160;
/// Of a payload, so many characters are shown.
const SHOWN_PAYLOAD: usize = 4_000;

/// Marks of a row: which answers are in doubt.
const PRESUMED: u8 = 1;
const AMBIGUOUS: u8 = 2;
/// The row tells what became of a command that an earlier row has.
const AGAIN: u8 = 3;

/// A page that is being written.
pub(super) struct HtmlPage {
    path: PathBuf,
    name: String,
    file: BufWriter<File>,
    nonce: String,
    /// The numbers of the texts that were written.
    texts: HashMap<String, usize>,
    kinds: Vec<&'static str>,
    rows: u64,
    /// The time of the first row. Times in the page count from it.
    began: Option<Duration>,
    summary: Summary,
    /// The page is complete.
    ended: bool,
}

/// What the page has beside its rows.
#[derive(Serialize)]
struct FactsJson<'a> {
    name: &'a str,
    began: Option<String>,
    rows: u64,
    shown: u64,
    /// Why the capture could not be read to its end.
    cut: Option<String>,
    kinds: &'a [&'static str],
    codes: Vec<CodeJson>,
    totals: TotalsJson,
}

/// What was written.
#[derive(Serialize)]
struct WrittenJson {
    html: PathBuf,
    rows: u64,
}

impl HtmlPage {
    /// Creates the file and writes the beginning of the page. `name` is the name of the capture.
    pub(super) fn create(
        path: PathBuf,
        overwrite: OverwriteArg,
        name: &str,
    ) -> CommandResult<Self> {
        let file = BufWriter::new(overwrite.create("decode", &path)?);
        let mut page = Self {
            path,
            name: visible(
                Path::new(name).file_name().map_or(name.into(), |it| it.to_string_lossy()).as_ref(),
            ),
            file,
            nonce: nonce(),
            texts: HashMap::new(),
            kinds: Vec::new(),
            rows: 0,
            began: None,
            summary: Summary::default(),
            ended: false,
        };
        let begun = page.begin();
        page.written(begun)?;
        Ok(page)
    }

    fn begin(&mut self) -> io::Result<()> {
        let (before, _) = PAGE.split_once(DATA_HERE).unwrap_or((PAGE, ""));
        let before = before.replace(NONCE, &self.nonce).replace(STYLE_HERE, STYLE);
        self.file.write_all(before.replace(TITLE, &escaped(&self.name)).as_bytes())
    }

    /// Adds a row.
    pub(super) fn take(&mut self, row: &Row) -> CommandResult {
        self.summary.take(row);
        self.rows += 1;
        if self.rows > MOST_ROWS {
            return Ok(());
        }
        let value = self.row(row);
        let written = self.put_row(&value);
        self.written(written)
    }

    /// The values of a row: kind, time in µs, connection, code, duration in µs, mark, text, payload.
    /// -1 stands for a code or a duration that does not exist.
    fn row(&mut self, row: &Row) -> Value {
        let began = *self.began.get_or_insert(row.at);
        let kind = json::row(row).kind();
        let kind = self.kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        });
        // As in the text.
        let since = micros(row.at.abs_diff(began));
        let since = if row.at < began { -since } else { since };
        let Facts { code, duration, mark, payload } = Facts::of(row);
        let text = self.text(visible(&shortened(&squeezed(&text::content(row)))));
        let code = code.map_or(-1, i64::from);
        let mut value = json!([kind, since, row.who.number, code, duration, mark, text]);
        if let (Some(payload), Some(values)) = (payload, value.as_array_mut()) {
            values.push(payload.into());
        }
        value
    }

    /// A text, or its number if it was written before. A text in brackets gets the next number.
    fn text(&mut self, text: String) -> Value {
        if let Some(number) = self.texts.get(&text) {
            return json!(number);
        }
        if self.texts.len() == KEPT_TEXTS || text.len() > LONGEST_KEPT {
            return json!(text);
        }
        let value = json!([text]);
        self.texts.insert(text, self.texts.len());
        value
    }

    fn put_row(&mut self, row: &Value) -> io::Result<()> {
        let nth = (self.rows - 1) % BLOCK;
        if nth == 0 {
            if self.rows > 1 {
                self.file.write_all(END_OF_BLOCK)?;
            }
            self.file.write_all(b"<script type=\"application/json\" class=\"rows\">[\n")?;
        } else {
            self.file.write_all(b",\n")?;
        }
        self.file.write_all(in_script(&row.to_string()).as_bytes())
    }

    /// Writes the rest of the page, and prints what was written.
    pub(super) fn finish(
        mut self,
        capture: &Capture,
        cut: Option<&CaptureError>,
        out: &mut Out,
    ) -> CommandResult {
        let ended = self.end(Some(capture), cut.map(|error| visible(&error.to_string())));
        self.written(ended)?;
        let (html, rows) = (self.path.clone(), self.rows);
        let written = WrittenJson { html, rows };
        out.either(&written, || format!("{}: {rows} rows", written.html.display()))
    }

    fn end(&mut self, capture: Option<&Capture>, cut: Option<String>) -> io::Result<()> {
        self.ended = true;
        let facts = FactsJson {
            name: &self.name,
            began: self.began.map(calendar),
            rows: self.rows,
            shown: self.rows.min(MOST_ROWS),
            cut,
            kinds: &self.kinds,
            codes: self.summary.records().collect(),
            totals: self.summary.totals(capture),
        };
        let facts = serde_json::to_string(&facts).map_err(io::Error::other)?;
        if self.rows > 0 {
            self.file.write_all(END_OF_BLOCK)?;
        }
        let (_, after) = PAGE.split_once(DATA_HERE).unwrap_or(("", PAGE));
        let after = after.replace(NONCE, &self.nonce).replace(SCRIPT_HERE, &SCRIPTS.join("\n"));
        write!(
            self.file,
            "<script type=\"application/json\" id=\"facts\">{}</script>{after}",
            in_script(&facts)
        )?;
        self.file.flush()
    }

    fn written<T>(&self, result: io::Result<T>) -> CommandResult<T> {
        result.map_err(|error| {
            let path = self.path.display();
            Failure::new(1, format!("decode: {path} is not complete: {error}"))
        })
    }
}

impl Drop for HtmlPage {
    /// After an error or Ctrl-C, the page still opens, and says that it is not complete.
    fn drop(&mut self) {
        if !self.ended {
            // An error was reported before, or the program is about to end.
            let _ = self.end(None, Some("it was interrupted".to_owned()));
        }
    }
}

/// Stands for a duration that does not exist or is not known.
const UNKNOWN: i64 = -1;
const END_OF_BLOCK: &[u8] = b"\n]</script>\n";

/// What the page knows of a row beside its text.
#[derive(Default)]
struct Facts {
    code: Option<u32>,
    /// In µs; [`UNKNOWN`] if there is none, or if the clock was set in it.
    duration: i64,
    mark: u8,
    payload: Option<String>,
}

impl Facts {
    fn of(row: &Row) -> Self {
        match &row.content {
            RowContent::Command { command, outcome, clock_set, again } => {
                let (duration, mark, answer) = match outcome {
                    CommandOutcome::Answered { answer, class } => {
                        let (_, after) = class.answers().unwrap_or_default();
                        (micros(after), mark(class), Some(answer))
                    }
                    CommandOutcome::Unanswered { after, .. }
                    | CommandOutcome::ConnectionEnds { after }
                    | CommandOutcome::RecordingEnds { after } => (micros(*after), 0, None),
                    CommandOutcome::Open | CommandOutcome::NoneExpected => (UNKNOWN, 0, None),
                };
                let duration = if *clock_set { UNKNOWN } else { duration };
                let mark = if *again { AGAIN } else { mark };
                let payload = [payload_text(command), answer.and_then(payload_text)];
                let payload = payload.into_iter().flatten().collect::<Vec<_>>().join("\n---\n");
                let payload = Some(payload).filter(|text| !text.is_empty());
                Self { code: Some(command.frame.code.0), duration, mark, payload }
            }
            RowContent::Other { frame, class, clock_set, .. } => Self {
                code: Some(frame.frame.code.0),
                duration: class
                    .answers()
                    .filter(|_| !clock_set)
                    .map_or(UNKNOWN, |(_, after)| micros(after)),
                mark: mark(class),
                payload: payload_text(frame),
            },
            _ => Self { duration: UNKNOWN, ..Self::default() },
        }
    }
}

const fn mark(class: &FrameClass) -> u8 {
    match class {
        FrameClass::Ambiguous { .. } => AMBIGUOUS,
        FrameClass::Solicited { proven: false, .. } => PRESUMED,
        FrameClass::Late { .. } | FrameClass::Solicited { .. } | FrameClass::Unsolicited { .. } => {
            0
        }
    }
}

/// The beginning of a payload, if it is text.
fn payload_text(frame: &TimedFrame) -> Option<String> {
    let text = printable(&frame.payload)?;
    let shown: String = text.chars().take(SHOWN_PAYLOAD).collect();
    let hidden = text.len() - shown.len();
    let shown = visible(&shown);
    Some(if hidden == 0 { shown } else { format!("{shown}\n… {hidden} more bytes of text") })
}

fn micros(time: Duration) -> i64 {
    i64::try_from(text::rounded_micros(time)).unwrap_or(i64::MAX)
}

/// A number that nobody can know before the page is written.
fn nonce() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", draw(), draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_is_cut_says_how_much_is_missing() {
        use flamingo_protocol_core::{CommandCode, Frame};
        let frame = Frame::new(CommandCode(7));
        let of = |payload: &[u8]| {
            payload_text(&TimedFrame { at: Duration::ZERO, frame, payload: payload.to_vec() })
        };
        assert_eq!(of(&[b'a'; SHOWN_PAYLOAD]).unwrap().len(), SHOWN_PAYLOAD);
        let cut = of(&[b'a'; SHOWN_PAYLOAD + 7]).unwrap();
        assert!(cut.ends_with("a\n… 7 more bytes of text"), "{cut}");
        assert_eq!(of(&[0, 255]), None);
    }

    #[test]
    fn the_page_rounds_times_as_the_text_does() {
        assert_eq!([1_499, 1_500].map(|nanos| micros(Duration::from_nanos(nanos))), [1, 2]);
        assert_eq!(micros(Duration::MAX), i64::MAX);
    }

    #[test]
    fn the_page_has_one_place_for_each_part() {
        for place in [TITLE, STYLE_HERE, DATA_HERE, SCRIPT_HERE] {
            assert!(PAGE.contains(place), "{place}");
        }
        assert_eq!(PAGE.matches(DATA_HERE).count(), 1);
        for part in SCRIPTS {
            assert!(!part.contains("</script") && !part.contains("<!--"), "{part}");
        }
        assert_ne!(nonce(), nonce());
    }
}
