//! Reading, checking and changing a workflow file like those of the instruments.

use super::*;
use crate::files::scope_settings::ScopeSettings;

/// Has CRLF, a comma in a number, a sign that is not ASCII, and names of lasers.
const FILE: &str = "<Workflow Settings>\r\n  <Experiment Settings>\r\n    \
    Plane spacing (um) = 4\r\n    Frame rate (f/s) = 50.000000\r\n    \
    Exposure time (us) = 12,500\r\n    Duration (dd:hh:mm:ss) = 00:12:00:00\r\n    \
    Interval (dd:hh:mm:ss) = 00:00:30:00\r\n    Save image drive = /media/data/one\r\n    \
    Save image directory = A b\r\n    Comments = \r\n    Save image data = Tiff\r\n  \
    </Experiment Settings>\r\n  <Camera Settings>\r\n    Exposure time (us) = \r\n  \
    </Camera Settings>\r\n  <Stack Settings>\r\n    Change in Z axis (mm) = 0.4\r\n    \
    Number of planes = 100\r\n    Z stage velocity (mm/s) = 0.2\r\n    \
    Rotational stage velocity (°/s) = 0\r\n    Stack option = Tile\r\n    \
    Stack option settings 1 = 2\r\n    Stack option settings 2 = 3\r\n  </Stack Settings>\r\n  \
    <Start Position>\r\n    X (mm) = 3.5\r\n    Y (mm) = 11\r\n    Z (mm) = 18\r\n    \
    Angle (degrees) = -45.5\r\n  </Start Position>\r\n  <End Position>\r\n    X (mm) = 4.5\r\n    \
    Y (mm) = 12\r\n    Z (mm) = 18.4\r\n    Angle (degrees) = -45.5\r\n  </End Position>\r\n  \
    <Illumination Source>\r\n    Laser 1 1: 405 nm MLE = 0.00 0\r\n    \
    Laser 2 488 nm = 12.50 1\r\n    Laser 5 = 0.00 0\r\n    LED_RGB_Board = 20.00 0\r\n  \
    </Illumination Source>\r\n  <Illumination Path>\r\n    Left path = ON 1\r\n    \
    Right path = OFF 0\r\n  </Illumination Path>\r\n</Workflow Settings>\r\n";

fn workflow() -> Workflow {
    Workflow::parse(FILE.as_bytes()).unwrap()
}

/// The findings about the file with `old` replaced by `new`.
fn findings(old: &str, new: &str) -> Vec<String> {
    let text = FILE.replacen(old, new, 1);
    assert_ne!(text, FILE, "{old}");
    let workflow = Workflow::parse(text.as_bytes()).unwrap();
    let findings = workflow.check(None).into_iter();
    findings.map(|finding| format!("{} {finding}", finding.severity)).collect()
}

#[test]
fn a_file_is_uploaded_as_it_was_read() {
    assert_eq!(workflow().bytes(), FILE.as_bytes());
}

#[test]
fn the_values_of_a_file_are_read() {
    let workflow = workflow();
    assert_eq!(workflow.exposure(), Ok(Some(Micros(12_500))));
    assert_eq!(workflow.planes(), Ok(Some(100)));
    let overlaps = StackOption::Tile { overlap_x: Percent(2.0), overlap_y: Percent(3.0) };
    assert_eq!(workflow.stack_option(), Ok(overlaps));
    // (1 + 0.6) / (0.6 × 0.98) is 2.7, (1 + 0.6) / (0.6 × 0.97) is 2.7.
    let view = Some(FieldOfView { width: Mm(0.6), height: Mm(0.6) });
    assert_eq!((workflow.stacks(view), workflow.images(view)), (Ok(Some(9)), Ok(Some(900))));
    assert_eq!(workflow.repetitions(), Ok(25));
    assert_eq!(workflow.acquisition_time(view), Ok(Some(Duration::from_secs(18))));
    let start = workflow.start().unwrap().unwrap();
    assert_eq!((start.x, start.r), (Mm(3.5), Degrees(-45.5)));
    let lasers = workflow.lasers().unwrap();
    let seen: Vec<_> = lasers.iter().map(|l| (l.number, l.wavelength_nm, l.on)).collect();
    assert_eq!(seen, [(1, Some(405), false), (2, Some(488), true), (5, None, false)]);
    assert_eq!(workflow.led(), Ok(Some((Percent(20.0), false))));
    assert_eq!(workflow.paths(), Ok([Some(true), Some(false)]));
    assert_eq!(workflow.comments(), None);
    assert_eq!(workflow.save_directory().as_deref(), Some("A b"));
    assert_eq!(workflow.check(None), []);
}

#[test]
fn setting_values_changes_nothing_else() {
    let mut changed = workflow();
    changed.set_exposure(Micros(9_000)).unwrap();
    changed.set_laser(2, Percent(3.456), false).unwrap();
    changed.set_comments("two = 2").unwrap();
    changed.set_planes(50).unwrap();
    let expected = FILE
        .replace("12,500", "9000")
        .replace("12.50 1", "3.46 0")
        .replace("Comments = ", "Comments = two = 2")
        .replace("planes = 100", "planes = 50")
        .replace("(mm) = 0.4\r", "(mm) = 0.2\r")
        .replace("18.4", "18.2");
    assert_eq!(String::from_utf8_lossy(changed.bytes()), expected);
    assert_eq!(changed.comments().as_deref(), Some("two = 2"));
    let pose = Pose { x: Mm(1.25), y: Mm(2.0), z: Mm(3.0), r: Degrees(4.0) };
    changed.set_start(&pose).unwrap();
    assert_eq!(changed.start(), Ok(Some(pose)));
    let missing = changed.set_laser(3, Percent(1.0), true);
    assert!(matches!(missing, Err(WorkflowError::Missing { .. })), "{missing:?}");
}

#[test]
fn a_pose_is_set_as_a_whole_or_not_at_all() {
    let text = FILE.replacen("    Angle (degrees) = -45.5\r\n", "", 1);
    let mut workflow = Workflow::parse(text.as_bytes()).unwrap();
    let pose = Pose { x: Mm(1.25), y: Mm(2.0), z: Mm(3.0), r: Degrees(4.0) };
    assert!(workflow.set_start(&pose).is_err());
    assert_eq!(workflow.bytes(), text.as_bytes());
}

#[test]
fn an_error_names_the_line_that_must_not_run() {
    for (old, new, expected) in [
        ("12,500", "abc", "error line 5: Exposure time (us): expected a whole number"),
        ("12,500", "0", "error line 5: Exposure time (us): expected above 0"),
        ("planes = 100", "planes = 0", "error line 18: Number of planes: expected 1 or more"),
        ("planes = 100", "planes = 1.5", "error line 18: Number of planes: expected a whole"),
        (
            "X (mm) = 3.5",
            "X (mm) =",
            "error line 26: X (mm): <Start Position>: expected a position",
        ),
        ("X (mm) = 3.5", "X (mm) = 1,5", "error line 26: X (mm): expected a finite number"),
        ("12.50 1", "112.50 1", "error line 39: Laser 2: expected 0 to 100 %"),
        ("12.50 1", "12.50 yes", "error line 39: Laser 2 488 nm: expected percent and 0 or 1"),
        ("00:00:30:00", "30 min", "error line 7: Interval (dd:hh:mm:ss): expected a time"),
        ("settings 1 = 2", "settings 1 = two", "error line 22: Stack option settings 1: expected"),
        ("planes = 100", "planes = auto few", "error line 18: Number of planes: expected a whole"),
        ("50.000000", "-1", "error line 4: Frame rate (f/s): expected above 0"),
    ] {
        let found = findings(old, new);
        assert!(found.iter().any(|finding| finding.starts_with(expected)), "{new}: {found:?}");
    }
    let missing = findings("    Number of planes = 100\r\n", "");
    assert!(missing.iter().any(|f| f.starts_with("error Number of planes")), "{missing:?}");
}

#[test]
fn a_comma_in_a_number_is_refused_except_in_the_exposure() {
    for (old, new, line) in [
        ("X (mm) = 3.5", "X (mm) = 1,234", 26),
        ("X (mm) = 3.5", "X (mm) = 1.5,5", 26),
        ("X (mm) = 3.5", "X (mm) = 3,500", 26),
        ("X (mm) = 4.5", "X (mm) = 4,500", 32),
        ("(degrees) = -45.5", "(degrees) = 0,500", 29),
        ("Z axis (mm) = 0.4", "Z axis (mm) = 0,400", 17),
        ("(mm/s) = 0.2", "(mm/s) = 0,200", 19),
        ("spacing (um) = 4", "spacing (um) = 4,000", 3),
        ("planes = 100", "planes = 1,000", 18),
        ("= 50.000000", "= 50,000", 4),
        ("settings 1 = 2", "settings 1 = 10,500", 22),
        ("12.50 1", "12,500 1", 39),
        ("12,500", "12,50", 5),
        ("12,500", "0,012,5", 5),
        ("12,500", "1234,500", 5),
    ] {
        let found = findings(old, new);
        let expected = format!("error line {line}: ");
        assert!(found.iter().any(|finding| finding.starts_with(&expected)), "{new}: {found:?}");
    }
    assert_eq!(findings("12,500", "12500"), Vec::<String>::new());
}

#[test]
fn a_light_that_is_there_twice_must_have_one_value() {
    let laser = "    Laser 2 488 nm = 12.50 1\r\n";
    let path = "    Left path = ON 1\r\n";
    let led = "    LED_RGB_Board = 20.00 0\r\n";
    for (old, new, line) in [
        (laser, "    Laser 2 488 nm = 100 1\r\n", 40),
        (laser, "    Laser 2 488 nm = 12.50 0\r\n", 40),
        (laser, "    Laser 2 488 nm = \r\n", 40),
        (laser, "    Laser 2 = 100 1\r\n", 40),
        (laser, "    laser  02: 488 = 100 1\r\n", 40),
        (laser, "    LASER 2 488 nm = 100 1\r\n", 40),
        (laser, "  </Illumination Source>\r\n<illumination source>\r\nLaser 2 = 100 1\r\n", 42),
        (led, "    LED_RGB_Board = 20.00 1\r\n", 42),
        (led, "    LED DAC = 1 0\r\n    LED DAC = 42000 0\r\n", 43),
        (path, "    Left path = OFF 0\r\n", 45),
        (path, "    left  path = OFF 0\r\n", 45),
    ] {
        let found = findings(old, &format!("{old}{new}"));
        let expected = format!("error line {line}: ");
        let is_named = |f: &String| f.starts_with(&expected) && f.contains("the same value as");
        assert!(found.iter().any(is_named), "{new}: {found:?}");
        let first = findings(old, &format!("{new}{old}"));
        assert!(first.iter().any(|f| f.contains("the same value as")), "{new}: {first:?}");
    }
    for again in [laser, "    Laser 2 = 12.50  1\r\n"] {
        let text = FILE.replace(laser, &format!("{laser}{again}"));
        let workflow = Workflow::parse(text.as_bytes()).unwrap();
        assert_eq!(workflow.lasers().unwrap().len(), 3, "{again}");
        let view = Some(FieldOfView { width: Mm(0.6), height: Mm(0.6) });
        assert_eq!(workflow.stacks(view), Ok(Some(9)), "it is no second laser");
        let found = workflow.check(None);
        assert!(found.iter().all(|f| f.severity == Severity::Warning), "{again}: {found:?}");
    }
}

#[test]
fn values_that_contradict_each_other_are_a_warning() {
    for (old, new, expected) in [
        ("planes = 100", "planes = 80", "warning line 17: Change in Z axis (mm): 80 planes"),
        ("= 0.2\r", "= 0.3\r", "warning line 19: Z stage velocity"),
        ("12,500", "25,000", "warning line 4: Frame rate (f/s): an exposure of 25000 µs"),
        ("00:00:30:00", "00:00:00:00", "warning line 6: Duration"),
        ("12.50 1", "0.00 1", "warning line 39: Laser 2 is on at 0 %"),
        ("12.50 1", "12.50 0", "warning no laser and no LED is on"),
        ("= ON 1", "= OFF 0", "warning line 44: Left path: a laser is on"),
        ("= Tiff", "= Jpeg", "warning line 11: Save image data"),
        ("= /media/data/one", "=", "warning line 8: Save image drive"),
        ("18.4", "19.4", "warning line 34: Z (mm): from start to end"),
        ("settings 1 = 2", "settings 1 = 50.5", "warning line 22: Stack option settings 1: an"),
        ("settings 2 = 3", "settings 2 = -1", "warning line 23: Stack option settings 2: an"),
        ("= 0.2\r", "= 1.5\r", "warning line 19: Z stage velocity (mm/s): expected 0.001"),
        ("planes = 100", "planes = auto", "warning line 18: Number of planes: `auto`"),
        ("directory = A b", "directory = a/b", "warning line 9: Save image directory: the server"),
        ("directory = A b", "directory = a\\b", "warning line 9: Save image directory: the server"),
        (
            "planes = 100",
            "planes = 477",
            "warning line 11: Save image data: a Tiff file above 4 GB",
        ),
        ("X (mm) = 4.5", "X (mm) =", "warning line 21: Stack option: Tile: expected an end"),
        (
            "    Stack option =",
            "    Camera 2 capture mode = 2\r\n    Stack option =",
            "warning line 21: Camera 2 capture mode: the server ignores this short name",
        ),
        ("option = Tile", "option = Spiral", "warning line 21: Stack option: \"Spiral\""),
    ] {
        let found = findings(old, new);
        assert!(found.iter().any(|finding| finding.starts_with(expected)), "{new}: {found:?}");
        assert!(found.iter().all(|finding| finding.starts_with("warning")), "{new}: {found:?}");
    }
}

#[test]
fn a_position_outside_the_limits_names_both_lines() {
    let settings =
        LIMITS.replace("z-axis = 26", "z-axis = 18.2").replace("x-axis = 1\n", "x-axis = 4\n");
    let settings = ScopeSettings::parse(settings.as_bytes()).unwrap();
    let findings: Vec<String> =
        workflow().check(Some(&settings)).iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(
        findings[0].starts_with("line 17: Change in Z axis (mm): from the start"),
        "{findings:?}"
    );
    assert!(findings[1].starts_with("line 26: <Start Position>: target of axis x"), "{findings:?}");
    assert!(findings[1].contains("Soft limit min x-axis, line 2"), "{findings:?}");
    assert!(findings[2].starts_with("line 34: <End Position>: target of axis z"), "{findings:?}");
}

#[test]
fn a_workflow_must_not_move_an_axis_without_known_limits() {
    let known = ScopeSettings::parse(LIMITS.as_bytes()).unwrap();
    assert_eq!(workflow().check(Some(&known)), []);
    let cut = LIMITS.replace("Soft limit max y-axis = 25\n", "");
    let cut = ScopeSettings::parse(cut.as_bytes()).unwrap();
    let findings: Vec<String> =
        workflow().check(Some(&cut)).iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(
        findings[0].starts_with("line 27: Y (mm): limits of axis y not known: the scope"),
        "{findings:?}"
    );
}

#[test]
fn values_that_the_server_allows_are_no_finding() {
    for (old, new) in [
        ("settings 1 = 2", "settings 1 = 0"),
        ("settings 1 = 2", "settings 1 = 10.5"),
        ("settings 1 = 2", "settings 1 ="),
        ("settings 2 = 3", "settings 2 = 50"),
        ("= 0.2\r", "= 0\r"),
        ("= Tiff", "= BigTiff"),
        ("option = Tile", "option = ZStack"),
        ("    Stack option =", "    Camera 1 capture mode (0 full) = 0\r\n    Stack option ="),
    ] {
        assert_eq!(findings(old, new), Vec::<String>::new(), "{new}");
    }
}

#[test]
fn planes_that_the_server_counts_follow_from_the_distance() {
    let text = FILE.replace("planes = 100", "planes = auto");
    let auto = Workflow::parse(text.as_bytes()).unwrap();
    assert_eq!(auto.planes(), Ok(Some(100)));
    let without = text.replace("(um) = 4", "(um) =");
    let error = Workflow::parse(without.as_bytes()).unwrap().planes().unwrap_err();
    assert!(error.to_string().starts_with("line 18: Number of planes"), "{error}");
}

#[test]
fn a_position_that_is_there_twice_is_checked_twice() {
    let known = ScopeSettings::parse(LIMITS.as_bytes()).unwrap();
    let twice = FILE.replace("    X (mm) = 3.5\r\n", "    X (mm) = 3.5\r\n    X (mm) = 33\r\n");
    let twice = Workflow::parse(twice.as_bytes()).unwrap();
    let found: Vec<String> = twice.check(Some(&known)).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`X (mm)` once in <Start Position>, found it also on line 26"));
    assert!(found[1].starts_with("line 27: <Start Position>: target of axis x"), "{found:?}");
}

#[test]
fn a_form_that_files_have_is_a_warning_with_its_line() {
    for (text, line) in [
        (format!("\u{FEFF}{FILE}"), 1),
        (format!("// by hand\r\n{FILE}"), 1),
        (FILE.replacen("<Camera", "# x\r\n  <Camera", 1), 13),
        (FILE.replacen("</Experiment Settings>", "<//Experiment Settings>", 1), 12),
        (format!("{FILE}</Workflow Settings>\r\n"), 48),
        (FILE.replacen("<Camera", "</Experiment Settings>\r\n  <Camera", 1), 13),
    ] {
        let workflow = Workflow::parse(text.as_bytes()).unwrap();
        assert_eq!(workflow.bytes(), text.as_bytes());
        let found = workflow.check(None);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].line, found[0].severity), (Some(line), Severity::Warning));
        assert_eq!(workflow.planes(), Ok(Some(100)));
    }
}

#[test]
fn a_form_that_may_be_read_otherwise_is_refused_with_its_line() {
    for (text, line) in [
        (FILE.replace("\r\n", "\r"), 1),
        (FILE.replacen("X (mm) = 3.5", "X\u{A0}(mm) = 3.5", 1), 26),
        (FILE.replacen("</Start Position>\r\n", "\r\n", 1), 25),
        (FILE.replacen("Left path =", "Left path", 1), 44),
    ] {
        let refused = Workflow::parse(text.as_bytes()).unwrap_err();
        let WorkflowError::Form(error) = &refused else { panic!("{refused}") };
        assert!(error.line == line || error.to_string().contains("expected </Start"), "{error}");
    }
    let wide: Vec<u8> = FILE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let refused = Workflow::parse(&wide).unwrap_err().to_string();
    assert!(refused.contains("UTF-16"), "{refused}");
}

#[test]
fn planes_are_set_as_a_whole_and_keep_their_direction() {
    let text = FILE.replace("    Z stage velocity (mm/s) = 0.2\r\n", "");
    let mut without = Workflow::parse(text.as_bytes()).unwrap();
    assert!(without.set_planes(50).is_err());
    assert_eq!(without.bytes(), text.as_bytes());
    let text = FILE.replace("(mm) = 0.4\r", "(mm) = -0.4\r").replace("18.4", "17.6");
    let mut down = Workflow::parse(text.as_bytes()).unwrap();
    down.set_planes(50).unwrap();
    assert_eq!(down.depth(), Ok(Some(Mm(-0.2))));
    assert_eq!(down.end().unwrap().unwrap().z, Mm(17.8));
}

const LIMITS: &str = "<Stage limits>\nSoft limit min x-axis = 1\nSoft limit max x-axis = 9\n\
    Soft limit min y-axis = 5\nSoft limit max y-axis = 25\nSoft limit min z-axis = 12\n\
    Soft limit max z-axis = 26\nSoft limit min r-axis = -720\nSoft limit max r-axis = 720\n\
    </Stage limits>\n";

#[test]
fn another_text_is_no_workflow() {
    let settings = Workflow::parse(b"<Stage limits>\n</Stage limits>\n");
    assert_eq!(settings, Err(WorkflowError::NoWorkflow));
    let cut = Workflow::parse(&FILE.as_bytes()[..600]);
    assert!(matches!(cut, Err(WorkflowError::Form(_))), "{cut:?}");
}
