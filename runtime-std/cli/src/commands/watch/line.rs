//! How a message looks: the usual line, and the lines of `--format`.

use std::time::SystemTime;

use flamingo_microscope::field_words::{data_meaning, state_name, value_unit};
use flamingo_microscope::{Axis, pushed_positions};
use flamingo_protocol_core::wire::{Selector, Status};
use flamingo_protocol_core::{Class, Flags, Frame};
use flamingo_runtime_std::Payload;

use crate::frame_text::class_name;
use crate::output::rfc3339;
use crate::suggest::did_you_mean;

/// The decimals of a position in mm: 0.1 µm, which a stage can do.
const DECIMALS: usize = 4;

/// A message that is shown.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) frame: Frame,
    pub(super) payload: Payload,
    /// `None` on the callback port, where every frame is unsolicited.
    pub(super) class: Option<Class>,
    pub(super) at: SystemTime,
    /// The number of bytes before it that belong to no frame.
    pub(super) skipped: u32,
}

impl Message {
    pub(super) fn class_name(&self) -> &'static str {
        self.class.as_ref().map_or("unsolicited", |class| class_name(class).0)
    }

    /// The axis that the message is about.
    pub(super) fn axis(&self) -> Option<Axis> {
        let has_axis = self.frame.code.row().is_some_and(|row| row.selector == Selector::Axis);
        Axis::from_selector(self.frame.selector()).filter(|_| has_axis)
    }
}

/// A number without the digits that mean nothing.
pub(super) fn rounded(number: f64) -> String {
    let text = format!("{number:.DECIMALS$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The usual line: time, class, name, and what the message says. Each number is there once.
pub(super) fn usual(message: &Message) -> String {
    let time = rfc3339(message.at);
    let time = time.get(11..23).unwrap_or(&time).to_owned();
    let noise = match message.skipped {
        0 => String::new(),
        bytes => format!("  (after {bytes} stray bytes)"),
    };
    let line =
        format!("{time}  {:<11}  {:<32}{}", message.class_name(), name(message), said(message));
    format!("{}{noise}", line.trim_end())
}

fn name(message: &Message) -> String {
    let code = message.frame.code;
    code.name().map_or_else(|| code.to_string(), str::to_owned)
}

/// What the message says beside its name, each part after two spaces.
fn said(message: &Message) -> String {
    let frame = &message.frame;
    let mut parts = vec![data_meaning(frame)];
    let unit = value_unit(frame);
    if !unit.is_empty() || frame.value != 0.0 {
        parts.push(format!("{} {unit}", rounded(frame.value)).trim_end().to_owned());
    }
    if frame.outcome() != Status::Success {
        parts.push(format!("status {}", frame.status));
    }
    let text = String::from_utf8_lossy(frame.buffer_bytes());
    if frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER) {
        let others = pushed_positions(&text).into_iter();
        let others = others.filter(|(axis, _)| Some(*axis) != message.axis());
        parts.extend(others.map(|(axis, at)| format!("{axis} {}", rounded(at))));
    } else if !text.is_empty() {
        parts.push(format!("{text:?}"));
    }
    if frame.payload_len > 0 {
        parts.push(format!("payload {} bytes", message.payload.len()));
    }
    parts.retain(|part| !part.is_empty());
    // The name before it is padded.
    if parts.is_empty() { String::new() } else { format!("  {}", parts.join("  ")) }
}

/// A field of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Time,
    Date,
    Class,
    Code,
    Name,
    Axis,
    Value,
    Unit,
    Status,
    State,
    Text,
    Data(usize),
    Payload,
    All,
}

const FIELDS: [(&str, Field); 16] = [
    ("time", Field::Time),
    ("date", Field::Date),
    ("class", Field::Class),
    ("code", Field::Code),
    ("name", Field::Name),
    ("axis", Field::Axis),
    ("value", Field::Value),
    ("unit", Field::Unit),
    ("status", Field::Status),
    ("state", Field::State),
    ("text", Field::Text),
    ("data0", Field::Data(0)),
    ("data1", Field::Data(1)),
    ("data2", Field::Data(2)),
    ("payload", Field::Payload),
    ("all", Field::All),
];

impl Field {
    fn of(self, message: &Message) -> String {
        let frame = &message.frame;
        let time = rfc3339(message.at);
        match self {
            Self::Time => time.get(11..23).unwrap_or_default().to_owned(),
            Self::Date => time.get(..10).unwrap_or_default().to_owned(),
            Self::Class => message.class_name().to_owned(),
            Self::Code => format!("0x{:04X}", frame.code.0),
            Self::Name => name(message),
            Self::Axis => message.axis().map(|axis| axis.to_string()).unwrap_or_default(),
            Self::Value => rounded(frame.value),
            Self::Unit => value_unit(frame).to_owned(),
            Self::Status => frame.status.to_string(),
            Self::State => {
                let code = i32::try_from(frame.code.0).ok();
                code.and_then(state_name).unwrap_or_default().to_owned()
            }
            Self::Text => String::from_utf8_lossy(frame.buffer_bytes()).replace(['\n', '\r'], " "),
            Self::Data(at) => frame.int32_data[at].to_string(),
            Self::Payload => message.payload.len().to_string(),
            Self::All => usual(message),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// The form of a line, such as `{time} {name} {value}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format(Vec<Part>);

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let field = rest.split_once('}').filter(|_| brace == "{");
            let Some((name, after)) = field else {
                return Err(format!(
                    "expected {{FIELD}}, or {{{{ and }}}} for braces, found {brace:?} alone"
                ));
            };
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Field(field_named(name)?));
            rest = after;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    pub(super) fn line(&self, message: &Message) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field) => field.of(message),
        };
        self.0.iter().map(part).collect()
    }
}

fn field_named(name: &str) -> Result<Field, String> {
    if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) {
        return Ok(*field);
    }
    let names = FIELDS.map(|(name, _)| name);
    let meant = did_you_mean(name, names);
    Err(format!("expected a field ({}), found {name:?}{meant}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_protocol_core::CommandCode;

    fn pushed() -> Message {
        let mut frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(1);
        frame.value = 7.635_000_001;
        frame.status = 1;
        frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
        frame.set_text("1=7.635\n2=15.00000001\n").unwrap();
        let at = SystemTime::UNIX_EPOCH;
        Message { frame, payload: Payload::default(), class: None, at, skipped: 0 }
    }

    #[test]
    fn each_number_is_said_once_and_rounded() {
        let line = usual(&pushed());
        let expected =
            "00:00:00.000  unsolicited  STAGE_POSITION_GET                axis x  7.635 mm  y 15";
        assert_eq!(line, expected);
        for (number, text) in
            [(-0.00001, "0"), (19.75, "19.75"), (100.0, "100"), (-30.12346, "-30.1235")]
        {
            assert_eq!(rounded(number), text);
        }
    }

    #[test]
    fn a_format_has_fields_and_braces() {
        let line = |format| Format::parse(format).unwrap().line(&pushed());
        assert_eq!(
            line("{time} {name} {axis}={value}{unit}"),
            "00:00:00.000 STAGE_POSITION_GET x=7.635mm"
        );
        assert_eq!(line("{{{code}}} {date}"), "{0x6008} 1970-01-01");
        assert_eq!(line("no field"), "no field");
    }

    #[test]
    fn a_wrong_format_is_refused_with_the_fields() {
        for (format, why) in [
            ("{tme}", "did you mean time?"),
            ("{}", "payload"),
            ("{time", "\"{\" alone"),
            ("time}", "\"}\" alone"),
        ] {
            let error = Format::parse(format).unwrap_err();
            assert!(error.contains(why), "{format}: {error}");
        }
    }
}
