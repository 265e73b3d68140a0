//! A frame as text: one line with its name, its data and its status. The same as JSON is in
//! `frame_json.rs`.

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
    let name = frame.code.name().map_or_else(|| frame.code.to_string(), str::to_owned);
    let mut parts = vec![format!("{name:<32}")];
    parts.push(field_words::data_meaning(frame));
    match field_words::value_unit(frame) {
        "" if frame.value == 0.0 => {}
        "" => parts.push(frame.value.to_string()),
        unit => parts.push(format!("{} {unit}", frame.value)),
    }
    if frame.outcome() != Status::Success {
        parts.push(format!("status {}", frame.status));
    }
    let buffer = String::from_utf8_lossy(frame.buffer_bytes());
    if frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER) {
        let positions = pushed_positions(&buffer).into_iter();
        parts
            .push(positions.map(|(axis, at)| format!("{axis} {at}")).collect::<Vec<_>>().join(" "));
    } else if !buffer.is_empty() {
        parts.push(format!("{buffer:?}"));
    }
    if frame.payload_len > 0 {
        parts.push(format!("payload {} bytes", payload.len()));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ").trim_end().to_owned()
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
}
