//! Whether there are colours: on a terminal, unless the user or the terminal says no.

use clap::{ColorChoice, ValueEnum};

/// The value of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    Always,
    Never,
}

/// The value of `--color` in a command line that was not read yet. A wrong value counts as `auto`, and is refused
/// when the line is read.
fn in_words(words: &[String]) -> When {
    let mut found = When::Auto;
    for (at, word) in words.iter().enumerate() {
        let value = match word.strip_prefix("--color") {
            Some("") => words.get(at + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if let Some(when) = value.and_then(|value| When::from_str(value, true).ok()) {
            found = when;
        }
    }
    found
}

/// Chooses for this run, for stdout and stderr. Returns the choice for the help.
pub(crate) fn choose(words: &[String]) -> ColorChoice {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let when = match in_words(words) {
        When::Auto if is_dumb => When::Never,
        when => when,
    };
    let choice = match when {
        When::Auto => return ColorChoice::Auto,
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    };
    console::set_colors_enabled(when == When::Always);
    console::set_colors_enabled_stderr(when == When::Always);
    choice
}

/// The first word of a line on stderr, with its colour: `error:` is red, `warning:` yellow.
pub(crate) fn line(line: &str) -> String {
    let style = console::Style::new().for_stderr().bold();
    let styles = [("error: ", style.clone().red()), ("warning: ", style.yellow())];
    for (word, style) in styles {
        if let Some(rest) = line.strip_prefix(word) {
            return format!("{}{rest}", style.apply_to(word));
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_colour_of_the_line_counts() {
        let of = |line: &str| in_words(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("get state"), When::Auto);
        assert_eq!(of("get state --color never"), When::Never);
        assert_eq!(of("--color=always get state"), When::Always);
        assert_eq!(of("--color never get --color=always"), When::Always);
        assert_eq!(of("--color sometimes"), When::Auto);
    }
}
