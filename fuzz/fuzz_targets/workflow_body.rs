//! The body of the fuzz target for workflow files. It panics if reading loses a byte, if a value that was
//! set is not read again, or if a position outside of the limits is no error.

use flamingo_microscope::Axis;
use flamingo_microscope::scope_settings::ScopeSettings;
use flamingo_microscope::units::{Micros, Mm};
use flamingo_microscope::workflow::{FieldOfView, Severity, Workflow};

const LIMITS: &[u8] = b"<Stage limits>\nSoft limit min x-axis = 1\nSoft limit max x-axis = 9\n\
    Soft limit min y-axis = 5\nSoft limit max y-axis = 25\nSoft limit min z-axis = 12\n\
    Soft limit max z-axis = 26\nSoft limit min r-axis = -720\nSoft limit max r-axis = 720\n\
    </Stage limits>\n";

/// Reads any bytes.
pub(crate) fn run(data: &[u8]) {
    let Ok(workflow) = Workflow::parse(data) else { return };
    assert_eq!(workflow.bytes(), data);
    let settings = ScopeSettings::parse(LIMITS).expect("limits");
    let findings = workflow.check(Some(&settings));
    assert!(findings.is_sorted_by_key(|finding| finding.line));
    let runs = findings.iter().all(|finding| finding.severity == Severity::Warning);
    if runs {
        check_of_a_workflow_that_runs(&workflow, &settings);
    }
    let view = Some(FieldOfView { width: Mm(0.5), height: Mm(0.25) });
    for view in [None, view] {
        assert_ne!(workflow.stacks(view), Ok(Some(0)));
        let _ = (workflow.images(view), workflow.acquisition_time(view), workflow.repetitions());
    }
    set_values(workflow);
}

/// What is uploaded is within the limits, and its values can be read.
fn check_of_a_workflow_that_runs(workflow: &Workflow, settings: &ScopeSettings) {
    let start = workflow.start().expect("a start that can be read").expect("a start");
    for (axis, position) in start.each() {
        settings.limits(axis).check(axis, position).expect("a start within the limits");
    }
    for axis in Axis::ALL {
        if let Some(end) = workflow.end_of(axis).expect("an end that can be read") {
            settings.limits(axis).check(axis, end).expect("an end within the limits");
        }
    }
    assert!(workflow.planes().expect("planes that can be read").is_some_and(|planes| planes > 0));
    workflow.stacks(None).expect("stacks that can be counted");
}

fn set_values(mut workflow: Workflow) {
    if workflow.set_exposure(Micros(7)).is_ok() {
        assert_eq!(workflow.exposure(), Ok(Some(Micros(7))));
    }
    if workflow.set_comments("two = 2").is_ok() {
        assert_eq!(workflow.comments().as_deref(), Some("two = 2"));
    }
    if workflow.set_planes(3).is_ok() {
        assert_eq!(workflow.planes(), Ok(Some(3)));
    }
    let bytes = workflow.bytes().to_vec();
    assert_eq!(Workflow::parse(&bytes).as_ref().map(Workflow::bytes), Ok(&bytes[..]));
}
