//! The image streams: headers and pixels.

use core::mem::size_of;
use core::ptr;

use flamingo_protocol_core::image::{
    HEADER_LEN, ImageHeader, ImagePiece, ImageReader, MAX_IMAGE, OPTION_IMAGE_DATA,
};

use crate::memory::{
    Area, Out, Stored, bytes, copy_to, deinit, flamingo_image_reader, init, open, open_shared,
    value,
};
use crate::result::{flamingo_result, run};

/// The number of bytes of an image header on the wire.
pub const FLAMINGO_IMAGE_HEADER_LEN: usize = 40;
/// The largest image that a reader should believe, in bytes: 128 MiB.
pub const FLAMINGO_MAX_IMAGE: u32 = 134_217_728;
/// Bit of flamingo_image_header.options: pixels follow.
pub const FLAMINGO_IMAGE_OPTION_DATA: u32 = 0x10;

const _: () = assert!(FLAMINGO_IMAGE_HEADER_LEN == HEADER_LEN);
const _: () = assert!(FLAMINGO_MAX_IMAGE == MAX_IMAGE);
const _: () = assert!(FLAMINGO_IMAGE_OPTION_DATA == OPTION_IMAGE_DATA);

/// The header before the pixels of an image.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_image_header {
    /// The number of bytes of pixels that follow: 2 * width * height. 0: the header only updates options.
    pub size: u32,
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
    /// The pixel value shown as black.
    pub scale_min: u32,
    /// The pixel value shown as white.
    pub scale_max: u32,
    /// deviceIndex, 0 to 3.
    pub device: u32,
    /// optionsSettings1: bits FLAMINGO_IMAGE_OPTION_...
    pub options: u32,
    /// optionsSettings2: the crosshair, X in the high 16 bits, Y in the low ones.
    pub crosshair: u32,
    /// imageIndexStart.
    pub index_start: i32,
    /// imageIndexStop.
    pub index_stop: i32,
}

impl From<ImageHeader> for flamingo_image_header {
    fn from(header: ImageHeader) -> Self {
        let ImageHeader { size, width, height, scale_min, scale_max, .. } = header;
        let ImageHeader { device, options, crosshair, index_start, index_stop, .. } = header;
        Self {
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
        }
    }
}

impl From<flamingo_image_header> for ImageHeader {
    fn from(header: flamingo_image_header) -> Self {
        let flamingo_image_header { size, width, height, scale_min, scale_max, .. } = header;
        let flamingo_image_header { device, options, crosshair, index_start, index_stop, .. } =
            header;
        Self {
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
        }
    }
}

/// What an image stream held next.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_image_kind {
    /// Nothing yet: all bytes are consumed, more are needed.
    None = 0,
    /// A header. If its size is not 0, pixels follow.
    Header = 1,
    /// Some of the pixels.
    Pixels = 2,
}

/// What an image stream held next.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_image_piece {
    /// Which of the fields below have a meaning; the others are 0.
    pub kind: flamingo_image_kind,
    /// HEADER: the header.
    pub header: flamingo_image_header,
    /// PIXELS: 16-bit little-endian pixels, row by row, inside the input of this call; perhaps cut inside
    /// a pixel. NULL otherwise.
    pub pixels: *const u8,
    /// PIXELS: the number of bytes.
    pub len: usize,
    /// PIXELS: how many bytes of the image are still to come. 0 marks its end.
    pub remaining: u32,
}

impl From<Option<ImagePiece<'_>>> for flamingo_image_piece {
    fn from(piece: Option<ImagePiece<'_>>) -> Self {
        let (kind, header) = (flamingo_image_kind::None, ImageHeader::default().into());
        let none = Self { kind, header, pixels: ptr::null(), len: 0, remaining: 0 };
        match piece {
            None => none,
            Some(ImagePiece::Header(header)) => {
                Self { kind: flamingo_image_kind::Header, header: header.into(), ..none }
            }
            Some(ImagePiece::Pixels { bytes, remaining }) => {
                let (pixels, len) = (bytes.as_ptr(), bytes.len());
                Self { kind: flamingo_image_kind::Pixels, pixels, len, remaining, ..none }
            }
        }
    }
}

/// The number of bytes of a flamingo_image_reader that the library uses: at most
/// sizeof(flamingo_image_reader).
#[unsafe(no_mangle)]
pub extern "C" fn flamingo_image_reader_size() -> usize {
    size_of::<Stored<ImageReader>>()
}

/// Makes a reader that believes images of up to `limit` bytes, such as FLAMINGO_MAX_IMAGE. `size` is
/// sizeof(flamingo_image_reader).
///
/// Errors: NULL, MISALIGNED, LENGTH, TOO_SMALL.
///
/// # Safety
/// `reader` is NULL or points to `size` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_image_reader_init(
    reader: *mut flamingo_image_reader,
    size: usize,
    limit: u32,
) -> flamingo_result {
    // SAFETY: as the caller promises.
    run(|| unsafe { init::<ImageReader>(reader, size, || ImageReader::new(limit)) })
}

/// Ends the use of a reader: every later call with it returns NOT_INITIALISED.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED.
///
/// # Safety
/// `reader` is NULL or points to a flamingo_image_reader that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_image_reader_deinit(
    reader: *mut flamingo_image_reader,
) -> flamingo_result {
    // SAFETY: as the caller promises.
    run(|| unsafe { deinit::<ImageReader>(reader) })
}

/// Takes bytes up to the end of the next piece. Writes how many, and the piece. Call it again with the
/// rest until it consumes everything and the kind is NONE.
///
/// piece->pixels points into `input`: use it before you change the input.
///
/// Errors: NULL (`input` may be NULL if `len` is 0), MISALIGNED, NOT_INITIALISED, LENGTH, OVERLAP;
/// IMAGE_SIZE, IMAGE_DIMENSIONS, IMAGE_TOO_LARGE, IMAGE_DEVICE: a header cannot be true. Then `consumed`
/// and `piece` are written too, and every later push returns the same error: there are no markers in
/// the stream, so connect again.
///
/// # Safety
/// `reader` is NULL or points to a flamingo_image_reader that no other thread uses. `input` is NULL or
/// points to `len` bytes that can be read. `consumed` and `piece` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_image_reader_push(
    reader: *mut flamingo_image_reader,
    input: *const u8,
    len: usize,
    consumed: *mut usize,
    piece: *mut flamingo_image_piece,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (reader, input, to_consumed, to_piece) = unsafe {
            let reader = open::<ImageReader>(reader)?;
            let area = reader.area;
            (reader, bytes(input, len, area)?, Out::new(consumed, area)?, Out::new(piece, area)?)
        };
        let (consumed, piece) = reader.change().push(input);
        let found = flamingo_image_piece::from(piece.unwrap_or(None));
        to_consumed.write(consumed);
        to_piece.write(found);
        piece.map(|_| ()).map_err(Into::into)
    })
}

/// Writes whether the stream may end here: between two images.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `reader` is NULL or points to a flamingo_image_reader that no other thread uses. `between` is NULL or
/// can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_image_reader_is_between(
    reader: *const flamingo_image_reader,
    between: *mut bool,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (reader, between) = unsafe {
            let (reader, area) = open_shared::<ImageReader>(reader)?;
            (reader, Out::new(between, area)?)
        };
        between.write(reader.is_between());
        Ok(())
    })
}

/// Writes the 40 bytes of an image header. `room` is the number of bytes at `bytes`.
///
/// Errors: NULL, MISALIGNED; LENGTH: there is room for less than 40 bytes.
///
/// # Safety
/// `header` is NULL or can be read. `bytes` is NULL or points to `room` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_image_header_encode(
    header: *const flamingo_image_header,
    bytes: *mut u8,
    room: usize,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let header = ImageHeader::from(unsafe { value(header, Area::NONE)? });
        // SAFETY: as the caller promises.
        unsafe { copy_to(&header.encode(), bytes, room) }
    })
}

/// Reads the 40 bytes of an image header, for a program that reads images itself. `limit` is the largest
/// image that is believed, in bytes.
///
/// Errors: NULL, MISALIGNED; LENGTH: not 40 bytes; IMAGE_SIZE, IMAGE_DIMENSIONS, IMAGE_TOO_LARGE,
/// IMAGE_DEVICE: the header cannot be true.
///
/// # Safety
/// `input` is NULL or points to `len` bytes that can be read. `header` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_image_header_decode(
    input: *const u8,
    len: usize,
    limit: u32,
    header: *mut flamingo_image_header,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (input, header) =
            unsafe { (bytes(input, len, Area::NONE)?, Out::new(header, Area::NONE)?) };
        let read: flamingo_image_header = ImageHeader::decode(input, limit)?.into();
        header.write(read);
        Ok(())
    })
}
