//! The JSON of a frame, which every command that prints frames uses. The JSON that only one command
//! prints is in the file of that command, in types whose names end in `Json`.

use std::time::{Duration, SystemTime};

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{Class, Frame};
use flamingo_recording::conversation::FrameClass;
use flamingo_runtime_std::Answer;
use serde::Serialize;

use crate::frame_text::{class_name, outcome_name, printable};
use crate::output::{milliseconds, rfc3339};

/// The longest binary payload, in bytes, that is printed as hex. Of a longer one only the length is
/// printed.
const PRINTED_PAYLOAD: usize = 4096;

/// The JSON of a frame. Optional keys that do not apply are left out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FrameJson {
    code: u32,
    name: Option<&'static str>,
    status: i32,
    hardware_id: i32,
    subsystem_id: i32,
    client_id: i32,
    int32_data0: i32,
    int32_data1: i32,
    int32_data2: i32,
    flags: u32,
    /// `null` if it is not finite.
    value: f64,
    /// A value that is not finite: `NaN`, `inf` or `-inf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_text: Option<String>,
    payload_bytes: u32,
    text: String,
    /// The whole buffer, if it is not NUL-padded text.
    #[serde(skip_serializing_if = "Option::is_none")]
    buffer_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<bool>,
    /// What the status says, on answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<f64>,
    /// In a recording: how many commands an ambiguous frame may answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    among: Option<usize>,
    /// In a recording: whether an unsolicited frame may be the echo of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe_echo: Option<bool>,
}

impl FrameJson {
    pub(crate) fn new(frame: &Frame) -> Self {
        let [int32_data0, int32_data1, int32_data2] = frame.int32_data;
        let text = frame.buffer_bytes();
        let padding = frame.buffer.get(text.len()..).unwrap_or(&[]);
        let is_text = frame.text().is_ok() && padding.iter().all(|byte| *byte == 0);
        Self {
            code: frame.code.0,
            name: frame.code.name(),
            status: frame.status,
            hardware_id: frame.hardware_id,
            subsystem_id: frame.subsystem_id,
            client_id: frame.client_id,
            int32_data0,
            int32_data1,
            int32_data2,
            flags: frame.flags.0,
            value: frame.value,
            value_text: (!frame.value.is_finite()).then(|| frame.value.to_string()),
            payload_bytes: frame.payload_len,
            text: String::from_utf8_lossy(text).into_owned(),
            buffer_hex: (!is_text).then(|| hex(&frame.buffer)),
            payload_text: None,
            payload_hex: None,
            class: None,
            proven: None,
            outcome: None,
            time: None,
            elapsed_ms: None,
            among: None,
            maybe_echo: None,
        }
    }

    /// Adds the payload: as text if it is text, as hex if it is short.
    pub(crate) fn payload(mut self, payload: &[u8]) -> Self {
        match printable(payload) {
            Some(text) => self.payload_text = Some(text.to_owned()),
            None if (1..=PRINTED_PAYLOAD).contains(&payload.len()) => {
                self.payload_hex = Some(hex(payload));
            }
            None => {}
        }
        self
    }

    /// Adds the class of a received frame.
    pub(crate) fn class(mut self, class: &Class) -> Self {
        let (name, proven) = class_name(class);
        self.class = Some(name);
        self.proven = proven;
        self
    }

    /// Adds the class that a recording gives the frame.
    pub(crate) fn recorded_class(mut self, class: &FrameClass) -> Self {
        self.class = Some(class.name());
        self.proven = class.proven();
        self.elapsed_ms = class.answers().map(|(_, after)| milliseconds(after));
        match class {
            FrameClass::Ambiguous { among, .. } => self.among = Some(*among),
            FrameClass::Unsolicited { ours: true } => self.maybe_echo = Some(true),
            _ => {}
        }
        self
    }

    /// The delay of the answer is not known.
    pub(crate) const fn without_delay(mut self) -> Self {
        self.elapsed_ms = None;
        self
    }

    /// The answer to a request.
    pub(crate) fn of(answer: &Answer) -> Self {
        let frame = Self::new(&answer.frame).at(answer.at);
        frame.answer(answer.proven, answer.outcome, answer.elapsed)
    }

    fn answer(mut self, proven: bool, outcome: Status, elapsed: Duration) -> Self {
        self.class = Some("solicited");
        self.proven = Some(proven);
        self.outcome = Some(outcome_name(outcome));
        self.elapsed_ms = Some(milliseconds(elapsed));
        self
    }

    /// Adds that it is an event.
    pub(crate) fn unsolicited(mut self) -> Self {
        self.class = Some("unsolicited");
        self
    }

    /// Adds the time of its arrival, by the clock of the host.
    pub(crate) fn at(mut self, at: SystemTime) -> Self {
        self.time = Some(rfc3339(at));
        self
    }
}

/// Formats bytes as lower-case hex digits without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_protocol_core::CommandCode;

    fn json(record: &FrameJson) -> String {
        serde_json::to_string(record).unwrap()
    }

    #[test]
    fn the_json_of_a_frame_has_the_documented_keys() {
        let mut frame = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
        frame.status = 1;
        frame.value = 7.635;
        frame.set_text("a").unwrap();
        let record = FrameJson::new(&frame)
            .answer(true, Status::Success, Duration::from_micros(1_234))
            .at(SystemTime::UNIX_EPOCH);
        assert_eq!(
            json(&record),
            "{\"code\":24584,\"name\":\"STAGE_POSITION_GET\",\"status\":1,\"hardware_id\":0,\
             \"subsystem_id\":0,\"client_id\":0,\"int32_data0\":1,\"int32_data1\":0,\
             \"int32_data2\":0,\"flags\":2147483648,\"value\":7.635,\"payload_bytes\":0,\
             \"text\":\"a\",\"class\":\"solicited\",\"proven\":true,\
             \"outcome\":\"success\",\"time\":\"1970-01-01T00:00:00.000000Z\",\"elapsed_ms\":1.234}"
        );
    }

    #[test]
    fn a_buffer_that_is_not_text_is_printed_as_hex() {
        let mut frame = Frame::new(CommandCode(0x6FFF));
        frame.value = f64::NAN;
        frame.set_buffer(&[b'o', b'k', 0, 0xFF]).unwrap();
        let record = json(&FrameJson::new(&frame));
        assert!(record.contains("\"name\":null"), "{record}");
        assert!(record.contains("\"value\":null,\"value_text\":\"NaN\""), "{record}");
        assert!(record.contains("\"text\":\"ok\",\"buffer_hex\":\"6f6b00ff0000"), "{record}");
    }

    #[test]
    fn a_payload_is_printed_as_text_or_as_hex() {
        let frame = Frame::new(CommandCode(0x4003));
        let text = json(&FrameJson::new(&frame).payload(b"a\nb"));
        assert!(text.contains("\"payload_text\":\"a\\nb\""), "{text}");
        let binary = json(&FrameJson::new(&frame).payload(&[0x1B, b'[']));
        assert!(binary.contains("\"payload_hex\":\"1b5b\""), "{binary}");
        let none = json(&FrameJson::new(&frame).payload(&[]));
        assert!(!none.contains("payload_text") && !none.contains("payload_hex"), "{none}");
    }
}
