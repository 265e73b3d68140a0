//! Checks a workflow before it is uploaded. Each finding names its line. What the server makes of
//! valid values is in `cautions.rs`.

use super::values::finite;
use super::{
    AUTO, END, EXPERIMENT, PATH, PLANES, SOURCE, STACK, START, Workflow, WorkflowError, axis_name,
    light,
};
use crate::axis::Axis;
use crate::files::finding::{Finding, Severity};
use crate::files::scope_settings::ScopeSettings;
use crate::files::sections::ValueError;
use crate::units::{Mm, Position};

/// The known names of image formats.
pub(super) const FORMATS: [&str; 4] = ["Tiff", "BigTiff", "Raw", "NotSaved"];

pub(super) struct Check<'a> {
    pub(super) workflow: &'a Workflow,
    findings: Vec<Finding>,
}

impl Workflow {
    /// Finds errors and warnings, in the order of the lines: values that cannot be read or are
    /// missing, values that contradict each other, and values that the server does not use as they
    /// seem to be meant. With scope settings, also positions outside the limits.
    #[must_use]
    pub fn check(&self, settings: Option<&ScopeSettings>) -> Vec<Finding> {
        let mut check = Check { workflow: self, findings: self.text.findings() };
        check.stack();
        check.stack_option();
        check.capture_modes();
        check.times();
        check.light();
        check.saving();
        for section in [START, END] {
            check.position(section, settings);
        }
        if let Some(settings) = settings {
            check.depth_within(settings);
        }
        let mut findings = check.findings;
        findings.sort_by_key(|finding| finding.line);
        findings
    }
}

impl Check<'_> {
    pub(super) fn add(&mut self, severity: Severity, line: Option<usize>, message: String) {
        self.findings.push(Finding { line, severity, message });
    }

    fn error(&mut self, section: &str, name: &str, message: &str) {
        let line = self.line(section, name);
        self.add(Severity::Error, line, format!("{name}: {message}"));
    }

    pub(super) fn warn(&mut self, section: &str, name: &str, message: &str) {
        let line = self.line(section, name);
        self.add(Severity::Warning, line, format!("{name}: {message}"));
    }

    fn line(&self, section: &str, name: &str) -> Option<usize> {
        self.workflow.text.get(section, name).map(|entry| entry.line)
    }

    /// Returns the value, or adds a finding.
    pub(super) fn value<T>(&mut self, value: Result<T, WorkflowError>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(WorkflowError::Value(ValueError { line, name, expected, found })) => {
                let message = format!("{name}: expected {expected}, found {found:?}");
                self.add(Severity::Error, Some(line), message);
                None
            }
            Err(error) => {
                self.add(Severity::Error, None, error.to_string());
                None
            }
        }
    }

    fn stack(&mut self) {
        let workflow = self.workflow;
        let planes = self.value(workflow.planes());
        if let Some(None | Some(0)) = planes {
            let message = "expected 1 or more, found none; without it the workflow does not run";
            self.error(STACK, PLANES, message);
        }
        let planes = planes.flatten().unwrap_or(0);
        let depth = self.value(workflow.depth()).flatten();
        let spacing = self.value(workflow.plane_spacing()).flatten();
        let rate = self.value(workflow.frame_rate()).flatten();
        let velocity = self.value(workflow.z_velocity()).flatten();
        if let Some(Mm(spacing)) = spacing.filter(|spacing| spacing.0 <= 0.0) {
            let found = format!("expected above 0, found {}", spacing * 1000.0);
            self.error(EXPERIMENT, "Plane spacing (um)", &found);
        }
        if let (Some(Mm(depth)), Some(Mm(spacing)), 1..) = (depth, spacing, planes) {
            let expected = spacing * f64::from(planes);
            if (depth.abs() - expected).abs() > 1.5 * spacing {
                let message = format!(
                    "{planes} planes of {} um are {expected:.4} mm, found {depth}",
                    spacing * 1000.0
                );
                self.warn(STACK, "Change in Z axis (mm)", &message);
            }
        }
        if let (Some(velocity), Some(Mm(spacing)), Some(rate), 2..) =
            (velocity, spacing, rate, planes)
        {
            let expected = spacing * rate;
            // 0 lets the server choose.
            if velocity.0 != 0.0 && (velocity.0 - expected).abs() > 0.01 * expected {
                let message = format!(
                    "one plane spacing an image is {expected:.6} mm/s, found {}",
                    velocity.0
                );
                self.warn(STACK, "Z stage velocity (mm/s)", &message);
            }
        }
        if let Some(velocity) = velocity.filter(|v| v.0 != 0.0 && !(0.001..=1.0).contains(&v.0)) {
            let message =
                format!("expected 0.001 to 1 mm/s, or 0 for automatic, found {}", velocity.0);
            self.warn(STACK, "Z stage velocity (mm/s)", &message);
        }
        let entry = workflow.filled(STACK, PLANES);
        if entry.is_some_and(|entry| entry.value.eq_ignore_ascii_case(AUTO)) {
            let message = "`auto` is not documented: the planes are counted from the distance";
            self.warn(STACK, PLANES, message);
        }
        self.depth_and_ends(depth);
    }

    /// Checks where the depth of the stack moves Z, independent of the end position.
    fn depth_within(&mut self, settings: &ScopeSettings) {
        let (start, depth) = (self.workflow.start(), self.workflow.depth());
        let (Ok(Some(start)), Ok(Some(Mm(depth)))) = (start, depth) else { return };
        let end = Position::Mm(start.z.0 + depth);
        if let Err(beyond) = settings.limits(Axis::Z).check(Axis::Z, end) {
            let message = format!("from the start position: {beyond}");
            self.error(STACK, "Change in Z axis (mm)", &message);
        }
    }

    fn depth_and_ends(&mut self, depth: Option<Mm>) {
        let ends = (self.workflow.start(), self.workflow.end());
        if let (Ok(Some(start)), Ok(Some(end)), Some(Mm(depth))) = (ends.0, ends.1, depth) {
            let distance = end.z.0 - start.z.0;
            if (distance - depth).abs() > 0.001 {
                let message = format!(
                    "from start to end Z moves {distance:.4} mm, Change in Z axis is {depth}"
                );
                self.warn(END, "Z (mm)", &message);
            }
        }
    }

    fn times(&mut self) {
        let workflow = self.workflow;
        let exposure = self.value(workflow.exposure()).flatten();
        let rate = workflow.frame_rate().ok().flatten();
        if let Some(rate) = rate.filter(|rate| *rate <= 0.0) {
            let message = format!("expected above 0, found {rate}");
            self.error(EXPERIMENT, "Frame rate (f/s)", &message);
        }
        match (exposure, rate) {
            (Some(exposure), _) if exposure.0 == 0 => {
                self.error(EXPERIMENT, "Exposure time (us)", "expected above 0, found 0");
            }
            (Some(exposure), Some(rate)) if f64::from(exposure.0) * rate > 1.01e6 => {
                let most = 1e6 / f64::from(exposure.0);
                let message =
                    format!("an exposure of {exposure} allows {most:.3} f/s, found {rate}");
                self.warn(EXPERIMENT, "Frame rate (f/s)", &message);
            }
            _ => {}
        }
        let duration = self.value(workflow.duration()).flatten();
        let interval = self.value(workflow.interval()).flatten();
        let zero = std::time::Duration::ZERO;
        if duration.is_some_and(|time| time > zero) && interval.is_none_or(|time| time == zero) {
            let message = "without an interval it runs once, whatever the duration";
            self.warn(EXPERIMENT, "Duration (dd:hh:mm:ss)", message);
        }
    }

    fn light(&mut self) {
        let workflow = self.workflow;
        let lasers = self.value(workflow.lasers());
        let led = self.value(workflow.led());
        let paths = self.value(workflow.paths());
        for conflict in light::conflicts(&workflow.text) {
            self.value(Err::<(), _>(conflict));
        }
        for laser in lasers.iter().flatten() {
            let line = Some(laser.line);
            if !(0.0..=100.0).contains(&laser.level.0) {
                let message =
                    format!("Laser {}: expected 0 to 100 %, found {}", laser.number, laser.level);
                self.add(Severity::Error, line, message);
            } else if laser.on && laser.level.0 == 0.0 {
                let message = format!("Laser {} is on at 0 %", laser.number);
                self.add(Severity::Warning, line, message);
            }
        }
        if let Some(Some((level, _))) = led
            && !(0.0..=100.0).contains(&level.0)
        {
            let message = format!("expected 0 to 100 %, found {level}");
            self.error(SOURCE, "LED_RGB_Board", &message);
        }
        let (Some(lasers), Some(led), Some(paths)) = (lasers, led, paths) else { return };
        let laser_on = lasers.iter().any(|laser| laser.on);
        if !laser_on && led.is_none_or(|(_, on)| !on) {
            self.add(Severity::Warning, None, "no laser and no LED is on".to_owned());
        }
        if laser_on && paths == [Some(false), Some(false)] {
            self.warn(PATH, "Left path", "a laser is on, but both paths are off");
        }
    }

    /// Checks a position. If a line is there twice, both are checked, since the server may use either.
    fn position(&mut self, section: &'static str, settings: Option<&ScopeSettings>) {
        let workflow = self.workflow;
        for axis in Axis::ALL {
            let name = axis_name(axis);
            let entries = workflow.text.all(section, name);
            let entries: Vec<_> = entries.filter(|entry| !entry.value.is_empty()).collect();
            if section == START && workflow.filled(section, name).is_none() {
                let message = format!("<{section}>: expected a position, found none");
                self.error(section, name, &message);
            }
            for entry in &entries {
                let at = finite(entry);
                let Some(at) = self.value(at.map_err(WorkflowError::from)) else { continue };
                let Some(limits) = settings.map(|settings| settings.limits(axis)) else { continue };
                if let Err(unknown) = limits.known() {
                    let message = format!("{name}: limits of axis {axis} not known: {unknown}");
                    self.add(Severity::Error, Some(entry.line), message);
                }
                if let Err(beyond) = limits.check(axis, Position::of(axis, at)) {
                    let message = format!("<{section}>: {beyond}");
                    self.add(Severity::Error, Some(entry.line), message);
                }
            }
        }
    }
}
