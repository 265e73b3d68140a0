//! The styles of the strategies in the plot: a colour, and a shape that is full or empty. The colours are Paul Tol's
//! "muted" scheme for colour-blind readers, and black. No two strategies have the same shape and filling, so the plot can be
//! read without colours.

use plotters::element::{ComposedElement, EmptyElement, PathElement, Polygon};
use plotters::prelude::{DrawingBackend, RGBColor, WHITE};
use plotters::style::{Color, ShapeStyle};

type Pixel = (i32, i32);

const COLOURS: [RGBColor; 10] = [
    RGBColor(0x33, 0x22, 0x88), // indigo
    RGBColor(0x66, 0xAA, 0xDD), // cyan, darker because of the white background
    RGBColor(0xCC, 0x66, 0x77), // rose
    RGBColor(0x11, 0x77, 0x33), // green
    RGBColor(0xB8, 0xA0, 0x3A), // sand, darker for the same reason
    RGBColor(0xAA, 0x44, 0x99), // purple
    RGBColor(0x44, 0xAA, 0x99), // teal
    RGBColor(0x88, 0x22, 0x55), // wine
    RGBColor(0x77, 0x77, 0x77), // grey
    RGBColor(0x00, 0x00, 0x00), // black
];

/// Outlines in pixels around the point.
const SHAPES: [&[Pixel]; 5] = [
    &[(-2, -5), (2, -5), (5, -2), (5, 2), (2, 5), (-2, 5), (-5, 2), (-5, -2)], // a disc
    &[(-4, -4), (4, -4), (4, 4), (-4, 4)],                                     // a square
    &[(0, -6), (6, 5), (-6, 5)],                                               // a triangle
    &[(0, -7), (6, 0), (0, 7), (-6, 0)],                                       // a diamond
    &[(0, 6), (6, -5), (-6, -5)], // a triangle on its tip
];

/// The style of one strategy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    colour: RGBColor,
    shape: &'static [Pixel],
    full: bool,
}

impl Style {
    /// The style of the strategy at this place in the table. The eleventh is equal to the first.
    pub(super) fn of(index: usize) -> Self {
        Self {
            colour: COLOURS[index % COLOURS.len()],
            shape: SHAPES[index % SHAPES.len()],
            full: index % COLOURS.len() < SHAPES.len(),
        }
    }

    pub(super) fn line(self) -> ShapeStyle {
        self.colour.mix(0.7).stroke_width(2)
    }

    pub(super) fn whisker(self) -> ShapeStyle {
        self.colour.stroke_width(1)
    }

    /// The end of a whisker.
    pub(super) fn cap<C, DB: DrawingBackend>(
        self,
        at: C,
    ) -> ComposedElement<C, DB, PathElement<Pixel>, EmptyElement<Pixel, DB>> {
        EmptyElement::at(at)
            + PathElement::new(vec![(-4, 0), (4, 0)], self.whisker())
            + EmptyElement::at((0, 0))
    }

    pub(super) fn marker<C, DB: DrawingBackend>(
        self,
        at: C,
    ) -> ComposedElement<C, DB, Polygon<Pixel>, PathElement<Pixel>> {
        let mut outline = self.shape.to_vec();
        outline.extend(self.shape.first());
        let inside = if self.full { self.colour } else { WHITE };
        EmptyElement::at(at)
            + Polygon::new(self.shape, inside.filled())
            + PathElement::new(outline, self.colour.stroke_width(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_strategies_differ_even_without_colours() {
        for left in 0..10 {
            for right in 0..left {
                let (left, right) = (Style::of(left), Style::of(right));
                assert_ne!(left.colour, right.colour);
                assert_ne!((left.shape, left.full), (right.shape, right.full));
            }
        }
        assert_eq!(Style::of(10), Style::of(0));
    }
}
