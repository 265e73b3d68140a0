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
    assert_eq!(workflow.stack_option(), Ok(StackOption::Tile { across: 2, down: 3 }));
    assert_eq!((workflow.stacks(), workflow.images()), (Ok(6), Ok(600)));
    assert_eq!(workflow.repetitions(), Ok(25));
    assert_eq!(workflow.acquisition_time(), Ok(Some(Duration::from_secs(12))));
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
        ("settings 1 = 2", "settings 1 = 0", "error line 21: Stack option: Tile"),
        ("50.000000", "-1", "error line 4: Frame rate (f/s): expected above 0"),
    ] {
        let found = findings(old, new);
        assert!(found.iter().any(|finding| finding.starts_with(expected)), "{new}: {found:?}");
    }
    let missing = findings("    Number of planes = 100\r\n", "");
    assert!(missing.iter().any(|f| f.starts_with("error Number of planes")), "{missing:?}");
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
    assert!(findings[0].starts_with("line 27: Y (mm): the scope settings do not"), "{findings:?}");
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
