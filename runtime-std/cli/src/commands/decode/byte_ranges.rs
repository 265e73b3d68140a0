//! `flamingo decode` of hex text or raw bytes: each frame with its byte ranges named.
//!
//! Taking bytes apart is the library's (`frames`, `hex`, `meaning`); here is how it looks.

use super::frames::{Flaw, Part, dissect};
use super::hex;
use flamingo_microscope::meaning::field_meaning;
use flamingo_protocol_core::{BUFFER_LEN, FIELDS, FRAME_LEN, Frame};
use serde::Serialize;

use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::frame_json::FrameJson;
use crate::frame_text::printable;
use crate::output::Out;

/// How many bytes decide whether the input is text.
const LOOKED_AT: usize = 4096;
/// How many bytes of a payload or of noise are shown; `--json` gives more of them.
const SHOWN: usize = 256;

/// The JSON of a frame that was found in a file.
#[derive(Serialize)]
struct Decoded {
    offset: usize,
    /// Bytes before it that are no frame.
    skipped_bytes: usize,
    #[serde(flatten)]
    frame: FrameJson,
}

/// Prints all that the bytes hold.
pub(super) fn print(bytes: Vec<u8>, out: &mut Out) -> CommandResult {
    let bytes = from_hex(bytes)?;
    if bytes.is_empty() {
        return Err(Failure::usage("decode: expected frames, found no bytes"));
    }
    let mut flaws = 0;
    let mut skipped = 0;
    for part in dissect(&bytes) {
        match part {
            Part::Frame { offset, frame, payload } => {
                let skipped_bytes = std::mem::take(&mut skipped);
                print_frame(out, offset, skipped_bytes, &frame, payload)?;
            }
            Part::Noise { offset, bytes } => {
                skipped += bytes.len();
                print_noise(out, offset, bytes)?;
            }
            Part::Broken { offset, bytes, flaw } => {
                flaws += 1;
                print_broken(out, offset, bytes, &flaw)?;
            }
        }
    }
    if flaws == 0 { Ok(()) } else { Err(Failure::reported(PROTOCOL)) }
}

/// Raw bytes stay as they are.
fn from_hex(bytes: Vec<u8>) -> CommandResult<Vec<u8>> {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    if !hex::is_text(text.get(..LOOKED_AT).unwrap_or(text)) {
        return Ok(bytes);
    }
    hex::parse(&String::from_utf8_lossy(text))
        .map_err(|error| Failure::usage(format!("decode: neither frames nor hex text: {error}")))
}

fn print_frame(
    out: &mut Out,
    offset: usize,
    skipped_bytes: usize,
    frame: &Frame,
    payload: &[u8],
) -> CommandResult {
    if out.json() {
        let frame = FrameJson::new(frame).payload(payload);
        return out.object(&Decoded { offset, skipped_bytes, frame });
    }
    out.line(&format!("frame at offset {offset}: {}", frame.code))?;
    fields(out, offset, &frame.encode(), Some(frame))?;
    if frame.payload_len > 0 {
        let start = offset + FRAME_LEN;
        let end = start + payload.len();
        let declared = frame.payload_len;
        out.line(&format!("  {start}..{end}  payload, {} of {declared} bytes", payload.len()))?;
        match printable(payload) {
            Some(text) => text.lines().try_for_each(|line| out.line(&format!("    {line}")))?,
            None => dump(out, start, payload)?,
        }
    }
    out.line("")
}

/// Each field that is whole: offsets, the server's name, hex, value, meaning.
fn fields(out: &mut Out, offset: usize, bytes: &[u8], frame: Option<&Frame>) -> CommandResult {
    for field in &FIELDS {
        let Some(raw) = bytes.get(field.offset..field.offset + field.len) else {
            continue;
        };
        let start = offset + field.offset;
        let range = format!("{start}..{}", start + field.len);
        let meaning = frame.map_or(String::new(), |frame| field_meaning(frame, field));
        let line = if field.len == BUFFER_LEN {
            format!(
                "  {range:<13} {:<20} {:<27} {meaning}",
                field.name,
                format!("{BUFFER_LEN} bytes")
            )
        } else {
            let (hex, value) = (spaced(raw), value(field.name, raw));
            format!("  {range:<13} {:<20} {hex:<24} {value:>12}  {meaning}", field.name)
        };
        out.line(line.trim_end())?;
        let used = raw.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if field.len == BUFFER_LEN {
            dump(out, start, raw.get(..used).unwrap_or(raw))?;
        }
    }
    Ok(())
}

/// The number in a field.
fn value(name: &str, raw: &[u8]) -> String {
    if let Ok(raw) = <[u8; 8]>::try_from(raw) {
        return f64::from_le_bytes(raw).to_string();
    }
    let Ok(raw) = <[u8; 4]>::try_from(raw) else {
        return String::new();
    };
    match name {
        "cmdStart" | "cmdEnd" | "cmdDataBits0" => format!("0x{:08X}", u32::from_le_bytes(raw)),
        "cmd" => format!("0x{:04X}", u32::from_le_bytes(raw)),
        "additionalDataBytes" => u32::from_le_bytes(raw).to_string(),
        _ => i32::from_le_bytes(raw).to_string(),
    }
}

fn print_noise(out: &mut Out, offset: usize, bytes: &[u8]) -> CommandResult {
    let skipped = format!("noise at offset {offset}: {} bytes skipped", bytes.len());
    if out.json() {
        // Objects on stdout are frames.
        note(&skipped);
        return Ok(());
    }
    out.line(&skipped)?;
    dump(out, offset, bytes)?;
    out.line("")
}

fn print_broken(out: &mut Out, offset: usize, bytes: &[u8], flaw: &Flaw) -> CommandResult {
    note(&format!("error: at offset {offset}: {flaw}"));
    if out.json() || matches!(flaw, Flaw::CutPayload { .. }) {
        return Ok(());
    }
    out.line(&format!("broken frame at offset {offset}: {flaw}"))?;
    fields(out, offset, bytes, None)?;
    out.line("")
}

/// Rows of 16 bytes with their offset and their characters, up to [`SHOWN`] bytes.
fn dump(out: &mut Out, offset: usize, bytes: &[u8]) -> CommandResult {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    for (row, bytes) in shown.chunks(16).enumerate() {
        let visible = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let text: String = bytes.iter().map(visible).collect();
        out.line(&format!("    {:>8}  {:<47}  |{text}|", offset + row * 16, spaced(bytes)))?;
    }
    let hidden = bytes.len() - shown.len();
    if hidden > 0 { out.line(&format!("    … {hidden} more bytes")) } else { Ok(()) }
}

fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
