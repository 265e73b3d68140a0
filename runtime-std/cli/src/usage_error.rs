//! Errors in the arguments as one line: what was expected, what came, and what to type. clap finds them; the words
//! of the standard library for numbers are replaced here, for every option of every command.

use crate::units;

/// What the standard library and clap say about a value, and what is said instead.
const PLAIN: [(&str, &str); 9] = [
    ("the following required arguments were not provided:", "more was expected:"),
    ("invalid digit found in string", "expected a whole number"),
    ("cannot parse integer from empty string", "expected a whole number"),
    ("number too large to fit in target type", "the number is too large"),
    ("number too small to fit in target type", "the number is too small"),
    ("invalid float literal", "expected a number such as 7.5"),
    ("cannot parse float from empty string", "expected a number such as 7.5"),
    ("invalid IP address syntax", "expected an IP address such as 127.0.0.1"),
    ("invalid socket address syntax", "expected ADDRESS:PORT such as 127.0.0.1:53717"),
];

/// The line for an error of clap.
pub(crate) fn line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut in_usage = false;
    let is_useful = |line: &&str| {
        // The usage may have several lines; an empty one ends it.
        in_usage = line.starts_with("Usage:") || in_usage && !line.is_empty();
        !line.is_empty() && !in_usage && !line.starts_with("For more information")
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(is_useful).collect();
    let line = with_meant(&with_values(&lines.join(" ")));
    let line = PLAIN.iter().fold(line, |line, (from, to)| line.replace(from, to));
    format!("{}{}; try --help", with_range(&line), unit_advice(&line))
}

/// What to type if the argument too many is a unit.
fn unit_advice(line: &str) -> String {
    let argument =
        || line.split_once("unexpected argument '")?.1.split_once('\'').map(|(it, _)| it);
    match argument().filter(|argument| units::is_any_unit(argument)) {
        Some(unit) => format!("; write the unit without a space before it, such as 12{unit}"),
        None => String::new(),
    }
}

/// `[possible values: on, off]` becomes `: expected on or off`.
fn with_values(line: &str) -> String {
    let parts = line.split_once(" [possible values: ").and_then(|(before, after)| {
        let (values, after) = after.split_once(']')?;
        let values = match values.rsplit_once(", ") {
            Some((first, last)) => format!("{first} or {last}"),
            None => values.to_owned(),
        };
        Some(format!("{before}: expected {values}{after}"))
    });
    parts.unwrap_or_else(|| line.to_owned())
}

/// `tip: a similar value exists: 'off'` becomes `did you mean off?`.
fn with_meant(line: &str) -> String {
    let Some((before, tip)) = line.split_once(" tip: ") else { return line.to_owned() };
    let names: Vec<&str> = tip.split('\'').skip(1).step_by(2).collect();
    if tip.contains("similar") && !names.is_empty() {
        return format!("{before}; did you mean {}?", names.join(" or "));
    }
    format!("{before}; tip: {tip}")
}

/// `5 is not in 1..=4` becomes `expected 1 to 4, found 5`.
fn with_range(line: &str) -> String {
    let range = || {
        let (before, after) = line.split_once(" is not in ")?;
        let (before, found) = before.rsplit_once(' ').unwrap_or(("", before));
        let (range, rest) = after
            .split_once(' ')
            .map_or((after, String::new()), |(range, rest)| (range, format!(" {rest}")));
        let (low, high) = range.split_once("..")?;
        let expected = match high.strip_prefix('=') {
            Some(high) => format!("{low} to {high}"),
            None => format!("{low} or more"),
        };
        Some(format!("{before} expected {expected}, found {found}{rest}"))
    };
    range().unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn said(arguments: &str) -> String {
        let arguments = ["flamingo"].into_iter().chain(arguments.split(' '));
        line(&Cli::try_parse_from(arguments).unwrap_err())
    }

    #[test]
    fn a_unit_after_a_space_gets_advice() {
        for (arguments, advice) in [
            ("set exposure 12 ms", "such as 12ms"),
            ("set laser 1 5 %", "such as 12%"),
            ("velocity x 5 mm/s", "such as 12mm/s"),
        ] {
            assert!(said(arguments).contains(advice), "{}", said(arguments));
        }
        assert!(!said("set exposure 12ms now").contains("unit"));
    }

    #[test]
    fn the_lines_of_the_usage_are_left_out() {
        let expected = "more was expected: <TARGET>; try --help";
        assert!(said("move x").ends_with(expected), "{}", said("move x"));
    }

    #[test]
    fn a_bad_number_is_named_with_what_was_expected() {
        for (arguments, words) in [
            ("sim --port x", "expected a whole number"),
            ("sim --port 70000", "expected 0 to 65535, found 70000"),
            ("sim --seed 1x", "expected a whole number"),
            ("sim --bind localhost", "expected an IP address such as 127.0.0.1"),
            ("get laser 5", "expected 1 to 4, found 5"),
            ("watch --count 0", "expected 1 or more, found 0"),
            ("watch --count many", "expected a whole number"),
            ("live --count 1.5", "expected a whole number"),
            ("bridge --upstream a:1 --listen x", "expected ADDRESS:PORT such as 127.0.0.1:53717"),
        ] {
            let line = said(arguments);
            assert!(line.contains(words), "{arguments}: {line}");
            assert!(!line.contains("digit found") && !line.contains(" is not in "), "{line}");
        }
    }
}
