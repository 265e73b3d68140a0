//! The meaning of the fields of a frame, in words: names of codes, flags, statuses, axes and states.
//!
//! One line per field, for people. The layout of frames is in the core; printing them is the
//! program's.

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    wire::{CMD_END, CMD_START, END_MARKER, Field, Kind, MAX_PAYLOAD, START_MARKER, Selector},
};

use crate::axis::Axis;

/// The names of the flags; flags without a name as one number; `none` for 0.
///
/// ```
/// use flamingo_protocol_core::Flags;
/// use flamingo_microscope::field_words::flag_names;
/// assert_eq!(flag_names(Flags(0x8000_0100)), "TRIGGER_CALL_BACK | 0x00000100");
/// ```
pub fn flag_names(flags: Flags) -> String {
    let set = Flags::NAMED.iter().filter(|(flag, _)| flags.contains(*flag));
    let rest = set.clone().fold(flags, |rest, (flag, _)| rest.without(*flag));
    let mut names: Vec<String> = set.map(|(_, name)| (*name).to_owned()).collect();
    if rest.0 != 0 {
        names.push(format!("0x{:08X}", rest.0));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(" | ") }
}

/// The short name of a system state (`IDLE`, `LIVE_VIEW` …); `None` if `code` is no state.
pub fn state_name(code: i32) -> Option<&'static str> {
    let code = CommandCode(u32::try_from(code).ok()?);
    let states =
        CommandCode::SYSTEM_STATE_DISCONNECTED..=CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING;
    if !states.contains(&code) {
        return None;
    }
    code.name()?.strip_prefix("SYSTEM_STATE_")
}

/// The meaning of a frame's status, in words. The frame may be a command, whose status is 0.
pub fn status_name(frame: &Frame) -> &'static str {
    match (frame.outcome(), frame.status) {
        (Status::Success, 0) => "0: success in an answer, not set in a command",
        (Status::Failure, 0) => "0: failure in an answer, not set in a command",
        (Status::Unset, _) => "0: not set, as in a command",
        (Status::Success, _) => "success",
        (Status::Failure, _) => "failure",
    }
}

/// What the selector of a frame selects, in words; empty if that is not known.
pub fn selector_name(frame: &Frame) -> String {
    let found = frame.selector();
    if frame.code == CommandCode::SYSTEM_STATE_GET {
        return state_name(found).map_or(String::new(), |state| format!("state {state}"));
    }
    match frame.code.row().map_or(Selector::None, |row| row.selector) {
        Selector::None => String::new(),
        Selector::Axis if found == 255 => "all axes".to_owned(),
        Selector::Axis => Axis::from_selector(found)
            .map_or("no known axis".to_owned(), |axis| format!("axis {axis}")),
        Selector::Laser => format!("laser {found}"),
        Selector::Led => {
            let colours = ["red", "green", "blue", "white"];
            let colour = usize::try_from(found).ok().and_then(|at| colours.get(at));
            colour.map_or("no known LED".to_owned(), |colour| format!("LED {colour}"))
        }
    }
}

/// The meaning of the three int32Data fields of a frame in words, or the numbers if it is not known;
/// empty if it is not known and all are 0.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame};
/// use flamingo_microscope::field_words::data_meaning;
/// let mut gauge = Frame::new(CommandCode::UI_SET_GAUGE_VALUE);
/// gauge.int32_data = [3, 100, 0];
/// assert_eq!(data_meaning(&gauge), "3 of 100");
/// ```
pub fn data_meaning(frame: &Frame) -> String {
    let [data0, data1, data2] = frame.int32_data;
    match frame.code {
        CommandCode::CAMERA_IMAGE_SIZE_GET => format!("{data0} x {data1} px"),
        CommandCode::CAMERA_EXPOSURE_GET | CommandCode::CAMERA_EXPOSURE_SET => {
            format!("{data0} µs")
        }
        CommandCode::CAMERA_STACK_COMPLETE => format!("{data0} of {data1}, {data2} errors"),
        CommandCode::UI_SET_GAUGE_SIZE | CommandCode::UI_SET_GAUGE_VALUE => {
            format!("{data0} of {data1}")
        }
        _ => match selector_name(frame) {
            name if name.is_empty() && frame.int32_data != [0; 3] => {
                format!("data {data0} {data1} {data2}")
            }
            name => name,
        },
    }
}

/// What an answer with a failure says, for people. A bridge begins the text of a refusal with `refused: `: then the
/// command did not reach the instrument.
///
/// ```
/// use flamingo_protocol_core::CommandCode;
/// use flamingo_microscope::field_words::failure_text;
/// let code = CommandCode::STAGE_HOME;
/// assert_eq!(
///     failure_text(code, 0, "no such axis"),
///     "the instrument answered STAGE_HOME (0x6002) with failure (status 0), saying \"no such axis\""
/// );
/// assert_eq!(
///     failure_text(code, 0, "refused: the instrument is not connected"),
///     "the bridge refused STAGE_HOME (0x6002): the instrument is not connected; it did not reach the instrument"
/// );
/// ```
pub fn failure_text(code: CommandCode, status: i32, text: &str) -> String {
    if let Some(reason) = text.strip_prefix("refused: ") {
        return format!("the bridge refused {code}: {reason}; it did not reach the instrument");
    }
    let saying = if text.is_empty() { String::new() } else { format!(", saying {text:?}") };
    format!("the instrument answered {code} with failure (status {status}){saying}")
}

/// The unit of doubleData in a frame; empty if it is not known.
pub fn value_unit(frame: &Frame) -> &'static str {
    let axis = Axis::from_selector(frame.selector());
    match frame.code {
        CommandCode::STAGE_POSITION_GET
        | CommandCode::STAGE_POSITION_SET
        | CommandCode::STAGE_POSITION_SET_SLIDER
        | CommandCode::STAGE_POSITION_SET_TEXT => axis.map_or("", Axis::unit),
        CommandCode::STAGE_VELOCITY_SET => match axis {
            Some(Axis::R) => "deg/s",
            Some(_) => "mm/s",
            None => "",
        },
        CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET => "mm/pixel",
        CommandCode::CAMERA_STACK_COMPLETE => "µs",
        _ => "",
    }
}

/// The meaning of one field of a frame in words; empty if there is none.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame, wire::FIELDS};
/// use flamingo_microscope::field_words::field_meaning;
/// let frame = Frame::command(CommandCode::STAGE_HALT).with_selector(2);
/// let meanings: Vec<_> = FIELDS.iter().map(|field| field_meaning(&frame, field)).collect();
/// assert_eq!(meanings[1], "STAGE_HALT: action, acknowledged by an echo");
/// assert_eq!(meanings[6], "axis y");
/// ```
pub fn field_meaning(frame: &Frame, field: &Field) -> String {
    match field.name {
        name if name == CMD_START.name => format!("start marker 0x{START_MARKER:08X}"),
        name if name == CMD_END.name => format!("end marker 0x{END_MARKER:08X}"),
        "cmd" => code_meaning(frame.code),
        "status" => status_name(frame).to_owned(),
        "hardwareID" => "device instance".to_owned(),
        "clientID" => "chosen by the client".to_owned(),
        "int32Data0" => selector_name(frame),
        "cmdDataBits0" => flag_names(frame.flags),
        "doubleData" => value_unit(frame).to_owned(),
        "additionalDataBytes" => payload_meaning(frame.payload_len),
        "buffer" => buffer_meaning(frame),
        _ => String::new(),
    }
}

fn code_meaning(code: CommandCode) -> String {
    let Some(row) = code.row() else {
        return "unknown command".to_owned();
    };
    let kind = match row.kind {
        Kind::Query => "query, answered with data",
        Kind::Action => "action, acknowledged by an echo",
        Kind::FireAndForget => "fire and forget, never acknowledged",
        Kind::Event => "event, sent by the server",
    };
    let pushed = if row.also_pushed() && row.kind != Kind::Event { "; also pushed" } else { "" };
    format!("{}: {kind}{pushed}", row.name())
}

fn payload_meaning(bytes: u32) -> String {
    match bytes {
        0 => "no payload".to_owned(),
        1..=MAX_PAYLOAD => format!("{bytes} bytes of payload follow"),
        _ => format!("more than the limit of {MAX_PAYLOAD} bytes"),
    }
}

fn buffer_meaning(frame: &Frame) -> String {
    if frame.buffer.iter().all(|byte| *byte == 0) {
        return "empty".to_owned();
    }
    let text = frame.buffer_bytes();
    let padded = frame.buffer.get(text.len()..).is_some_and(|rest| rest.iter().all(|b| *b == 0));
    match frame.text() {
        Ok(text) if padded && !text.is_empty() => format!("text {text:?}"),
        _ => "binary".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_protocol_core::wire::FIELDS;

    fn meaning(frame: &Frame, name: &str) -> String {
        let field = FIELDS.iter().find(|field| field.name == name).unwrap();
        field_meaning(frame, field)
    }

    #[test]
    fn flags_have_names_and_other_bits_stay_visible() {
        assert_eq!(flag_names(Flags(0)), "none");
        let all = flag_names(Flags(u32::MAX));
        for (_, name) in Flags::NAMED {
            assert!(all.contains(name), "{all}");
        }
        assert!(all.ends_with(" | 0x3FFFFFC0"), "{all}");
    }

    #[test]
    fn the_answer_to_a_state_query_names_the_state() {
        let state = CommandCode::SYSTEM_STATE_LIVE_VIEW.0 as i32;
        let frame = Frame::new(CommandCode::SYSTEM_STATE_GET).with_selector(state);
        assert_eq!(meaning(&frame, "int32Data0"), "state LIVE_VIEW");
        assert_eq!(state_name(0xA007), None);
        assert_eq!(state_name(-1), None);
    }

    #[test]
    fn data_without_a_known_meaning_is_shown_as_numbers() {
        let mut frame = Frame::new(CommandCode(0x6FFF));
        assert_eq!(data_meaning(&frame), "");
        frame.int32_data = [0, -1, 2];
        assert_eq!(data_meaning(&frame), "data 0 -1 2");
        frame.code = CommandCode::STAGE_HALT;
        assert_eq!(data_meaning(&frame), "no known axis");
        frame.code = CommandCode::CAMERA_IMAGE_SIZE_GET;
        assert_eq!(data_meaning(&frame), "0 x -1 px");
    }

    #[test]
    fn a_value_has_the_unit_of_its_axis() {
        let frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(4);
        assert_eq!(meaning(&frame, "doubleData"), "deg");
        assert_eq!(meaning(&frame.with_selector(1), "doubleData"), "mm");
        assert_eq!(meaning(&frame.with_selector(255), "int32Data0"), "all axes");
    }

    #[test]
    fn a_buffer_with_bytes_after_its_text_is_called_binary() {
        let mut frame = Frame::new(CommandCode(0x6FFF));
        assert_eq!(meaning(&frame, "cmd"), "unknown command");
        assert_eq!(meaning(&frame, "buffer"), "empty");
        frame.set_text("1=7.5\n").unwrap();
        assert_eq!(meaning(&frame, "buffer"), r#"text "1=7.5\n""#);
        frame.buffer[71] = 1;
        assert_eq!(meaning(&frame, "buffer"), "binary");
    }
}
