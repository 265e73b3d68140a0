//! Draws 8-bit pictures on a terminal: half blocks, two pixels in each character. Where stdout is no
//! terminal with colours, the characters of plain text stand for the greys.

use console::{Color, Style, Term};

/// The greys of plain text, from black to white.
const CHARACTERS: &[u8] = b" .:-=+*#%@";

/// The size of a terminal that does not report one, and of plain text, in columns and rows.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// How a grey value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greys {
    TrueColors,
    Colors256,
    PlainText,
}

impl Greys {
    /// Those that stdout can show: plain text in a pipe, with TERM=dumb, and with NO_COLOR.
    fn of_stdout() -> Self {
        match (console::colors_enabled(), console::true_colors_enabled()) {
            (false, _) => Self::PlainText,
            (true, true) => Self::TrueColors,
            (true, false) => Self::Colors256,
        }
    }

    /// A character with the greys of its upper and its lower half.
    fn character(self, upper: u8, lower: u8) -> String {
        let color = match self {
            Self::TrueColors => true_color,
            Self::Colors256 => color_256,
            Self::PlainText => return plain(u8::midpoint(upper, lower)).to_string(),
        };
        let style = Style::new().force_styling(true).bg(color(upper)).fg(color(lower));
        style.apply_to('▄').to_string()
    }
}

/// The columns and rows of the terminal at stdout. One row stays free for the prompt.
pub(crate) fn terminal_size() -> (usize, usize) {
    let reported =
        Term::stdout().size_checked().filter(|(rows, columns)| *rows > 1 && *columns > 0);
    let (columns, rows) = reported.map_or(USUAL_SIZE, |(rows, columns)| (columns, rows));
    (columns.into(), usize::from(rows - 1))
}

/// An 8-bit image, row by row.
pub(crate) struct TerminalPicture<'a> {
    pub(crate) width: usize,
    pub(crate) grey: &'a [u8],
}

impl TerminalPicture<'_> {
    /// Draws it within the terminal at stdout, as the terminal can show it.
    pub(crate) fn fitted(&self) -> String {
        let (columns, rows) = terminal_size();
        let lines = self.lines(columns, rows);
        lines.into_iter().fold(String::new(), |text, line| text + &line + "\n")
    }

    /// Its lines within `columns` and `rows`, as stdout can show them.
    pub(crate) fn lines(&self, columns: usize, rows: usize) -> Vec<String> {
        self.draw(columns, rows, Greys::of_stdout())
    }

    /// Draws it within `columns` and `rows`. The aspect ratio is kept, and a small image is not enlarged.
    fn draw(&self, columns: usize, rows: usize, greys: Greys) -> Vec<String> {
        let height = self.grey.len() / self.width.max(1);
        // Pixels of the image per pixel of the terminal.
        let scale =
            self.width.div_ceil(columns.max(1)).max(height.div_ceil(2 * rows.max(1))).max(1);
        let character = |x: usize, y: usize| {
            let [upper, lower] = [y, y + scale].map(|y| self.mean(x, y, scale));
            greys.character(upper, lower)
        };
        let line = |y| (0..self.width).step_by(scale).map(|x| character(x, y)).collect();
        (0..height).step_by(2 * scale).map(line).collect()
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

fn plain(grey: u8) -> char {
    let at = usize::from(grey) * CHARACTERS.len() / 256;
    CHARACTERS.get(at).copied().map_or(' ', char::from)
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
        let lines = TerminalPicture { width: 320, grey: &grey }.draw(80, 23, Greys::TrueColors);
        // 5 x 5 pixels of the image for each pixel of the terminal.
        assert_eq!((lines.len(), lines[0].matches('▄').count()), (20, 64));
    }

    #[test]
    fn each_character_has_the_mean_of_two_squares_of_pixels() {
        // The scale is 2: the upper squares have the means 10 and 90, the lower ones 0.
        let grey = [0, 20, 80, 100, 0, 20, 80, 100, 0, 0, 0, 0];
        let drawn =
            TerminalPicture { width: 4, grey: &grey }.draw(2, 1, Greys::TrueColors).concat();
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

    #[test]
    fn plain_text_has_a_character_for_each_grey() {
        // Two rows of the image are one row of text.
        let grey = [0, 60, 130, 255, 0, 60, 130, 255];
        let picture = TerminalPicture { width: 4, grey: &grey };
        assert_eq!(picture.draw(80, 23, Greys::PlainText), [" :+@"]);
    }
}
