//! Warnings about values that can be read, but that the server does not use as they seem to be meant.

use super::check::{Check, FORMATS};
use super::count::MOST_OVERLAP;
use super::{END, EXPERIMENT, STACK, StackOption};
use crate::units::Percent;

/// The size that a Tiff file must not exceed, in bytes.
const MOST_TIFF: u64 = 4_000_000_000;

/// The size of a full image, in bytes: 2048 × 2048 pixels of 16 bits. The file does not tell it, since
/// the lines `AOI width` and `AOI height` do not change it.
const IMAGE: u64 = 2048 * 2048 * 2;

/// The stack options that the server knows, without those that are counted.
const OTHER_OPTIONS: [&str; 7] =
    ["ZStack Movie", "ZStack API", "ZSweep", "OPT", "OPT ZStacks", "Bidirectional", "None"];

impl Check<'_> {
    /// Warns about stack options that are not counted, and about overlaps that the server changes.
    pub(super) fn stack_option(&mut self) {
        let name = "Stack option";
        match self.value(self.workflow.stack_option()) {
            Some(StackOption::Other(option)) => {
                let known = OTHER_OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(&option));
                let known = if known { "" } else { "is not known: " };
                let message = format!("{option:?} {known}stacks and images are not counted");
                self.warn(STACK, name, &message);
            }
            Some(StackOption::Tile { overlap_x, overlap_y }) => {
                for (number, Percent(overlap)) in [(1, overlap_x), (2, overlap_y)] {
                    if !(0.0..=MOST_OVERLAP).contains(&overlap) {
                        let name = format!("Stack option settings {number}");
                        let message = format!(
                            "an overlap of 0 to {MOST_OVERLAP} % is possible, found {overlap}; the \
                             server changes it"
                        );
                        self.warn(STACK, &name, &message);
                    }
                }
                if matches!(self.workflow.end(), Ok(None)) {
                    let message = format!("Tile: expected an end position in <{END}>, found none");
                    self.warn(STACK, name, &message);
                }
            }
            _ => {}
        }
    }

    pub(super) fn saving(&mut self) {
        let workflow = self.workflow;
        if let Some(directory) = workflow.save_directory().filter(|name| name.contains(['/', '\\']))
        {
            let message =
                format!("the server makes one level of directories only, found {directory:?}");
            self.warn(EXPERIMENT, "Save image directory", &message);
        }
        let Some(format) = workflow.save_format() else { return };
        if !FORMATS.iter().any(|known| known.eq_ignore_ascii_case(&format)) {
            let message = format!("expected one of {}, found {format:?}", FORMATS.join(", "));
            self.warn(EXPERIMENT, "Save image data", &message);
        }
        if workflow.save_drive().is_none() && !format.eq_ignore_ascii_case("NotSaved") {
            self.warn(EXPERIMENT, "Save image drive", "images are saved, but no drive is named");
        }
        let planes = u64::from(workflow.planes().ok().flatten().unwrap_or(0));
        if format.eq_ignore_ascii_case("Tiff") && planes * IMAGE > MOST_TIFF {
            let most = MOST_TIFF / IMAGE;
            let message = format!(
                "a Tiff file above 4 GB fails in the middle of the run: of full images it holds {most} \
                 planes, found {planes}; use BigTiff or Raw"
            );
            self.warn(EXPERIMENT, "Save image data", &message);
        }
    }

    /// Warns about `Camera 1 capture mode = 2`: the server reads only the long name.
    pub(super) fn capture_modes(&mut self) {
        let workflow = self.workflow;
        for entry in workflow.text.entries(STACK) {
            let words: Vec<String> =
                entry.name.split_whitespace().map(str::to_ascii_lowercase).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if let ["camera", number, "capture", "mode"] = words[..] {
                let message = format!(
                    "{}: the server ignores this short name; write `Camera {number} capture mode (0 \
                     full, 1 from front, 2 from back, 3 none)`",
                    entry.name
                );
                self.add(super::Severity::Warning, Some(entry.line), message);
            }
        }
    }
}
