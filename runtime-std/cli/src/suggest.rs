//! "Did you mean": the known name that is nearest to what was typed.

/// Names that are less similar than this are not meant. 1 is equal.
const SIMILAR: f64 = 0.8;

/// The known name that was probably meant; upper and lower case are the same. `None` if none is near.
pub(crate) fn closest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let similarity = |name: &str| {
        let name = name.to_lowercase();
        // A typing error changes few letters; a part of a long name is a whole word of it.
        let is_part =
            typed.len() >= 4 && name.split(['_', ' ', '-', '/']).any(|word| word == typed);
        strsim::jaro_winkler(&typed, &name).max(if is_part { SIMILAR } else { 0.0 })
    };
    known
        .into_iter()
        .map(|name| (similarity(name), name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// `; did you mean NAME?`, or nothing.
pub(crate) fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(typed, known).map_or(String::new(), |name| format!("; did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: [&str; 4] =
        ["STAGE_POSITION_GET", "STAGE_POSITION_SET", "STAGE_HALT", "CAMERA_EXPOSURE_GET"];

    #[test]
    fn a_typing_error_finds_the_name() {
        for (typed, meant) in [
            ("STAGE_POSITON_GET", "STAGE_POSITION_GET"),
            ("stage_halt", "STAGE_HALT"),
            ("STAGE_HLAT", "STAGE_HALT"),
            ("halt", "STAGE_HALT"),
            ("exposure", "CAMERA_EXPOSURE_GET"),
        ] {
            assert_eq!(closest(typed, CODES), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_strange_word_finds_nothing() {
        for typed in ["", "q", "banana", "0x6008"] {
            assert_eq!(closest(typed, CODES), None, "{typed}");
        }
        assert_eq!(did_you_mean("banana", CODES), "");
    }
}
