//! Where each field of a control frame is, and the numbers that never change.
//!
//! Reading a frame is `parse.rs`; what the fields mean is `frame.rs`.

/// Bytes of a control frame.
pub const FRAME_LEN: usize = 128;
/// Bytes of the buffer inside a control frame.
pub const BUFFER_LEN: usize = 72;
/// `cmdStart`.
pub const START_MARKER: u32 = 0xF321_E654;
/// `cmdEnd`.
pub const END_MARKER: u32 = 0xFEDC_4321;
/// The longest payload that the server sends or takes: 32 MiB.
pub const MAX_PAYLOAD: u32 = 33_554_432;

/// A field of the control frame, as the server names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Field {
    /// The server's name.
    pub name: &'static str,
    /// Offset of the first byte.
    pub offset: usize,
    /// Bytes.
    pub len: usize,
}

const fn field(name: &'static str, offset: usize, len: usize) -> Field {
    Field { name, offset, len }
}

/// `cmdStart`: the first field.
pub const CMD_START: Field = field("cmdStart", 0, 4);
/// `cmdEnd`: the last field.
pub const CMD_END: Field = field("cmdEnd", 124, 4);
pub(crate) const CODE: Field = field("cmd", 4, 4);
pub(crate) const STATUS: Field = field("status", 8, 4);
pub(crate) const HARDWARE_ID: Field = field("hardwareID", 12, 4);
pub(crate) const SUBSYSTEM_ID: Field = field("subsystemID", 16, 4);
pub(crate) const CLIENT_ID: Field = field("clientID", 20, 4);
pub(crate) const INT32_DATA_0: Field = field("int32Data0", 24, 4);
pub(crate) const INT32_DATA_1: Field = field("int32Data1", 28, 4);
pub(crate) const INT32_DATA_2: Field = field("int32Data2", 32, 4);
pub(crate) const FLAGS: Field = field("cmdDataBits0", 36, 4);
pub(crate) const VALUE: Field = field("doubleData", 40, 8);
pub(crate) const PAYLOAD_LEN: Field = field("additionalDataBytes", 48, 4);
pub(crate) const BUFFER: Field = field("buffer", 52, BUFFER_LEN);

/// The 14 fields in the server's order. They cover the frame without a gap.
pub const FIELDS: [Field; 14] = [
    CMD_START,
    CODE,
    STATUS,
    HARDWARE_ID,
    SUBSYSTEM_ID,
    CLIENT_ID,
    INT32_DATA_0,
    INT32_DATA_1,
    INT32_DATA_2,
    FLAGS,
    VALUE,
    PAYLOAD_LEN,
    BUFFER,
    CMD_END,
];

/// The word in a field of four bytes.
pub(crate) fn word(frame: &[u8; FRAME_LEN], field: Field) -> u32 {
    let bytes = frame.get(field.offset..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Puts `N` bytes into a field.
pub(crate) fn put<const N: usize>(frame: &mut [u8; FRAME_LEN], field: Field, bytes: [u8; N]) {
    if let Some(place) = frame.get_mut(field.offset..).and_then(|rest| rest.first_chunk_mut()) {
        *place = bytes;
    }
}

/// Puts a word into a field of four bytes.
pub(crate) fn put_word(frame: &mut [u8; FRAME_LEN], field: Field, word: u32) {
    put(frame, field, word.to_le_bytes());
}

/// Copies a buffer in nine pieces of 8 bytes. The compiler makes one call of memcpy out of an array
/// copy, and out of a loop too. Then a client takes 802 bytes more flash (`scripts/footprint`), and
/// an event 72 instructions more (`scripts/instructions`).
#[allow(clippy::inline_always)] // a call: 145 instructions more for an event at opt-level 3
#[inline(always)]
pub(crate) fn copy_buffer(to: &mut [u8; BUFFER_LEN], from: &[u8; BUFFER_LEN]) {
    copy_piece(to, from, 0);
    copy_piece(to, from, 8);
    copy_piece(to, from, 16);
    copy_piece(to, from, 24);
    copy_piece(to, from, 32);
    copy_piece(to, from, 40);
    copy_piece(to, from, 48);
    copy_piece(to, from, 56);
    copy_piece(to, from, 64);
}

/// The same as a call.
#[cfg_attr(target_os = "none", inline(never))] // inlined, a client takes 180 bytes more flash
pub(crate) fn call_copy_buffer(to: &mut [u8; BUFFER_LEN], from: &[u8; BUFFER_LEN]) {
    copy_buffer(to, from);
}

/// Copies 8 bytes.
fn copy_piece(to: &mut [u8; BUFFER_LEN], from: &[u8; BUFFER_LEN], offset: usize) {
    let to = to.get_mut(offset..).and_then(|to| to.first_chunk_mut::<8>());
    let from = from.get(offset..).and_then(|from| from.first_chunk::<8>());
    if let (Some(to), Some(from)) = (to, from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_little_endian_and_stays_in_its_field() {
        let mut frame = [0; FRAME_LEN];
        put_word(&mut frame, CODE, 0x0102_0304);
        assert_eq!(frame[..9], [0, 0, 0, 0, 4, 3, 2, 1, 0]);
        assert_eq!(word(&frame, CODE), 0x0102_0304);
    }
}
