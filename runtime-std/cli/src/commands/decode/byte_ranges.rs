//! The text of `flamingo decode` for bytes: each frame, with the name and the meaning of each of its
//! byte ranges. `frames.rs` finds the frames.

use super::frames::{FrameError, Piece, pieces};
use super::hex;
use super::json::FoundFrameJson;
use flamingo_microscope::field_words::field_meaning;
use flamingo_protocol_core::{
    Frame,
    wire::{BUFFER_LEN, FIELDS, FRAME_LEN},
};

use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::frame_json::FrameJson;
use crate::frame_text::printable;
use crate::output::Out;

/// This many bytes decide whether the input is text.
const EXAMINED: usize = 4096;
/// At most this many bytes of a payload or of noise are printed; `--json` prints more.
const PRINTED: usize = 256;

/// Prints everything that the bytes contain.
pub(super) fn print(bytes: Vec<u8>, out: &mut Out) -> CommandResult {
    let bytes = from_hex(bytes)?;
    if bytes.is_empty() {
        return Err(Failure::usage("decode: expected frames, found no bytes"));
    }
    let mut error_count = 0;
    let mut skipped = 0;
    for piece in pieces(&bytes) {
        match piece {
            Piece::Frame { offset, frame, payload } => {
                let skipped_bytes = std::mem::take(&mut skipped);
                print_frame(out, offset, skipped_bytes, &frame, payload)?;
            }
            Piece::Noise { offset, bytes } => {
                skipped += bytes.len();
                print_noise(out, offset, bytes)?;
            }
            Piece::Broken { offset, bytes, error } => {
                error_count += 1;
                print_broken(out, offset, bytes, &error)?;
            }
        }
    }
    if error_count == 0 { Ok(()) } else { Err(Failure::reported(PROTOCOL)) }
}

/// Converts hex text to bytes; raw bytes stay unchanged.
fn from_hex(bytes: Vec<u8>) -> CommandResult<Vec<u8>> {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    if !hex::is_text(text.get(..EXAMINED).unwrap_or(text)) {
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
        return out.object(&FoundFrameJson { offset, skipped_bytes, frame });
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

/// Prints each complete field: its byte range, the instrument's name for it, hex, value, meaning.
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

/// The number in a field, as text.
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
        // With `--json`, stdout has one object per frame and nothing else.
        note(&skipped);
        return Ok(());
    }
    out.line(&skipped)?;
    dump(out, offset, bytes)?;
    out.line("")
}

fn print_broken(out: &mut Out, offset: usize, bytes: &[u8], error: &FrameError) -> CommandResult {
    note(&format!("error: at offset {offset}: {error}"));
    if out.json() || matches!(error, FrameError::CutPayload { .. }) {
        return Ok(());
    }
    out.line(&format!("broken frame at offset {offset}: {error}"))?;
    fields(out, offset, bytes, None)?;
    out.line("")
}

/// Prints rows of 16 bytes with their offset and their characters, up to [`PRINTED`] bytes.
fn dump(out: &mut Out, offset: usize, bytes: &[u8]) -> CommandResult {
    let printed = bytes.get(..PRINTED).unwrap_or(bytes);
    for (row, bytes) in printed.chunks(16).enumerate() {
        let visible = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let text: String = bytes.iter().map(visible).collect();
        out.line(&format!("    {:>8}  {:<47}  |{text}|", offset + row * 16, spaced(bytes)))?;
    }
    let hidden = bytes.len() - printed.len();
    if hidden > 0 { out.line(&format!("    … {hidden} more bytes")) } else { Ok(()) }
}

fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
