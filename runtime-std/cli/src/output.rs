//! What goes to stdout, through one place: text or JSON, and a reader that may go at any time.
//!
//! The form of a frame is here, since every command prints frames; what only one command prints
//! is in its own file.

use std::io::{ErrorKind, Stdout, Write};
use std::time::{Duration, SystemTime};

use flamingo_microscope::meaning;
use flamingo_microscope::text::pushed_positions;
use flamingo_protocol_core::{Class, Flags, Frame};
pub(crate) use flamingo_race::statistics::milliseconds;
use flamingo_recording::conversation::FrameClass;
use serde::Serialize;

use crate::failure::{Done, Failure};
use crate::interrupt::Writing;

/// The longest binary payload, in bytes, that is printed as hex; a longer one is only counted.
const PRINTED_PAYLOAD: usize = 4096;

/// Stdout.
#[derive(Debug)]
pub(crate) struct Out {
    stdout: Stdout,
    json: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self { stdout: std::io::stdout(), json }
    }

    /// Whether JSON was asked for.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Done {
        self.write(bytes).map_err(|error| stdout_failed(&error))
    }

    /// The same, with the error of the operating system.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let _writing = Writing::begin();
        let mut stdout = self.stdout.lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    }

    /// A line of text.
    pub(crate) fn line(&mut self, line: &str) -> Done {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// An object on a line of its own, whatever was asked for.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Done {
        let object = serde_json::to_string(object)
            .map_err(|error| Failure::new(1, format!("cannot write JSON: {error}")))?;
        self.line(&object)
    }

    /// The object if JSON was asked for, the text otherwise.
    pub(crate) fn either(
        &mut self,
        object: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Done {
        if self.json { self.object(object) } else { self.line(&text()) }
    }
}

/// How a command ends that cannot write to stdout.
pub(crate) fn stdout_failed(error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::new(1, format!("cannot write to stdout: {error}")),
    }
}

/// The first line on stdout of what stands in for an instrument: where it listens.
#[derive(Debug, Serialize)]
pub(crate) struct Ports {
    pub(crate) ready: bool,
    pub(crate) control: u16,
    pub(crate) live: u16,
    pub(crate) stack: u16,
}

/// The JSON of a frame. Keys that do not apply are left out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FrameRecord {
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
    /// `null` where it is no number.
    value: f64,
    payload_bytes: u32,
    text: String,
    /// The whole buffer, where it is not NUL-padded text.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<f64>,
}

impl FrameRecord {
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
            payload_bytes: frame.payload_len,
            text: String::from_utf8_lossy(text).into_owned(),
            buffer_hex: (!is_text).then(|| hex(&frame.buffer)),
            payload_text: None,
            payload_hex: None,
            class: None,
            proven: None,
            time: None,
            elapsed_ms: None,
        }
    }

    /// With what the payload says: as text where it is text, as hex where it is short.
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

    /// With whose it is.
    pub(crate) fn class(mut self, class: &Class) -> Self {
        let (name, proven) = class_name(class);
        self.class = Some(name);
        self.proven = proven;
        self
    }

    /// With whose it is, as seen from beside the wire.
    pub(crate) fn verdict(mut self, verdict: &FrameClass) -> Self {
        self.class = Some(verdict.name());
        self.proven = verdict.proven();
        self.elapsed_ms = verdict.answers().map(|(_, after)| milliseconds(after));
        self
    }

    /// As the answer to a request.
    pub(crate) fn answer(mut self, proven: bool, elapsed: Duration) -> Self {
        self.class = Some("solicited");
        self.proven = Some(proven);
        self.elapsed_ms = Some(milliseconds(elapsed));
        self
    }

    /// As something that nobody asked for.
    pub(crate) fn unsolicited(mut self) -> Self {
        self.class = Some("unsolicited");
        self
    }

    /// With the host's time of its arrival.
    pub(crate) fn at(mut self, at: SystemTime) -> Self {
        self.time = Some(rfc3339(at));
        self
    }
}

/// `solicited`, `late`, `ambiguous` or `unsolicited`, and on answers whether it is proven.
pub(crate) fn class_name(class: &Class) -> (&'static str, Option<bool>) {
    match class {
        Class::Solicited { proven, .. } => ("solicited", Some(*proven)),
        Class::Late { proven, .. } => ("late", Some(*proven)),
        Class::Ambiguous { .. } => ("ambiguous", None),
        Class::Unsolicited { .. } => ("unsolicited", None),
    }
}

/// A frame in one line for people: its name, and what it says.
pub(crate) fn frame_line(frame: &Frame, payload: &[u8]) -> String {
    let name = frame.code.name().map_or_else(|| frame.code.to_string(), str::to_owned);
    let mut parts = vec![format!("{name:<32}")];
    parts.push(meaning::data_meaning(frame));
    match meaning::value_unit(frame) {
        "" if frame.value == 0.0 => {}
        "" => parts.push(frame.value.to_string()),
        unit => parts.push(format!("{} {unit}", frame.value)),
    }
    if frame.status != 1 {
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

/// The payload as text, if it is text that a terminal can take.
pub(crate) fn printable(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok().filter(|text| !text.is_empty())?;
    let safe = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(safe).then_some(text)
}

/// Lower-case hex digits without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The time of the host in UTC, to the µs.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_protocol_core::CommandCode;

    fn json(record: &FrameRecord) -> String {
        serde_json::to_string(record).unwrap()
    }

    #[test]
    fn the_json_of_a_frame_has_the_keys_that_scripts_rely_on() {
        let mut frame = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
        frame.status = 1;
        frame.value = 7.635;
        frame.set_text("a").unwrap();
        let record = FrameRecord::new(&frame)
            .answer(true, Duration::from_micros(1_234))
            .at(SystemTime::UNIX_EPOCH);
        assert_eq!(
            json(&record),
            "{\"code\":24584,\"name\":\"STAGE_POSITION_GET\",\"status\":1,\"hardware_id\":0,\
             \"subsystem_id\":0,\"client_id\":0,\"int32_data0\":1,\"int32_data1\":0,\
             \"int32_data2\":0,\"flags\":2147483648,\"value\":7.635,\"payload_bytes\":0,\
             \"text\":\"a\",\"class\":\"solicited\",\"proven\":true,\
             \"time\":\"1970-01-01T00:00:00.000000Z\",\"elapsed_ms\":1.234}"
        );
    }

    #[test]
    fn a_buffer_that_is_no_text_is_given_whole_as_hex() {
        let mut frame = Frame::new(CommandCode(0x6FFF));
        frame.value = f64::NAN;
        frame.set_buffer(&[b'o', b'k', 0, 0xFF]).unwrap();
        let record = json(&FrameRecord::new(&frame));
        assert!(record.contains("\"name\":null"), "{record}");
        assert!(record.contains("\"value\":null"), "{record}");
        assert!(record.contains("\"text\":\"ok\",\"buffer_hex\":\"6f6b00ff0000"), "{record}");
    }

    #[test]
    fn a_payload_is_text_where_it_is_text() {
        let frame = Frame::new(CommandCode(0x4003));
        let text = json(&FrameRecord::new(&frame).payload(b"a\nb"));
        assert!(text.contains("\"payload_text\":\"a\\nb\""), "{text}");
        let binary = json(&FrameRecord::new(&frame).payload(&[0x1B, b'[']));
        assert!(binary.contains("\"payload_hex\":\"1b5b\""), "{binary}");
        let none = json(&FrameRecord::new(&frame).payload(&[]));
        assert!(!none.contains("payload_text") && !none.contains("payload_hex"), "{none}");
    }

    #[test]
    fn a_line_for_people_names_axis_unit_and_status() {
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
