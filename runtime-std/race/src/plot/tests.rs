use super::*;

const NAMES: [&str; 10] = [
    "synchronous",
    "polling",
    "two-readers",
    "mutex",
    "pause",
    "callback-socket",
    "tagged",
    "sequence",
    "code-match",
    "flamingo",
];

fn point(rate: f64, percent: f64, delay: Option<f64>) -> Point {
    Point {
        rate,
        wrong_or_lost_percent: percent,
        low: (percent - 4.0).max(0.0),
        high: (percent + 4.0).min(100.0),
        event_delay_p50_ms: delay.map(|delay| delay / 8.0),
        event_delay_max_ms: delay,
    }
}

/// Ten strategies that get worse at different paces.
fn example() -> Vec<Series> {
    let series = NAMES.into_iter().enumerate().map(|(index, name)| {
        let worse = number(9 - index);
        let points = [0.0, 10.0, 40.0, 400.0].into_iter().enumerate().map(|(at, rate)| {
            let percent = (number(at) * worse * worse / 2.5).min(100.0);
            point(rate, percent, Some(0.4 * 3_f64.powf(worse)))
        });
        Series { name, points: points.collect() }
    });
    series.collect()
}

/// The tags stand in each other, and every attribute is quoted. Gives all texts.
fn texts(svg: &str) -> Vec<String> {
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    let mut rest = svg;
    while let Some((text, tag)) = rest.split_once('<') {
        if !text.trim().is_empty() {
            texts.push(text.trim().to_owned());
        }
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
            open.push(tag.split_whitespace().next().expect("a tag has a name"));
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    texts
}

#[test]
fn the_plot_is_valid_and_names_strategies_rates_and_units() {
    let svg = svg(&example()).expect("a picture");
    let texts = texts(&svg);
    for name in NAMES {
        assert_eq!(texts.iter().filter(|text| *text == name).count(), 1, "{name} in {texts:?}");
    }
    for rate in ["0", "10", "40", "400"] {
        assert!(texts.iter().filter(|text| *text == rate).count() >= 2, "{rate} in {texts:?}");
    }
    assert_eq!(texts.iter().filter(|text| *text == "Unsolicited frames per second").count(), 2);
    assert!(texts.iter().any(|text| text.starts_with("% of the queries")));
    assert!(texts.iter().any(|text| text.starts_with("ms (")));
    assert!(svg.starts_with("<svg") && svg.contains("fill=\"#FFFFFF\""), "white in dark mode too");
}

#[test]
fn the_same_figures_give_the_same_bytes_and_others_do_not() {
    let mut series = example();
    let first = svg(&series);
    assert_eq!(svg(&series), first);
    series[3].points[2].high += 1.0;
    assert_ne!(svg(&series), first);
}

#[test]
fn every_point_and_every_legend_entry_has_a_marker() {
    let svg = svg(&example()).expect("a picture");
    assert_eq!(svg.matches("<polygon").count(), 10 * (4 + 4 + 1));
}

#[test]
fn the_png_shows_the_figures_and_the_letters() {
    let decoded = |series: &[Series]| {
        let file = png(series).expect("a picture");
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("an image");
        assert_eq!(((info.width, info.height), info.color_type), (SIZE, png::ColorType::Rgb));
        pixels
    };
    let mut series = example();
    let first = decoded(&series);
    assert_eq!(decoded(&series), first);
    assert_eq!(first[..3], [255; 3], "white");
    series[0].name = "renamed";
    let differ = |from: usize, to: usize, other: &[u8]| {
        let row = 3 * SIZE.0 as usize;
        let cut = |pixels: &[u8]| -> Vec<u8> {
            pixels.chunks(row).flat_map(|row| row[3 * from..3 * to].to_vec()).collect()
        };
        cut(&first) != cut(other)
    };
    let renamed = decoded(&series);
    let (panels, width) = ((SIZE.0 - LEGEND_WIDTH) as usize, SIZE.0 as usize);
    assert!(differ(panels, width, &renamed) && !differ(0, panels, &renamed), "the legend alone");
    let mut series = example();
    series[3].points[2].wrong_or_lost_percent = 90.0;
    let other = decoded(&series);
    assert!(differ(0, panels, &other) && !differ(panels, width, &other), "the panels alone");
}

#[test]
fn the_letters_of_the_png_fit_into_its_legend() {
    let left = SIZE.0 - LEGEND_WIDTH + 10 + 46;
    let widest = crate::strategies::Kind::ALL.map(|kind| kind.name().len()).into_iter().max();
    assert!(left as usize + 8 * widest.expect("strategies") < SIZE.0 as usize);
}

#[test]
fn rates_are_in_order_at_equal_distances() {
    let points = [40.0, 0.0, 400.0, 10.0].map(|rate| point(rate, 1.0, None)).to_vec();
    let rates = Rates::of(&[Series { name: "one", points: points.clone() }]);
    let places = points.iter().map(|point| rates.place(point.rate, 0, 1));
    assert_eq!(places.collect::<Vec<_>>(), [Some(2.0), Some(0.0), Some(3.0), Some(1.0)]);
    assert_eq!(rates.place(20.0, 0, 1), None);
    let ten = |index| rates.place(10.0, index, 10).expect("a rate");
    assert!(0.5 < ten(0) && ten(9) < 1.5 && (0..9).all(|index| ten(index) < ten(index + 1)));
}

#[test]
fn figures_that_are_no_numbers_are_left_out() {
    let mut series = example();
    let whole = svg(&series).expect("a picture").matches("<polygon").count();
    series[0].points[0].wrong_or_lost_percent = f64::NAN;
    series[1].points[1].rate = f64::NAN; // in both panels
    series[2].points[2].event_delay_max_ms = Some(f64::INFINITY);
    series[3].points[3].event_delay_max_ms = None;
    series[4].points[0].low = f64::NEG_INFINITY; // its bar alone
    let svg = svg(&series).expect("a picture");
    assert_eq!(svg.matches("<polygon").count(), whole - 5);
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    texts(&svg);
}

#[test]
fn nothing_and_extremes_are_drawn_without_a_panic() {
    let empty = Series { name: "empty", points: Vec::new() };
    let odd = [0.0, -1.0, f64::MIN_POSITIVE, 1e300, f64::MAX, f64::NAN, f64::INFINITY];
    let odd = odd.into_iter().flat_map(|rate| {
        odd.map(|figure| Point { low: -figure, high: figure, ..point(rate, figure, Some(figure)) })
    });
    let odd = Series { name: "odd", points: odd.collect() };
    let many = vec![odd.clone(); 30];
    for series in [vec![], vec![empty.clone()], vec![empty, odd], many] {
        texts(&svg(&series).expect("a picture"));
        png(&series).expect("a picture");
    }
}

#[test]
fn the_axis_of_delays_holds_them_in_whole_powers_of_ten() {
    let ticks = |delays: &[f64]| -> Vec<String> {
        let points = delays
            .iter()
            .map(|delay| Point { event_delay_p50_ms: None, ..point(77.0, f64::NAN, Some(*delay)) });
        let series = Series { name: "one", points: points.collect() };
        let texts = texts(&svg(&[series]).expect("a picture"));
        let lower = texts.iter().skip_while(|text| *text != "Delay of an event");
        lower.filter(|text| text.parse::<f64>().is_ok() && *text != "77").cloned().collect()
    };
    let sorted = |delays| {
        let mut ticks = ticks(delays);
        ticks.sort_by(|left, right| left.len().cmp(&right.len()).then(left.cmp(right)));
        ticks
    };
    assert_eq!(sorted(&[4.0, 250.0]), ["1", "10", "100", "1000"]);
    assert_eq!(sorted(&[0.4]), ["1", "0.1"]);
    assert_eq!(sorted(&[100.0]), ["100", "1000"]);
    assert_eq!(sorted(&[]), ["1", "10"]);
    assert_eq!(sorted(&[0.0, 0.02]), ["0.1", "0.01", "0.001"]);
}
