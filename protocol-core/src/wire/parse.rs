//! The grammar of what comes over the wire: the control frame and the header of an image. The texts
//! inside a frame's buffer are `text.rs`.
//!
//! A parser here takes bytes and gives values; it allocates nothing. Its error is `()`: what was
//! expected and what was found is worked out only for the bytes that are refused.

use nom::combinator::{all_consuming, map};
use nom::sequence::delimited;
use nom::{IResult, Parser};

use crate::error::{DecodeError, Mismatch};
use crate::wire::command::CommandCode;
use crate::wire::frame::{Flags, Frame};
use crate::wire::image::{ImageError, ImageHeader};
use crate::wire::layout::{
    self, BUFFER_LEN, CMD_END, CMD_START, END_MARKER, FRAME_LEN, PAYLOAD_LEN, START_MARKER,
    call_copy_buffer,
};

type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

impl Frame {
    /// Reads exactly 128 bytes.
    ///
    /// # Errors
    /// [`DecodeError`] names the field, what was expected and what was found.
    #[cfg_attr(target_os = "none", inline(never))] // inlined, the codec calls memcpy: 900 bytes more flash
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let length = DecodeError::Length { expected: FRAME_LEN, found: bytes.len() };
        let bytes = bytes.try_into().map_err(|_| length)?;
        let declared = check(bytes, u32::MAX);
        let declared = declared.map_err(|why| why.error(u32::MAX).unwrap_or(length))?;
        Ok(frame(bytes, declared))
    }
}

impl ImageHeader {
    /// Reads exactly 40 bytes and believes them only if they can be true.
    ///
    /// # Errors
    /// [`ImageError`] names the field; the stream is lost then.
    pub fn decode(bytes: &[u8], limit: u32) -> Result<Self, ImageError> {
        let length = ImageError::Length { found: bytes.len() };
        let header = image_header(bytes).ok_or(length)?;
        header.check(limit)?;
        Ok(header)
    }
}

/// Whether 128 bytes are a frame: both markers stand, and the payload is at most `limit` bytes long.
/// All other fields take any value. Gives the declared length of the payload.
pub(crate) fn check(bytes: &[u8; FRAME_LEN], limit: u32) -> Result<u32, Mismatch> {
    // In this order the codec takes two bytes less flash.
    let start = layout::word(bytes, CMD_START);
    let rest = check_started(bytes, limit);
    if start == START_MARKER { rest } else { Err(Mismatch::StartMarker(start)) }
}

/// The same for 128 bytes that begin with the start marker.
pub(crate) fn check_started(bytes: &[u8; FRAME_LEN], limit: u32) -> Result<u32, Mismatch> {
    let end = layout::word(bytes, CMD_END);
    let declared = layout::word(bytes, PAYLOAD_LEN);
    if end != END_MARKER {
        Err(Mismatch::EndMarker(end))
    } else if declared > limit {
        Err(Mismatch::PayloadTooLong(declared))
    } else {
        Ok(declared)
    }
}

/// Reads the fields between the markers of a frame that was checked, whose payload is
/// `payload_len` bytes long.
#[allow(clippy::inline_always)] // a call: 145 instructions more for an event at opt-level 3
#[inline(always)]
pub(crate) fn frame(bytes: &[u8; FRAME_LEN], payload_len: u32) -> Frame {
    // 128 bytes always hold all fields.
    let Ok((_, fields)) = delimited(array::<4>, fields, array::<4>).parse(bytes) else {
        return Frame::new(CommandCode(0));
    };
    let mut buffer = [0; BUFFER_LEN];
    call_copy_buffer(&mut buffer, fields.buffer);
    Frame {
        value: f64::from_le_bytes(*fields.value),
        code: CommandCode(u32::from_le_bytes(*fields.code)),
        status: i32::from_le_bytes(*fields.status),
        hardware_id: i32::from_le_bytes(*fields.hardware_id),
        subsystem_id: i32::from_le_bytes(*fields.subsystem_id),
        client_id: i32::from_le_bytes(*fields.client_id),
        int32_data: [
            i32::from_le_bytes(*fields.data0),
            i32::from_le_bytes(*fields.data1),
            i32::from_le_bytes(*fields.data2),
        ],
        flags: Flags(u32::from_le_bytes(*fields.flags)),
        payload_len,
        buffer,
    }
}

/// The fields between the markers, where they lie.
struct Fields<'a> {
    code: &'a [u8; 4],
    status: &'a [u8; 4],
    hardware_id: &'a [u8; 4],
    subsystem_id: &'a [u8; 4],
    client_id: &'a [u8; 4],
    data0: &'a [u8; 4],
    data1: &'a [u8; 4],
    data2: &'a [u8; 4],
    flags: &'a [u8; 4],
    value: &'a [u8; 8],
    buffer: &'a [u8; BUFFER_LEN],
}

/// In the order of [`FIELDS`](crate::wire::layout::FIELDS).
fn fields(input: &[u8]) -> Parsed<'_, Fields<'_>> {
    let (input, code) = array(input)?;
    let (input, status) = array(input)?;
    let (input, hardware_id) = array(input)?;
    let (input, subsystem_id) = array(input)?;
    let (input, client_id) = array(input)?;
    let (input, data0) = array(input)?;
    let (input, data1) = array(input)?;
    let (input, data2) = array(input)?;
    let (input, flags) = array(input)?;
    let (input, value) = array(input)?;
    let (input, _payload_len) = array::<4>(input)?;
    let (input, buffer) = array(input)?;
    let fields = Fields {
        code,
        status,
        hardware_id,
        subsystem_id,
        client_id,
        data0,
        data1,
        data2,
        flags,
        value,
        buffer,
    };
    Ok((input, fields))
}

fn word(input: &[u8]) -> Parsed<'_, u32> {
    map(array, |bytes| u32::from_le_bytes(*bytes)).parse(input)
}

fn int(input: &[u8]) -> Parsed<'_, i32> {
    map(array, |bytes| i32::from_le_bytes(*bytes)).parse(input)
}

/// `N` bytes.
fn array<const N: usize>(input: &[u8]) -> Parsed<'_, &[u8; N]> {
    input.split_first_chunk().map(|(array, rest)| (rest, array)).ok_or(nom::Err::Error(()))
}

/// Reads the header of an image: ten words and nothing else.
pub(crate) fn image_header(bytes: &[u8]) -> Option<ImageHeader> {
    let words = (word, word, word, word, word, word, word, word, int, int);
    let mut header = all_consuming::<_, (), _>(words).map(
        |(
            size,
            width,
            height,
            scale_min,
            scale_max,
            device,
            options,
            crosshair,
            index_start,
            index_stop,
        )| ImageHeader {
            size,
            width,
            height,
            scale_min,
            scale_max,
            device,
            options,
            crosshair,
            index_start,
            index_stop,
        },
    );
    header.parse(bytes).ok().map(|(_, header)| header)
}
