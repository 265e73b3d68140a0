//! Fields of a fixed layout, one after another, little-endian: read from bytes and put into bytes.
//! Which fields there are is known by `frame.rs` and `image.rs`.
//!
//! A parser library costs a third of the codec's flash here: its errors, which cannot occur in a
//! layout of fixed length.

#![allow(clippy::inline_always)] // where is known when it is compiled: then it is a load or a store

use crate::wire::frame::{BUFFER_LEN, Field};

/// The next `N` bytes; zeros where there are no more.
#[inline(always)]
pub(crate) fn next<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    match rest.split_first_chunk() {
        Some((field, behind)) => {
            *rest = behind;
            *field
        }
        None => [0; N],
    }
}

/// The `N` bytes from `offset` on, as they lie; zeros where there are none.
#[inline(always)]
pub(crate) fn at<const N: usize>(bytes: &[u8], offset: usize) -> &[u8; N] {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).unwrap_or(const { &[0; N] })
}

/// The word in a field of four bytes; 0 where there is none.
#[inline(always)]
pub(crate) fn word(bytes: &[u8], field: Field) -> u32 {
    u32::from_le_bytes(*at(bytes, field.offset))
}

/// Puts a word into a field of four bytes.
#[inline(always)]
pub(crate) fn put_word(bytes: &mut [u8], field: Field, word: u32) {
    put_at(bytes, field.offset, word.to_le_bytes());
}

/// Puts `N` bytes from `offset` on, or nothing where there is no room for them.
#[inline(always)]
pub(crate) fn put_at<const N: usize>(bytes: &mut [u8], offset: usize, field: [u8; N]) {
    put(bytes.get_mut(offset..).unwrap_or_default(), field);
}

/// Copies a buffer word by word. That becomes loads and stores, in less time than a call of memcpy
/// takes; and nothing else here needs memcpy, which would be a tenth of a client's flash.
#[inline(always)]
pub(crate) fn copy_buffer(to: &mut [u8; BUFFER_LEN], from: &[u8; BUFFER_LEN]) {
    copy_six_words(to, from, 0);
    copy_six_words(to, from, 24);
    copy_six_words(to, from, 48);
}

#[inline(always)]
fn copy_six_words(to: &mut [u8], from: &[u8], offset: usize) {
    put_at::<4>(to, offset, *at(from, offset));
    put_at::<4>(to, offset + 4, *at(from, offset + 4));
    put_at::<4>(to, offset + 8, *at(from, offset + 8));
    put_at::<4>(to, offset + 12, *at(from, offset + 12));
    put_at::<4>(to, offset + 16, *at(from, offset + 16));
    put_at::<4>(to, offset + 20, *at(from, offset + 20));
}

/// Puts the next `N` bytes, or nothing where there is no room for them. Gives the room behind.
#[inline(always)]
pub(crate) fn put<const N: usize>(room: &mut [u8], field: [u8; N]) -> &mut [u8] {
    match room.split_first_chunk_mut() {
        Some((place, behind)) => {
            *place = field;
            behind
        }
        None => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_again_field_by_field() {
        let mut bytes = [0; 7];
        let room = put(&mut bytes, 0x0102_0304_u32.to_le_bytes());
        assert_eq!(put(room, [5, 6]).len(), 1);
        assert_eq!(bytes, [4, 3, 2, 1, 5, 6, 0]);
        let mut rest = bytes.as_slice();
        assert_eq!(u32::from_le_bytes(next(&mut rest)), 0x0102_0304);
        assert_eq!((next(&mut rest), rest), ([5, 6], &[0][..]));
    }

    #[test]
    fn past_the_end_there_are_zeros_and_no_room() {
        let mut bytes = [7; 3];
        assert_eq!(put(&mut bytes, [1; 4]), []);
        assert_eq!(bytes, [7; 3]);
        let mut rest = bytes.as_slice();
        assert_eq!(next(&mut rest), [0; 4]);
        assert_eq!(rest, [7; 3]);
    }
}
