//! `flamingo live --thumbnail`: some images of the whole acquisition on one sheet, with their numbers.

use std::path::Path;

use flamingo_microscope::image_file::write_png_8;
use flamingo_microscope::preview::stretched;

use super::preview::TERMINAL;
use crate::failure::{CommandResult, Failure};
use crate::output::Out;
use crate::terminal_picture::{TerminalPicture, terminal_size};

/// The images on a sheet, at most.
const IMAGES: usize = 12;
/// The columns of a sheet, at most.
const COLUMNS: usize = 4;
/// The longer side of a thumbnail in pixels, at most.
const SIDE: usize = 128;
/// Pixels or characters between two thumbnails.
const SPACE: usize = 2;

/// An image made small.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thumbnail {
    number: u64,
    width: usize,
    pixels: Vec<u16>,
}

/// Keeps some images, spread evenly over those that have come.
#[derive(Debug)]
pub(super) struct ContactSheet {
    kept: Vec<Thumbnail>,
    /// Every image whose count is a multiple of this is kept.
    stride: u64,
    seen: u64,
}

impl ContactSheet {
    pub(super) const fn new() -> Self {
        Self { kept: Vec::new(), stride: 1, seen: 0 }
    }

    /// Takes an image of `width` pixels per row.
    pub(super) fn add(&mut self, number: u64, width: usize, pixels: &[u16]) {
        if self.seen.is_multiple_of(self.stride) {
            if self.kept.len() == 2 * IMAGES {
                let mut keep = false;
                self.kept.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.kept.push(small(number, width, pixels));
            }
        }
        self.seen += 1;
    }

    /// Shows the sheet on the terminal, or writes it to a file.
    pub(super) fn show(self, file: &Path, out: &mut Out) -> CommandResult {
        let chosen = chosen(self.kept);
        if chosen.is_empty() {
            return Ok(());
        }
        let greys = stretched_together(&chosen);
        if file == Path::new(TERMINAL) {
            let (columns, rows) = terminal_size();
            return out.bytes(text(&chosen, &greys, columns, rows).as_bytes());
        }
        let (width, sheet) = picture(&chosen, &greys);
        let height = sheet.len() / width.max(1);
        let size = u32::try_from(width).ok().zip(u32::try_from(height).ok());
        let (width, height) = size.unwrap_or_default();
        let written = write_png_8(file, width, height, &sheet);
        written.map_err(|error| Failure::new(1, error.to_string()))
    }
}

/// The mean of each square of pixels.
fn small(number: u64, width: usize, pixels: &[u16]) -> Thumbnail {
    let width = width.max(1);
    let height = pixels.len() / width;
    let scale = width.max(height).div_ceil(SIDE).max(1);
    let mut means = Vec::new();
    for rows in pixels.chunks(width * scale) {
        for x in (0..width).step_by(scale) {
            let row = |row: &'_ [u16]| {
                let part = row.get(x..row.len().min(x + scale)).unwrap_or(&[]);
                (part.iter().map(|pixel| u64::from(*pixel)).sum::<u64>(), part.len() as u64)
            };
            let sums = rows.chunks(width).map(row);
            let (sum, count) = sums.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
            means.push(u16::try_from(sum / count.max(1)).unwrap_or(u16::MAX));
        }
    }
    Thumbnail { number, width: width.div_ceil(scale), pixels: means }
}

/// At most [`IMAGES`], spread evenly, with the first and the last one.
fn chosen(kept: Vec<Thumbnail>) -> Vec<Thumbnail> {
    let (count, last) = (kept.len().min(IMAGES), kept.len().saturating_sub(1));
    let places: Vec<_> = (0..count).map(|at| at * last / (count - 1).max(1)).collect();
    let on_sheet = kept.into_iter().enumerate().filter(|(at, _)| places.contains(at));
    on_sheet.map(|(_, thumbnail)| thumbnail).collect()
}

/// One contrast for all, so that they can be compared.
fn stretched_together(chosen: &[Thumbnail]) -> Vec<Vec<u8>> {
    let all: Vec<u16> = chosen.iter().flat_map(|it| &it.pixels).copied().collect();
    let grey = stretched(&all);
    let mut rest = grey.as_slice();
    let part = |thumbnail: &Thumbnail| {
        let (part, others) = rest.split_at(thumbnail.pixels.len());
        rest = others;
        part.to_vec()
    };
    chosen.iter().map(part).collect()
}

/// The sheet for a terminal: rows of pictures with the numbers above them.
fn text(chosen: &[Thumbnail], greys: &[Vec<u8>], columns: usize, rows: usize) -> String {
    let across = chosen.len().clamp(1, COLUMNS);
    let down = chosen.len().div_ceil(across);
    let cell = (columns / across).saturating_sub(SPACE).max(1);
    let high = (rows / down).saturating_sub(1).max(1);
    let mut sheet = String::new();
    for (thumbnails, greys) in chosen.chunks(across).zip(greys.chunks(across)) {
        let draw = |(thumbnail, grey): (&Thumbnail, &Vec<u8>)| {
            TerminalPicture { width: thumbnail.width, grey }.lines(cell, high)
        };
        let pictures: Vec<_> = thumbnails.iter().zip(greys).map(draw).collect();
        let label = |it: &Thumbnail| {
            let label = format!("image {}", it.number);
            format!("{label:<width$}", width = cell + SPACE)
        };
        let labels: String = thumbnails.iter().map(label).collect();
        sheet.push_str(labels.trim_end());
        sheet.push('\n');
        for line in 0..pictures.iter().map(Vec::len).max().unwrap_or(0) {
            for picture in &pictures {
                let drawn = picture.get(line).map_or("", String::as_str);
                let width = console::measure_text_width(drawn);
                sheet.push_str(drawn);
                sheet.extend(std::iter::repeat_n(' ', cell + SPACE - width.min(cell)));
            }
            sheet.push('\n');
        }
    }
    sheet
}

/// The sheet as one picture: its width and its pixels.
fn picture(chosen: &[Thumbnail], greys: &[Vec<u8>]) -> (usize, Vec<u8>) {
    let across = chosen.len().clamp(1, COLUMNS);
    let height_of = |it: &Thumbnail| it.pixels.len() / it.width.max(1);
    let cell = chosen.iter().map(|it| it.width).max().unwrap_or(0) + SPACE;
    let high = chosen.iter().map(height_of).max().unwrap_or(0) + SPACE;
    let width = cell * across;
    let mut sheet = vec![0; width * high * chosen.len().div_ceil(across)];
    for (at, (thumbnail, grey)) in chosen.iter().zip(greys).enumerate() {
        let (left, top) = (at % across * cell, at / across * high);
        for (y, row) in grey.chunks(thumbnail.width.max(1)).enumerate() {
            let begin = (top + y) * width + left;
            sheet[begin..begin + row.len()].copy_from_slice(row);
        }
    }
    (width, sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet_of(count: u64) -> Vec<u64> {
        let mut sheet = ContactSheet::new();
        for number in 1..=count {
            sheet.add(number, 4, &[7; 12]);
            assert!(sheet.kept.len() <= 2 * IMAGES);
        }
        chosen(sheet.kept).iter().map(|thumbnail| thumbnail.number).collect()
    }

    #[test]
    fn the_images_of_a_sheet_are_spread_over_the_acquisition() {
        assert_eq!(sheet_of(0), [0; 0]);
        assert_eq!(sheet_of(3), [1, 2, 3]);
        assert_eq!(sheet_of(12), (1..=12).collect::<Vec<_>>());
        for count in [13, 24, 25, 100, 1_000, 12_345] {
            let numbers = sheet_of(count);
            assert_eq!((numbers.len(), numbers[0]), (IMAGES, 1), "{numbers:?}");
            let gaps: Vec<_> = numbers.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
            assert!(*most <= 2 * *least, "{numbers:?}");
            assert!(count - numbers[IMAGES - 1] <= *most, "{numbers:?}");
        }
    }

    #[test]
    fn an_image_becomes_small_with_the_means_of_its_squares() {
        let pixels: Vec<u16> = (0..256 * 2).map(|at| if at % 2 == 0 { 10 } else { 20 }).collect();
        let small = small(5, 256, &pixels);
        assert_eq!((small.number, small.width, small.pixels.len()), (5, 128, 128));
        assert!(small.pixels.iter().all(|pixel| *pixel == 15), "{small:?}");
    }

    #[test]
    fn a_sheet_has_every_image_and_its_number() {
        let mut sheet = ContactSheet::new();
        for number in 1..=6 {
            sheet.add(number, 3, &[u16::try_from(number).unwrap() * 100; 6]);
        }
        let chosen = chosen(sheet.kept);
        let greys = stretched_together(&chosen);
        assert_eq!((greys[0][0], greys[5][0]), (0, 255), "one contrast for all");
        let (width, pixels) = picture(&chosen, &greys);
        assert_eq!((width, pixels.len()), (4 * 5, 4 * 5 * 2 * 4));
        let text = text(&chosen, &greys, 80, 23);
        for number in 1..=6 {
            assert!(text.contains(&format!("image {number}")), "{text}");
        }
    }
}
