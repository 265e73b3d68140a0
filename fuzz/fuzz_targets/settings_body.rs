//! The body of the fuzz target for scope settings. It panics if reading loses a byte, if the limits of an
//! axis are called known and are not, or if another line that cannot be read changes a limit.

use flamingo_microscope::Axis;
use flamingo_microscope::scope_settings::ScopeSettings;
use flamingo_microscope::units::Position;
use flamingo_microscope::workflow::Severity;

/// Reads any bytes.
pub(crate) fn run(data: &[u8]) {
    let Ok(settings) = ScopeSettings::parse(data) else { return };
    assert_eq!(settings.text().to_bytes(), data);
    let findings = settings.findings();
    assert!(findings.is_sorted_by_key(|finding| finding.line));
    let whole = findings.iter().all(|finding| finding.severity == Severity::Warning);
    assert_eq!(ScopeSettings::parse_whole(data).is_ok(), whole, "{findings:?}");
    for axis in Axis::ALL {
        let limits = settings.limits(axis);
        assert_eq!(limits.is_complete(), limits.known().is_ok());
        let (Ok(()), Some(min), Some(max)) = (limits.known(), &limits.min, &limits.max) else {
            continue;
        };
        let (low, high) = (min.at.value(), max.at.value());
        assert!(low.is_finite() && high.is_finite() && low < high, "{limits:?}");
        for outside in [low.next_down(), high.next_up(), f64::NAN, f64::INFINITY] {
            assert!(limits.check(axis, Position::of(axis, outside)).is_err(), "{outside}");
        }
        for inside in [low, high] {
            assert!(limits.check(axis, Position::of(axis, inside)).is_ok(), "{inside}");
        }
    }
    // The first bytes decide about the encoding.
    if data.len() >= 8 {
        let longer = [data, b"\n<Other>\nno value\nHome x-axis = left\n"].concat();
        let longer = ScopeSettings::parse(&longer).expect("the same encoding");
        for axis in Axis::ALL {
            let (before, after) = (settings.limits(axis), longer.limits(axis));
            assert_eq!((&before.min, &before.max), (&after.min, &after.max));
        }
    }
}
