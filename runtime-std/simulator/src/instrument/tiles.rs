//! The tiles of a workflow: how many, and where. The facts are in `docs/protocol.md`.

use flamingo_microscope::sections::SectionText;

/// A grid of tiles. Without tiling it has one tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tiles {
    /// X and Y of the first and of the last tile, in mm.
    pub(super) first: [f64; 2],
    pub(super) last: [f64; 2],
    /// The number of tiles in X and in Y.
    pub(super) number: [i32; 2],
}

const STACK: &str = "Stack Settings";

impl Tiles {
    /// The tiles of a workflow file. `fov` is the field of view in X and Y, in mm.
    pub(super) fn of(
        file: &SectionText,
        first: [f64; 2],
        last: [f64; 2],
        fov: [f64; 2],
    ) -> Result<Self, String> {
        let option = file.get(STACK, "Stack option").map(|entry| entry.value);
        if option.is_none_or(|option| option.trim() != "Tile") {
            return Ok(Self { first, last: first, number: [1, 1] });
        }
        let mut number = [1, 1];
        for axis in 0..2 {
            let overlap = overlap(file, axis + 1)?;
            let range = (last[axis] - first[axis]).abs();
            number[axis] = tiles_across(range, fov[axis], overlap);
        }
        Ok(Self { first, last, number })
    }

    pub(super) fn count(&self) -> i32 {
        self.number[0].saturating_mul(self.number[1])
    }

    /// X and Y of a tile, row by row. The tiles are spread evenly from the first to the last.
    pub(super) fn place(&self, tile: i32) -> [f64; 2] {
        let across = self.number[0].max(1);
        let at = [tile % across, tile / across];
        [0, 1].map(|axis| {
            let steps = f64::from((self.number[axis] - 1).max(1));
            let range = self.last[axis] - self.first[axis];
            self.first[axis] + range * f64::from(at[axis]) / steps
        })
    }
}

/// The overlap of an axis as a fraction: `Stack option settings` 1 and 2, in percent from 0 to 50.
fn overlap(file: &SectionText, number: usize) -> Result<f64, String> {
    let name = format!("Stack option settings {number}");
    let Some(entry) = file.get(STACK, &name) else { return Ok(0.0) };
    let percent = entry.value.trim().parse::<f64>().ok().filter(|percent| percent.is_finite());
    let percent =
        percent.ok_or_else(|| format!("work flow: {name} = {} is no number", entry.value));
    Ok(percent?.clamp(0.0, 50.0) / 100.0)
}

/// The number of tiles of one axis: ceil((range + fov) / (fov × (1 − overlap))).
#[allow(clippy::cast_possible_truncation)] // it saturates
fn tiles_across(range: f64, fov: f64, overlap: f64) -> i32 {
    ((range + fov) / (fov * (1.0 - overlap))).ceil().max(1.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiles(settings: &str, last: [f64; 2]) -> Result<Tiles, String> {
        let text = format!("<Stack Settings>\n{settings}\n</Stack Settings>\n");
        Tiles::of(&SectionText::parse(text.as_bytes()).unwrap(), [2.0, 3.0], last, [0.5, 0.25])
    }

    #[test]
    fn overlap_in_percent_gives_the_number_of_tiles() {
        let number = |x: &str, y: &str| {
            let settings = format!(
                "Stack option = Tile\nStack option settings 1 = {x}\nStack option settings 2 = {y}"
            );
            tiles(&settings, [3.0, 2.5]).map(|tiles| tiles.number)
        };
        // (1 + 0.5) / 0.5 = 3 and (0.5 + 0.25) / 0.25 = 3, each divided by 1 - overlap.
        assert_eq!(number("0", "0"), Ok([3, 3]));
        assert_eq!(number("10", "10.5"), Ok([4, 4]));
        assert_eq!(number("50", "33"), Ok([6, 5]));
        assert_eq!(number("80", "-4"), Ok([6, 3]), "clamped to 0 to 50");
        assert!(number("ten", "0").unwrap_err().contains("ten"));
    }

    #[test]
    fn tiles_of_a_camera_of_2048_pixels_are_counted() {
        let number = |overlap: &str| {
            let settings = format!(
                "Stack option = Tile\nStack option settings 1 = {overlap}\n\
                 Stack option settings 2 = {overlap}"
            );
            let text = format!("<Stack Settings>\n{settings}\n</Stack Settings>\n");
            let text = SectionText::parse(text.as_bytes()).unwrap();
            // 2048 pixels of 0.000253 mm.
            let fov = [0.518_144; 2];
            Tiles::of(&text, [7.5, 15.0], [10.7, 16.34], fov).map(|tiles| tiles.number)
        };
        // X: 3.718144 mm in steps of 0.46373888 mm are 8.02. Y: 1.858144 mm are 4.01.
        assert_eq!(number("10.5"), Ok([9, 5]));
        // In steps of 0.4663296 mm they are 7.97 and 3.98.
        assert_eq!(number("10"), Ok([8, 4]));
    }

    #[test]
    #[allow(clippy::float_cmp)] // these numbers are exact
    fn tiles_lie_evenly_between_the_corner_tiles() {
        let tiles = tiles("Stack option = Tile\nStack option settings 1 = 0", [3.0, 2.5]).unwrap();
        assert_eq!(tiles.count(), 9);
        let places: Vec<_> = (0..9).map(|tile| tiles.place(tile)).collect();
        assert_eq!(places[0], [2.0, 3.0]);
        assert_eq!(places[1], [2.5, 3.0]);
        assert_eq!(places[3], [2.0, 2.75]);
        assert_eq!(places[8], [3.0, 2.5]);
    }

    #[test]
    #[allow(clippy::float_cmp)] // these numbers are exact
    fn other_stack_options_have_one_tile() {
        let tiles =
            tiles("Stack option = ZStack\nStack option settings 1 = 9", [3.0, 2.5]).unwrap();
        assert_eq!((tiles.count(), tiles.place(0)), (1, [2.0, 3.0]));
    }
}
