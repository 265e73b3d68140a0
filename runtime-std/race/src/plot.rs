//! The plot of the race as SVG or PNG: the share of wrong or lost answers, and the delay of events, over the rate of unsolicited
//! frames. Colours and markers are in `plot/style.rs`. Nothing is measured here; the same figures always give the same
//! bytes.
//!
//! Text in SVG is laid out without font files: the viewer chooses the font, and the layout leaves room for it. The
//! letters of PNG are in `plot/bitmap.rs`.

mod axis;
mod bitmap;
mod style;
#[cfg(test)]
mod tests;

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use axis::Axis;
use bitmap::Bitmap;
use style::Style;

const SIZE: (u32, u32) = (1000, 920);
/// The width right of the panels.
const LEGEND_WIDTH: u32 = 200;
/// The distance between two strategies at the same rate; 1 is the distance between two rates.
const SHIFT: f64 = 0.07;
const CAPTION: (&str, i32) = ("sans-serif", 22);
const LABEL: (&str, i32) = ("sans-serif", 18);
const GRID: RGBColor = RGBColor(221, 221, 221);
/// The shortest delay that is drawn, in ms. Shorter ones are drawn as this one.
const SHORTEST: f64 = 0.001;
/// The maximum number of powers of ten on the axis of delays.
const LONGEST_AXIS: f64 = 9.0;

/// A strategy at all rates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) points: Vec<Point>,
}

/// The figures of a strategy at one rate. A figure that is not a finite number is not drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Unsolicited frames per second.
    pub(super) rate: f64,
    pub(super) wrong_or_lost_percent: f64,
    /// The 95 % interval of that percentage.
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) event_delay_p50_ms: Option<f64>,
    pub(super) event_delay_max_ms: Option<f64>,
}

/// What a plot is drawn on.
trait Backend: DrawingBackend<ErrorType = std::io::Error> {}
impl<B: DrawingBackend<ErrorType = std::io::Error>> Backend for B {}

type Area<B> = DrawingArea<B, Shift>;
type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<Axis, Axis>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Draws the plot as SVG.
///
/// # Errors
/// The message of the drawing library.
pub(super) fn svg(series: &[Series]) -> Result<String, String> {
    let mut text = String::new();
    let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    let drawn = draw(&root, series).and_then(|()| root.present());
    drop(root);
    drawn.map(|()| text).map_err(|error| error.to_string())
}

/// Draws the plot as PNG.
///
/// # Errors
/// The message of the drawing library.
pub(super) fn png(series: &[Series]) -> Result<Vec<u8>, String> {
    let mut pixels = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
    let root = Bitmap::new(SIZE, &mut pixels).into_drawing_area();
    let drawn = draw(&root, series).and_then(|()| root.present());
    drop(root);
    drawn.map_err(|error| error.to_string())?;
    encoded(&pixels).map_err(|error| error.to_string())
}

fn encoded(pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

fn draw<B: Backend>(root: &Area<B>, series: &[Series]) -> Drawn {
    root.fill(&WHITE)?;
    let (panels, right) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
    let (upper, lower) = panels.split_vertically(SIZE.1 / 2);
    let rates = Rates::of(series);
    draw_losses(&upper, series, &rates)?;
    draw_delays(&lower, series, &rates)?;
    draw_legend(&right, series)
}

/// The rates in order. They are drawn at equal distances: 0 has no logarithm, and
/// the low ones matter as much as the high ones.
struct Rates(Vec<f64>);

impl Rates {
    fn of(series: &[Series]) -> Self {
        let points = series.iter().flat_map(|series| &series.points);
        let mut rates: Vec<f64> = points.map(|point| point.rate).collect();
        rates.retain(|rate| rate.is_finite());
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        Self(rates)
    }

    /// The x position of a point of strategy `index` of `of`.
    fn place(&self, rate: f64, index: usize, of: usize) -> Option<f64> {
        let at = self.0.iter().position(|known| known.total_cmp(&rate).is_eq())?;
        Some(number(at) + (number(index) - number(of.saturating_sub(1)) / 2.0) * SHIFT)
    }

    fn axis(&self) -> Axis {
        let end = number(self.0.len().max(1)) - 0.5;
        Axis::new(-0.5..end, (0..self.0.len()).map(number).collect())
    }

    #[allow(clippy::cast_possible_truncation)] // a tick is a small whole number
    fn label(&self, tick: f64) -> String {
        self.0.get(tick.round() as usize).map(f64::to_string).unwrap_or_default()
    }
}

#[allow(clippy::cast_precision_loss)] // there are few of them
fn number(count: usize) -> f64 {
    count as f64
}

/// A point in a panel: a marker and a whisker.
struct Mark {
    value: Option<f64>,
    whisker: Option<(f64, f64)>,
}

fn draw_losses<B: Backend>(area: &Area<B>, series: &[Series], rates: &Rates) -> Drawn {
    let marks = |point: &Point| Mark {
        value: Some(point.wrong_or_lost_percent),
        whisker: Some((point.low, point.high)),
    };
    let most = figures(series, marks).fold(0.0, f64::max).min(100.0);
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| most <= step * 6.0).unwrap_or(20.0);
    let top = (most / step).ceil().max(1.0) * step;
    let mut ticks: Vec<f64> = (0..=6).map(|tick| number(tick) * step).collect();
    ticks.retain(|tick| *tick <= top);
    let mut builder = builder(area);
    let mut chart = builder
        .caption("Answers wrong or lost", CAPTION)
        .build_cartesian_2d(rates.axis(), roomy(0.0..top, ticks))?;
    let unit = "% of the queries (bar: 95 % interval)";
    draw_mesh(&mut chart, rates, unit, &f64::to_string)?;
    draw_series(&mut chart, series, rates, marks, &(0.0..top))
}

/// Delays have a logarithmic axis, because some are a thousand times as long as others.
fn draw_delays<B: Backend>(area: &Area<B>, series: &[Series], rates: &Rates) -> Drawn {
    let log = |ms: Option<f64>| ms.filter(|ms| ms.is_finite()).map(|ms| ms.max(SHORTEST).log10());
    let marks = |point: &Point| {
        let longest = log(point.event_delay_max_ms);
        Mark { value: longest, whisker: log(point.event_delay_p50_ms).zip(longest) }
    };
    let low = figures(series, marks).fold(f64::INFINITY, f64::min).floor();
    let high = figures(series, marks).fold(f64::NEG_INFINITY, f64::max).ceil();
    let range = if low <= high { low..high.max(low + 1.0) } else { 0.0..1.0 };
    let decades = (range.end - range.start).min(LONGEST_AXIS);
    let range = range.end - decades..range.end;
    let ticks = (0..=9).map(|tick| range.start + number(tick)).filter(|at| *at <= range.end);
    let mut builder = builder(area);
    let mut chart = builder
        .caption("Delay of an event", CAPTION)
        .build_cartesian_2d(rates.axis(), roomy(range.clone(), ticks.collect()))?;
    let unit = "ms (marker: longest, bar: from the median)";
    draw_mesh(&mut chart, rates, unit, &|power| 10_f64.powf(*power).to_string())?;
    draw_series(&mut chart, series, rates, marks, &range)
}

/// An axis with some room at both ends, so that no marker lies on the border.
fn roomy(range: Range<f64>, ticks: Vec<f64>) -> Axis {
    let room = 0.04 * (range.end - range.start);
    Axis::new(range.start - room..range.end + room, ticks)
}

/// All figures of a panel.
fn figures(series: &[Series], marks: impl Fn(&Point) -> Mark) -> impl Iterator<Item = f64> {
    let points = series.iter().flat_map(|series| &series.points);
    let marks = points.map(marks);
    let figures = marks.flat_map(|mark| {
        let (from, to) = mark.whisker.unzip();
        [mark.value, from, to]
    });
    figures.flatten().filter(|figure| figure.is_finite())
}

fn builder<'b, B: Backend>(area: &Area<B>) -> ChartBuilder<'_, 'b, B> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(12).x_label_area_size(54).y_label_area_size(98);
    builder
}

fn draw_mesh<B: Backend>(
    chart: &mut Chart<'_, B>,
    rates: &Rates,
    unit: &str,
    label: &dyn Fn(&f64) -> String,
) -> Drawn {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .x_labels(rates.0.len())
        .x_label_formatter(&|tick| rates.label(*tick))
        .y_label_formatter(&label)
        .label_style(LABEL)
        .axis_desc_style(LABEL)
        .x_desc("Unsolicited frames per second")
        .y_desc(unit)
        .draw()
}

/// Draws all lines below all whiskers below all markers, each strategy a little beside the others. A figure outside
/// `within` is drawn at its edge.
fn draw_series<B: Backend>(
    chart: &mut Chart<'_, B>,
    series: &[Series],
    rates: &Rates,
    marks: impl Fn(&Point) -> Mark,
    within: &Range<f64>,
) -> Drawn {
    let inside = |figure: f64| figure.is_finite().then(|| figure.clamp(within.start, within.end));
    let (mut lines, mut whiskers) = (Vec::new(), Vec::new());
    for (index, one) in series.iter().enumerate() {
        let style = Style::of(index);
        let mut line = Vec::new();
        for point in &one.points {
            let Some(x) = rates.place(point.rate, index, series.len()) else { continue };
            let Mark { value, whisker } = marks(point);
            line.extend(value.and_then(inside).map(|y| (x, y)));
            let ends = whisker.and_then(|(from, to)| inside(from).zip(inside(to)));
            whiskers.extend(ends.map(|(from, to)| (style, [(x, from), (x, to)])));
        }
        line.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        lines.push((style, line));
    }
    for (style, line) in &lines {
        chart.draw_series(LineSeries::new(line.iter().copied(), style.line()))?;
    }
    for (style, ends) in whiskers {
        chart.draw_series([PathElement::new(ends, style.whisker())])?;
        chart.draw_series(ends.map(|end| style.cap(end)))?;
    }
    for (style, line) in lines {
        chart.draw_series(line.into_iter().map(|at| style.marker(at)))?;
    }
    Ok(())
}

fn draw_legend<B: Backend>(area: &Area<B>, series: &[Series]) -> Drawn {
    let (left, mut y) = (10, 60);
    let text = LABEL.into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
    for (index, one) in series.iter().enumerate() {
        let style = Style::of(index);
        area.draw(&PathElement::new(vec![(left, y), (left + 36, y)], style.line()))?;
        area.draw(&style.marker((left + 18, y)))?;
        area.draw(&Text::new(one.name, (left + 46, y), text.clone()))?;
        y += 30;
    }
    Ok(())
}
