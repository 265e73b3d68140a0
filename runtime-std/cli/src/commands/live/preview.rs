//! `flamingo live --preview`: the last image, on the terminal or as an 8-bit PNG.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;

use console::{Color, Style, Term};
use flamingo_microscope::image_file::write_png_8;
use flamingo_microscope::live::LiveImage;
use flamingo_microscope::preview::stretched;

use crate::failure::{CommandResult, Failure};
use crate::output::Out;

/// The value of `--preview` without a file.
pub(super) const TERMINAL: &str = "-";

/// The size of a terminal that does not report one, in columns and rows.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// Checks, before any image is received, that the preview can be shown.
pub(super) fn check(preview: Option<&Path>) -> CommandResult {
    let Some(file) = preview else { return Ok(()) };
    if file != Path::new(TERMINAL) && file.exists() {
        return Err(Failure::usage(format!("--preview: {} exists already", file.display())));
    }
    if file == Path::new(TERMINAL) && !std::io::stdout().is_terminal() {
        let message = "--preview: stdout is no terminal; name a file: --preview=FILE.png";
        return Err(Failure::usage(message));
    }
    Ok(())
}

/// Shows an image with its contrast stretched.
pub(super) fn show(image: &LiveImage, file: &Path, out: &mut Out) -> CommandResult {
    let grey = stretched(image.pixels());
    let (width, height) = (image.header.width, image.header.height);
    if file != Path::new(TERMINAL) {
        let written = write_png_8(file, width, height, &grey);
        return written.map_err(|error| Failure::new(1, error.to_string()));
    }
    let reported =
        Term::stdout().size_checked().filter(|(rows, columns)| *rows > 1 && *columns > 0);
    let (columns, rows) = reported.map_or(USUAL_SIZE, |(rows, columns)| (columns, rows));
    let color = if console::true_colors_enabled() { true_color } else { color_256 };
    // One row stays free for the prompt.
    let picture = Picture { width: width as usize, grey: &grey };
    out.bytes(picture.draw(columns.into(), usize::from(rows - 1), color).as_bytes())
}

/// An 8-bit image, row by row.
struct Picture<'a> {
    width: usize,
    grey: &'a [u8],
}

impl Picture<'_> {
    /// Draws half blocks, two pixels in each character, within `columns` and `rows`. The aspect ratio
    /// is kept, and a small image is not enlarged.
    fn draw(&self, columns: usize, rows: usize, color: fn(u8) -> Color) -> String {
        let height = self.grey.len() / self.width.max(1);
        // Pixels of the image per pixel of the terminal.
        let scale = self.width.div_ceil(columns).max(height.div_ceil(2 * rows)).max(1);
        let mut text = String::new();
        for y in (0..height).step_by(2 * scale) {
            for x in (0..self.width).step_by(scale) {
                let [upper, lower] = [y, y + scale].map(|y| color(self.mean(x, y, scale)));
                let block = Style::new().force_styling(true).bg(upper).fg(lower).apply_to('▄');
                // Writing into a String cannot fail.
                let _ = write!(text, "{block}");
            }
            text.push('\n');
        }
        text
    }

    /// The mean of a square of pixels. Outside of the image it is black.
    fn mean(&self, x: usize, y: usize, side: usize) -> u8 {
        let row = |row: &[u8]| {
            let square = row.get(x..row.len().min(x + side)).unwrap_or(&[]);
            (square.iter().map(|grey| u64::from(*grey)).sum::<u64>(), square.len() as u64)
        };
        let rows = self.grey.chunks(self.width.max(1)).skip(y).take(side);
        let (sum, count) = rows.map(row).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX)
    }
}

fn true_color(grey: u8) -> Color {
    Color::TrueColor(grey, grey, grey)
}

/// The 24 greys of 256 colours are 8, 18 … 238; black and white are colours of their own.
fn color_256(grey: u8) -> Color {
    match grey {
        0..=3 => Color::Color256(16),
        247.. => Color::Color256(231),
        _ => Color::Color256(232 + (grey.saturating_sub(3) / 10).min(23)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_the_terminal_and_keeps_its_ratio() {
        let grey = vec![200; 320 * 200];
        let drawn = Picture { width: 320, grey: &grey }.draw(80, 23, true_color);
        let lines: Vec<_> = drawn.lines().collect();
        // 5 x 5 pixels of the image for each pixel of the terminal.
        assert_eq!((lines.len(), lines[0].matches('▄').count()), (20, 64));
    }

    #[test]
    fn each_character_has_the_mean_of_two_squares_of_pixels() {
        // The scale is 2: the upper squares have the means 10 and 90, the lower ones 0.
        let grey = [0, 20, 80, 100, 0, 20, 80, 100, 0, 0, 0, 0];
        let drawn = Picture { width: 4, grey: &grey }.draw(2, 1, true_color);
        assert_eq!(drawn.matches('▄').count(), 2, "{drawn:?}");
        for background in ["48;2;10;10;10m", "48;2;90;90;90m"] {
            assert!(drawn.contains(background), "{background} in {drawn:?}");
        }
    }

    #[test]
    fn greys_become_the_nearest_of_256_colours() {
        let colors = [0, 8, 128, 238, 255].map(color_256);
        assert_eq!(colors, [16, 232, 244, 255, 231].map(Color::Color256));
    }
}
