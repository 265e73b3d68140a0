//! Reading values and limits, also of settings with lines that cannot be read.

use super::*;

const SETTINGS: &str = "<Camera>\r\n  UI sliders max x-axis = 1\r\n</Camera>\r\n\
    <Stage limits>\r\n  Hard limit max x-axis = 14.5\r\n  Soft limit max x-axis = 12.31\r\n  \
    Hard limit min x-axis = 1.000\r\n  Soft limit min x-axis = 2.5\r\n  \
    Soft limit min r-axis = -720.000\r\n  Home r-axis = -90\r\n  \
    Soft limit min y-axis = 5\r\n  Soft limit max y-axis = 25\r\n</Stage limits>\r\n\
    <Filter wheel encoder counts>\r\n  Filter wheel position 1 = 512 7\r\n  \
    Filter wheel description 2 = 525/50\r\n  Filter wheel description 1 = open\r\n\
    </Filter wheel encoder counts>\r\n<Filter wheel position assignments>\r\n  Laser 2 = 3\r\n\
    </Filter wheel position assignments>\r\n<Type>\r\n  Microscope name = n1\r\n</Type>\r\n";

fn settings(text: &str) -> Result<ScopeSettings, ScopeSettingsError> {
    ScopeSettings::parse(text.as_bytes())
}

#[test]
fn the_narrower_of_hard_and_soft_limits_counts() {
    let settings = settings(SETTINGS).unwrap();
    let limits = settings.limits(Axis::X);
    assert!(limits.is_complete());
    assert_eq!(limits.check(Axis::X, Position::Mm(12.31)), Ok(()));
    assert_eq!(limits.check(Axis::X, Position::Mm(2.5)), Ok(()));
    let above = limits.check(Axis::X, Position::Mm(12.32)).unwrap_err();
    assert_eq!((above.limit.name.as_str(), above.limit.line), ("Soft limit max x-axis", 6));
    let below = limits.check(Axis::X, Position::Mm(2.0)).unwrap_err();
    assert_eq!(
        below.to_string(),
        "target of axis x: expected at least 2.5 mm (Soft limit min x-axis, line 8 of the \
         scope settings), found 2 mm"
    );
    assert!(limits.check(Axis::X, Position::Mm(f64::NAN)).is_err());
}

#[test]
fn a_limit_that_is_not_in_the_settings_refuses_nothing() {
    let settings = settings(SETTINGS).unwrap();
    let limits = settings.limits(Axis::R);
    assert!(!limits.is_complete());
    assert_eq!(limits.check(Axis::R, Position::Degrees(100_000.0)), Ok(()));
    assert!(limits.check(Axis::R, Position::Degrees(-721.0)).is_err());
    assert_eq!(*settings.limits(Axis::Z), StageLimits::default());
    assert_eq!(settings.home(Axis::R), Some(Position::Degrees(-90.0)));
    assert_eq!(settings.home(Axis::X), None);
}

#[test]
fn filters_and_names_are_read() {
    let settings = settings(SETTINGS).unwrap();
    let filters: Vec<_> = settings.filters().iter().map(|f| f.description.as_str()).collect();
    assert_eq!(filters, ["open", "525/50"]);
    assert_eq!(settings.filter_for_laser(2), Ok(Some(3)));
    assert_eq!(settings.filter_for_laser(1), Ok(None));
    assert_eq!(settings.microscope_name().as_deref(), Some("n1"));
}

/// The findings about the settings with `old` replaced by `new`.
fn findings(old: &str, new: &str) -> (ScopeSettings, Vec<String>) {
    assert!(SETTINGS.contains(old), "{old}");
    let settings = settings(&SETTINGS.replacen(old, new, 1)).unwrap();
    let findings = settings.findings().into_iter();
    let findings = findings.map(|finding| format!("{} {finding}", finding.severity)).collect();
    (settings, findings)
}

#[test]
fn settings_that_are_right_have_no_findings() {
    assert_eq!(settings(SETTINGS).unwrap().findings(), []);
    assert!(ScopeSettings::parse_whole(SETTINGS.as_bytes()).is_ok());
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_costs_only_itself() {
    for (old, new, expected) in [
        ("max x-axis = 12.31", "max x-axis = abc", "error line 6: Soft limit max x-axis: expected"),
        ("max x-axis = 12.31", "max x-axis = NaN", "error line 6: Soft limit max x-axis: expected"),
        ("max x-axis = 12.31", "max x-axis = ", "error line 6: Soft limit max x-axis: expected"),
        ("max x-axis = 12.31", "max x-axis = 12.31 mm", "error line 6: Soft limit max x-axis"),
        ("max x-axis = 12.31", "max x-axis = 12,31", "found \"12,31\""),
        ("max x-axis = 12.31", "max x-axis 12.31", "error line 6: expected `name = value`"),
        ("max x-axis = 14.5", "max x-axis = 2.5", "error lines 8 and 5"),
    ] {
        let (settings, found) = findings(old, new);
        let matching = |finding: &String| finding.contains(expected.trim_start_matches("error "));
        assert!(found.iter().any(matching), "{new}: {found:?}");
        let why = settings.limits(Axis::X).known().unwrap_err().to_string();
        assert!(why.contains("line"), "{new}: {why}");
        assert!(settings.limits(Axis::Y).known().is_ok(), "{new}");
        assert!(ScopeSettings::parse_whole(settings.text().to_bytes().as_slice()).is_err());
    }
}

#[test]
fn a_value_that_is_no_limit_takes_no_limit_away() {
    for (old, new, severity, line) in [
        ("Home r-axis = -90", "Home r-axis =", "warning", "line 10"),
        ("Home r-axis = -90", "Home r-axis = left", "error", "line 10"),
        ("description 2 = 525/50", "description x = 525/50", "warning", "line 16"),
        ("</Type>\r\n", "", "error", "line 22"),
        ("</Camera>\r\n", "", "error", "line 1"),
        ("</Camera>", "</Camra>", "error", "line 3"),
        ("<Type>", "<Type", "error", "line 22"),
    ] {
        let (settings, found) = findings(old, new);
        let expected = format!("{severity} {line}");
        assert!(found.iter().any(|finding| finding.starts_with(&expected)), "{new}: {found:?}");
        for axis in [Axis::X, Axis::Y] {
            assert_eq!(settings.limits(axis).known(), Ok(()), "{new}");
        }
        let whole = ScopeSettings::parse_whole(&settings.text().to_bytes());
        assert_eq!(whole.is_ok(), severity == "warning", "{new}: {whole:?}");
    }
}

#[test]
fn limits_behind_a_broken_tag_are_unknown_with_the_line() {
    let (settings, _) = findings("<Stage limits>", "<Stage limits");
    let why = settings.limits(Axis::X).known().unwrap_err().to_string();
    assert!(why.starts_with("line 4: expected"), "{why}");
    let missing = settings_of("").limits(Axis::X).known().unwrap_err().to_string();
    assert_eq!(missing, "the scope settings have no upper or lower limit");
}

#[test]
fn a_limit_that_a_wrong_tag_has_moved_is_not_ignored() {
    let soft = "  Soft limit max x-axis = 12.31\r\n";
    for tag in ["</Stage limits>", "<Stage>", "<//Stage limits>"] {
        let (settings, _) = findings(soft, &format!("{tag}\r\n{soft}"));
        let why = settings.limits(Axis::X).known().unwrap_err().to_string();
        assert!(
            why.contains("line 7: expected `Soft limit max x-axis` directly in <Stage limits>"),
            "{tag}: {why}"
        );
    }
}

#[test]
fn the_narrower_of_two_lines_for_one_limit_counts() {
    let (settings, found) = findings(
        "  Soft limit max x-axis = 12.31\r\n",
        "  Soft limit max x-axis = 12.31\r\n  Soft limit max x-axis = 11\r\n",
    );
    assert!(
        found.iter().any(|f| f.starts_with("warning line 7") && f.contains("line 6")),
        "{found:?}"
    );
    assert!(settings.limits(Axis::X).check(Axis::X, Position::Mm(11.5)).is_err());
}

#[test]
fn limits_are_read_in_every_form_that_files_have() {
    for text in [
        format!("\u{FEFF}{SETTINGS}"),
        SETTINGS.replace("\r\n", "\r"),
        SETTINGS.replace("\r\n", "\r\r\n"),
        SETTINGS.replace("  ", "\u{A0}\u{A0}"),
        SETTINGS.replace("Soft limit max", "Soft\u{A0}limit max"),
        SETTINGS.replace("</Camera>", "</Camera>\r\n</Camera>\r\n<//Camera>"),
        SETTINGS.replace("<Stage limits>", "# by hand\r\n// twice\r\n<Stage limits>"),
    ] {
        let settings = settings_of(&text);
        let limits = settings.limits(Axis::X);
        assert!(limits.check(Axis::X, Position::Mm(12.32)).is_err(), "{text:?}");
        assert!(limits.check(Axis::X, Position::Mm(12.31)).is_ok(), "{text:?}");
        assert_eq!(settings.text().to_bytes(), text.as_bytes());
    }
}

#[test]
fn a_text_of_wide_characters_is_named_as_such() {
    let wide: Vec<u8> = SETTINGS.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = SETTINGS.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = [&[0xFF, 0xFE], &wide[..]].concat();
    for text in [wide, big, marked] {
        let error = ScopeSettings::parse(&text).unwrap_err().to_string();
        assert!(error.contains("UTF-16") && error.contains("line 1"), "{error}");
    }
}

#[test]
fn a_text_that_is_cut_off_names_its_open_section() {
    let (settings, found) = (settings_of(&SETTINGS[..100]), "line 4: expected </Stage limits>");
    let whole = ScopeSettings::parse_whole(&SETTINGS.as_bytes()[..100]).unwrap_err().to_string();
    assert!(whole.starts_with(found), "{whole}");
    assert!(settings.limits(Axis::X).known().is_err());
}

fn settings_of(text: &str) -> ScopeSettings {
    settings(text).unwrap()
}

/// Limits of which the soft one of X is replaced.
const ALL_LIMITS: &str = "<Type>\n  Microscope name = n1\n</Type>\n<Stage limits>\n  \
    Hard limit max x-axis = 12.31\n  Hard limit min x-axis = 1\n  Hard limit max y-axis = 25\n  \
    Hard limit min y-axis = 5\n  Hard limit max z-axis = 26\n  Hard limit min z-axis = 8\n  \
    Hard limit max r-axis = 720\n  Hard limit min r-axis = -720\n  Home y-axis = 23.898\n  \
    SOFT\n</Stage limits>\n<LED settings>\n  UI slider min (match LED DAC) = 3200000\n\
    </LED settings>\n";

/// The axes without known limits, and the lines that are named, with `line` for the soft limit of X.
fn unknown_axes(text: &[u8], line: usize) -> String {
    let settings = ScopeSettings::parse(text).unwrap();
    let named = format!("line {line}: ");
    let unknown =
        Axis::ALL.into_iter().filter(|axis| {
            let Err(why) = settings.limits(*axis).known() else { return false };
            assert!(why.to_string().contains(&named), "{why}");
            assert!(settings.findings().iter().any(|finding| {
                finding.line == Some(line) && finding.severity == Severity::Error
            }));
            true
        });
    let unknown = unknown.map(|axis| axis.to_string()).collect();
    assert!(ScopeSettings::parse_whole(text).is_err());
    unknown
}

#[test]
fn a_limit_under_another_name_makes_its_axis_unknown() {
    for (soft, unknown) in [
        ("Soft limt max x-axis = 9.000", "x"),
        ("Soft limit maximum x-axis = 9.000", "x"),
        ("Soft max limit x-axis = 9.000", "x"),
        ("Soft limit x-axis = 9.000", "x"),
        ("Soft_limit_max_x-axis = 9.000", "x"),
        ("Soft limit max x axis = 9.000", "x"),
        ("Soft limit max x -axis = 9.000", "x"),
        ("Soft limit max xaxis = 9.000", "xyzr"),
        ("Softlimit max x-axis = 9.000", "x"),
        ("SOFT LIMT MAX X-AXIS = 9.000", "x"),
        ("Max X = 9.000", "x"),
        ("Maximum = 9.000", "xyzr"),
        ("x = max 9.000", "x"),
        ("; Soft limit max x-axis = 9.000", "x"),
        ("-- Soft limit max x-axis = 9.000", "x"),
        ("<!-- narrow --> Soft limit max x-axis = 9.000", "x"),
        ("<Soft limit max x-axis = 9.000>", "x"),
        ("</Soft limit max x-axis = 9.000>", "x"),
        ("Soft limit max x\u{2011}axis = 9.000", "x"),
        ("Soft limit max \u{445}-axis = 9.000", "xyzr"),
        ("S\u{43e}ft l\u{456}m\u{456}t m\u{430}x \u{445}-\u{430}x\u{456}s = 9.000", "xyzr"),
        ("Soft\u{200B} limit max x-axis = 9.000", "x"),
        ("Soft limt max x-axis 9.000", "x"),
        ("Soft limit max 9.000", "xyzr"),
        ("Soft limit max y-axis = 25.000 Soft limit max x-axis = 9.000", "xy"),
        ("Soft limit max y-axis = 25.000\u{2028}Soft limit max x-axis = 9.000", "xy"),
        ("Home y-axis = 23.898 Soft limit max x-axis = 9", "x"),
        ("Home y-axis = 23.898 Soft max x = 9", "x"),
        ("Default velocity z-axis = Soft limit max x-axis = 9.000", "x"),
        ("Default velocity z-axis = limited", "xyzr"),
        ("Home y-axis = 23.898 = 9", "xyzr"),
    ] {
        let text = ALL_LIMITS.replace("SOFT", soft);
        assert_eq!(unknown_axes(text.as_bytes(), 14), unknown, "{soft}");
    }
    let (before, after) = ALL_LIMITS.split_once("SOFT").unwrap();
    for (soft, unknown) in [
        (&b"Soft l\x81mit max x-axis = 9.000"[..], "x"),
        (b"Soft limit max \x81-axis = 9.000", "xyzr"),
    ] {
        let text = [before.as_bytes(), soft, after.as_bytes()].concat();
        assert_eq!(unknown_axes(&text, 14), unknown, "{soft:?}");
    }
}

#[test]
fn a_limit_in_another_section_makes_its_axis_unknown() {
    for soft in ["Soft limit max x-axis", "soft  limit max x-axis", "Soft limt max x axis"] {
        let entry = format!("{soft} = 9.000");
        let text = ALL_LIMITS.replace("  SOFT\n", "");
        let in_type = text.replace("<Type>\n", &format!("<Type>\n{entry}\n"));
        assert_eq!(unknown_axes(in_type.as_bytes(), 2), "x", "{soft}");
        let joined = text.replace("= n1", &format!("= n1 {entry}"));
        assert_eq!(unknown_axes(joined.as_bytes(), 2), "x", "{soft}");
        for section in ["Stage limit", "Limits", "Stages"] {
            let sibling = format!("<{section}>\n{entry}\n</{section}>\n{text}");
            assert_eq!(unknown_axes(sibling.as_bytes(), 2), "x", "{section}");
        }
        assert_eq!(unknown_axes(format!("{entry}\n{text}").as_bytes(), 1), "x", "{soft}");
    }
}

#[test]
fn a_line_that_is_no_limit_leaves_all_limits_known() {
    for (line, severity) in [
        ("Unload y-axis = 5", None),
        ("Unload velocity y-axis = 0.5", None),
        ("home  X-AXIS = 5", None),
        ("Step factor = 5", None),
        ("# Soft limit max x-axis = 9.000", Some(Severity::Warning)),
        ("// Soft limit max x-axis = 9.000", Some(Severity::Warning)),
        ("<!-- Soft limit max x-axis = 9.000 -->", Some(Severity::Warning)),
        ("Home x-axis 5", Some(Severity::Error)),
    ] {
        let settings = settings_of(&ALL_LIMITS.replace("SOFT", line));
        assert!(Axis::ALL.iter().all(|axis| settings.limits(*axis).is_complete()), "{line}");
        let found = settings.findings();
        let found: Vec<_> = found.iter().map(|finding| (finding.line, finding.severity)).collect();
        let expected: Vec<_> = severity.map(|severity| (Some(14), severity)).into_iter().collect();
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn many_lines_that_may_be_limits_are_counted_to_a_bound() {
    let many = "Soft limt max y-axis = 9\n".repeat(5000) + "Soft limt max x-axis = 9";
    let settings = settings_of(&ALL_LIMITS.replace("SOFT", &many));
    let unread = |axis| settings.limits(axis).unread.len();
    assert_eq!((unread(Axis::X), unread(Axis::Y), unread(Axis::Z)), (1, 1000, 0));
}
