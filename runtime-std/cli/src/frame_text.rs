//! A frame as text: one line with its name, its data and its status. The same as JSON is in
//! `frame_json.rs`.

use std::borrow::Cow;
use std::fmt::{Arguments, Write};

use flamingo_microscope::field_words;
use flamingo_microscope::pushed_positions;
use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{Class, Flags, Frame};
use flamingo_runtime_std::Answer;

/// The name of a class (`solicited`, `late`, `ambiguous` or `unsolicited`), and for answers whether
/// they are proven.
pub(crate) fn class_name(class: &Class) -> (&'static str, Option<bool>) {
    match class {
        Class::Solicited { proven, .. } => ("solicited", Some(*proven)),
        Class::Late { proven, .. } => ("late", Some(*proven)),
        Class::Ambiguous { .. } => ("ambiguous", None),
        Class::Unsolicited { .. } => ("unsolicited", None),
    }
}

/// What the status of an answer says, in the words of the JSON.
pub(crate) const fn outcome_name(outcome: Status) -> &'static str {
    match outcome {
        Status::Success => "success",
        Status::Failure => "failure",
        Status::Unset => "presumed success",
    }
}

/// What to add to the line of an answer whose status is no success.
pub(crate) fn outcome_remark(answer: &Answer) -> String {
    match answer.outcome {
        Status::Success => String::new(),
        outcome => {
            let text = String::from_utf8_lossy(answer.frame.buffer_bytes()).into_owned();
            let said = if text.is_empty() { text } else { format!(", {text:?}") };
            format!("  (status {}: {}{said})", answer.frame.status, outcome_name(outcome))
        }
    }
}

/// A frame in one line: its name, data, value, status and text.
pub(crate) fn frame_line(frame: &Frame, payload: &[u8]) -> String {
    let mut line = format!("{:<32}", name(frame));
    write_parts(&mut line, "  ", frame, payload);
    line.truncate(line.trim_end().len());
    line
}

/// Appends what [`frame_line`] says, with one space between two words.
pub(crate) fn write_words(out: &mut String, frame: &Frame, payload: &[u8]) {
    let begin = out.len();
    out.push_str(&name(frame));
    write_parts(out, " ", frame, payload);
    let written = &out[begin..];
    let is_single =
        |pair: &[u8]| !pair[1].is_ascii_whitespace() || (pair[0] > b' ' && pair[1] == b' ');
    if !(written.is_ascii() && written.as_bytes().windows(2).all(is_single))
        || written.ends_with(' ')
    {
        let words = written.split_whitespace().collect::<Vec<_>>().join(" ");
        out.truncate(begin);
        out.push_str(&words);
    }
}

fn name(frame: &Frame) -> Cow<'static, str> {
    frame.code.name().map_or_else(|| Cow::Owned(frame.code.to_string()), Cow::Borrowed)
}

/// Appends what is known beside the name of a frame; `between` goes before each part.
fn write_parts(out: &mut String, between: &str, frame: &Frame, payload: &[u8]) {
    let mut part = |text: Arguments<'_>| {
        out.push_str(between);
        // Memory takes it.
        let _ = out.write_fmt(text);
    };
    match field_words::data_meaning(frame) {
        meaning if meaning.is_empty() => {}
        meaning => part(format_args!("{meaning}")),
    }
    match field_words::value_unit(frame) {
        "" if frame.value == 0.0 => {}
        "" => part(format_args!("{}", frame.value)),
        unit => part(format_args!("{} {unit}", frame.value)),
    }
    if frame.outcome() != Status::Success {
        part(format_args!("status {}", frame.status));
    }
    let buffer = String::from_utf8_lossy(frame.buffer_bytes());
    if frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER) {
        let positions = pushed_positions(&buffer).into_iter();
        let positions: Vec<_> = positions.map(|(axis, at)| format!("{axis} {at}")).collect();
        if !positions.is_empty() {
            part(format_args!("{}", positions.join(" ")));
        }
    } else if !buffer.is_empty() {
        part(format_args!("{buffer:?}"));
    }
    if frame.payload_len > 0 {
        part(format_args!("payload {} bytes", payload.len()));
    }
}

/// The payload as text, if it is UTF-8 without control characters.
pub(crate) fn printable(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok().filter(|text| !text.is_empty())?;
    let safe = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(safe).then_some(text)
}

#[cfg(test)]
mod tests {
    use flamingo_protocol_core::CommandCode;

    use super::*;

    #[test]
    fn a_line_of_text_has_axis_unit_and_status() {
        let mut frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(4);
        frame.value = -12.5;
        frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
        let line = frame_line(&frame, &[]);
        assert!(line.starts_with("STAGE_POSITION_GET"), "{line}");
        assert!(line.ends_with("axis r  -12.5 deg  status 0"), "{line}");
        frame.set_text("1=2.5\n4=-12.5\n").unwrap();
        assert!(frame_line(&frame, &[]).ends_with("status 0  x 2.5 r -12.5"));
    }

    #[test]
    fn the_words_of_a_frame_are_those_of_its_line() {
        let words = |frame: &Frame| {
            let mut out = "before: ".to_owned();
            write_words(&mut out, frame, &[]);
            out.strip_prefix("before: ").unwrap().to_owned()
        };
        let line_words =
            |frame: &Frame| frame_line(frame, &[]).split_whitespace().collect::<Vec<_>>().join(" ");
        for code in [CommandCode::STAGE_POSITION_GET, CommandCode(0x1234_5678)] {
            for text in
                ["", "a", "two  spaces", " edge ", "tab\tand\nline", "Gr\u{f6}\u{2003}\u{2003}e"]
            {
                let mut frame = Frame::new(code).with_selector(1);
                frame.set_text(text).unwrap();
                assert_eq!(words(&frame), line_words(&frame));
                frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
                assert_eq!(words(&frame), line_words(&frame));
            }
        }
    }
}
