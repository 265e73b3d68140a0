//! The image streams: a 40-byte header, then the pixels. Not the control frames (`frame.rs`).
//!
//! There are no markers: a header that cannot be true ends the stream with an error, since every
//! guess about where the next one begins would be a silent shift.

use core::fmt;

/// Bytes of an image header.
pub const HEADER_LEN: usize = 40;
/// The largest image that is believed, in bytes: 128 MiB, four times the largest payload.
pub const MAX_IMAGE: u32 = 134_217_728;

/// The header before an image's pixels: ten little-endian 32-bit fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ImageHeader {
    /// `imageSize`: bytes of pixels that follow, 2 · width · height.
    pub size: u32,
    /// `imageWidth` in pixels.
    pub width: u32,
    /// `imageHeight` in pixels.
    pub height: u32,
    /// `imageScaleMin`: the pixel value shown as black.
    pub scale_min: u32,
    /// `imageScaleMax`: the pixel value shown as white.
    pub scale_max: u32,
    /// `deviceIndex`, 0 to 3.
    pub device: u32,
    /// `optionsSettings1`: bits.
    pub options: u32,
    /// `optionsSettings2`: crosshair X (high 16 bits) and Y.
    pub crosshair: u32,
    /// `imageIndexStart`.
    pub index_start: i32,
    /// `imageIndexStop`.
    pub index_stop: i32,
}

/// Bit of [`ImageHeader::options`]: pixels follow.
pub const OPTION_IMAGE_DATA: u32 = 0x10;

/// A header that cannot be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ImageError {
    /// Not 40 bytes.
    Length {
        /// How many there were.
        found: usize,
    },
    /// imageSize is not 2 · width · height.
    Size {
        /// 2 · width · height.
        expected: u64,
        /// imageSize.
        found: u32,
    },
    /// imageSize is 0, so this is an update of options, but only one of width and height is 0.
    Dimensions {
        /// imageWidth.
        width: u32,
        /// imageHeight.
        height: u32,
    },
    /// imageSize is above the limit.
    TooLarge {
        /// The limit in bytes.
        limit: u32,
        /// imageSize.
        found: u32,
    },
    /// deviceIndex is above 3.
    Device {
        /// deviceIndex.
        found: u32,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => {
                write!(f, "an image header is {HEADER_LEN} bytes, found {found}")
            }
            Self::Size { expected, found } => write!(
                f,
                "imageSize at offset 0: expected 2 * width * height = {expected}, found {found}"
            ),
            Self::Dimensions { width, height } => write!(
                f,
                "imageWidth and imageHeight at offset 4: expected 0 and 0 in an update of options, \
                 found {width} and {height}"
            ),
            Self::TooLarge { limit, found } => {
                write!(f, "imageSize at offset 0: expected at most {limit}, found {found}")
            }
            Self::Device { found } => {
                write!(f, "deviceIndex at offset 20: expected 0 to 3, found {found}")
            }
        }
    }
}

impl core::error::Error for ImageError {}

impl ImageHeader {
    /// Whether the header can be true.
    ///
    /// # Errors
    /// [`ImageError`] names the field.
    pub fn check(&self, limit: u32) -> Result<(), ImageError> {
        let expected =
            u64::from(self.width).saturating_mul(u64::from(self.height)).saturating_mul(2);
        if u64::from(self.size) != expected {
            return Err(ImageError::Size { expected, found: self.size });
        }
        if (self.width == 0) != (self.height == 0) {
            let Self { width, height, .. } = *self;
            return Err(ImageError::Dimensions { width, height });
        }
        if self.size > limit {
            return Err(ImageError::TooLarge { limit, found: self.size });
        }
        if self.device > 3 {
            return Err(ImageError::Device { found: self.device });
        }
        Ok(())
    }

    /// The 40 bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let words = [
            self.size,
            self.width,
            self.height,
            self.scale_min,
            self.scale_max,
            self.device,
            self.options,
            self.crosshair,
            self.index_start as u32,
            self.index_stop as u32,
        ];
        let mut bytes = [0; HEADER_LEN];
        let (places, _) = bytes.as_chunks_mut();
        for (place, word) in places.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }
}

/// What the image stream held next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ImagePiece<'a> {
    /// A header. With size 0 it only updates options, and no pixels follow.
    Header(ImageHeader),
    /// Some of the pixels, lent from the input, perhaps cut inside a pixel; never empty.
    Pixels {
        /// 16-bit little-endian pixels, row by row.
        bytes: &'a [u8],
        /// How many bytes of the image are still to come.
        remaining: u32,
    },
}

/// Finds headers and pixels in an image stream, in any chunking. Holds no pixels.
///
/// ```
/// use flamingo_protocol_core::image::{ImageHeader, ImagePiece, ImageReader};
/// let header = ImageHeader { size: 8, width: 2, height: 2, ..ImageHeader::default() };
/// let mut reader = ImageReader::default();
/// assert_eq!(reader.push(&header.encode()), (40, Ok(Some(ImagePiece::Header(header)))));
/// let (consumed, piece) = reader.push(&[1, 0, 2]);
/// assert_eq!(consumed, 3);
/// assert!(matches!(piece, Ok(Some(ImagePiece::Pixels { remaining: 5, .. }))));
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ImageReader {
    buffer: [u8; HEADER_LEN],
    held: usize,
    remaining: u32,
    limit: u32,
    failed: Option<ImageError>,
}

impl Default for ImageReader {
    fn default() -> Self {
        Self::new(MAX_IMAGE)
    }
}

impl ImageReader {
    /// A reader that believes images of up to `limit` bytes.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self { buffer: [0; HEADER_LEN], held: 0, remaining: 0, limit, failed: None }
    }

    /// Takes bytes up to the end of the next piece: how many, and the piece.
    ///
    /// # Errors
    /// [`ImageError`] when a header cannot be true, now and ever after; nothing more is consumed.
    pub fn push<'a>(
        &mut self,
        input: &'a [u8],
    ) -> (usize, Result<Option<ImagePiece<'a>>, ImageError>) {
        if let Some(error) = self.failed {
            return (0, Err(error));
        }
        if self.remaining > 0 {
            let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
            let bytes = input.get(..wanted).unwrap_or(input);
            if bytes.is_empty() {
                return (0, Ok(None));
            }
            // `bytes` is at most `remaining` long, so the conversion cannot fail.
            self.remaining -= u32::try_from(bytes.len()).unwrap_or(self.remaining);
            let piece = ImagePiece::Pixels { bytes, remaining: self.remaining };
            return (bytes.len(), Ok(Some(piece)));
        }
        let free = self.buffer.get_mut(self.held..).unwrap_or_default();
        let taken = free.len().min(input.len());
        for (to, from) in free.iter_mut().zip(input) {
            *to = *from;
        }
        self.held = self.held.saturating_add(taken);
        if self.held < HEADER_LEN {
            return (taken, Ok(None));
        }
        self.held = 0;
        match ImageHeader::decode(&self.buffer, self.limit) {
            Ok(header) => {
                self.remaining = header.size;
                (taken, Ok(Some(ImagePiece::Header(header))))
            }
            Err(error) => {
                self.failed = Some(error);
                (taken, Err(error))
            }
        }
    }

    /// Whether the stream may end here: between two images.
    pub const fn is_between(&self) -> bool {
        self.held == 0 && self.remaining == 0
    }
}
