//! The pixels of the plot as PNG: a backend of the drawing library, with the letters of a font that is part of the
//! program. The library draws lines and shapes from pixels.

use std::io;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

const WEIGHT: FontWeight = FontWeight::Regular;

/// Red, green and blue of each pixel, row by row.
pub(super) struct Bitmap<'a> {
    size: (u32, u32),
    pixels: &'a mut [u8],
}

impl<'a> Bitmap<'a> {
    /// `pixels` has three bytes for each pixel of `size`.
    pub(super) fn new(size: (u32, u32), pixels: &'a mut [u8]) -> Self {
        Self { size, pixels }
    }

    fn pixel(&mut self, (x, y): BackendCoord) -> Option<&mut [u8]> {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        let inside = x < self.size.0 && y < self.size.1;
        let first = 3 * (y as usize * self.size.0 as usize + x as usize);
        self.pixels.get_mut(first..first + 3).filter(|_| inside)
    }
}

type Drawn = Result<(), DrawingErrorKind<io::Error>>;

impl DrawingBackend for Bitmap<'_> {
    type ErrorType = io::Error;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, colour: BackendColor) -> Drawn {
        let (red, green, blue) = colour.rgb;
        for (old, new) in self.pixel(at).into_iter().flatten().zip([red, green, blue]) {
            *old = mixed(*old, new, colour.alpha);
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (left, top): BackendCoord,
    ) -> Drawn {
        let height = height(style);
        let letter = whole(get_raster_width(WEIGHT, height));
        let (width, high) = (letter * whole(text.chars().count()), whole(height.val()));
        let x = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Center => -width / 2,
            HPos::Right => -width,
        };
        let y = match style.anchor().v_pos {
            VPos::Top => 0,
            VPos::Center => -high / 2,
            VPos::Bottom => -high,
        };
        let (turn, colour) = (style.transform(), style.color());
        for (x, character) in (0..).map(|place| x + place * letter).zip(text.chars()) {
            let drawn = get_raster(character, WEIGHT, height);
            let Some(drawn) = drawn.or_else(|| get_raster('?', WEIGHT, height)) else { continue };
            for (y, row) in (y..).zip(drawn.rows()) {
                for (x, ink) in (x..).zip(row) {
                    let (right, down) = turn.transform(x, y);
                    let alpha = colour.alpha * f64::from(*ink) / 255.0;
                    let colour = BackendColor { alpha, ..colour };
                    self.draw_pixel((left + right, top + down), colour)?;
                }
            }
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<io::Error>> {
        let height = height(style);
        let width = get_raster_width(WEIGHT, height) * text.chars().count();
        Ok((u32::try_from(width).unwrap_or(u32::MAX), whole(height.val()).unsigned_abs()))
    }
}

/// The height of the letters for a size of the style.
fn height(style: &impl BackendTextStyle) -> RasterHeight {
    if style.size() < 20.0 { RasterHeight::Size16 } else { RasterHeight::Size20 }
}

fn whole(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is between two bytes
fn mixed(old: u8, new: u8, share: f64) -> u8 {
    (f64::from(old) + (f64::from(new) - f64::from(old)) * share.clamp(0.0, 1.0)).round() as u8
}
