//! Stored data of the instrument: scope settings, control settings, drives.

use std::fmt::Write;

use flamingo_protocol_core::{CommandCode as Code, Frame};

use super::light::Led;
use super::stage::Stage;
use super::{Command, Instrument, Reply, with_text};
use crate::scenario::{AxisModel, Scenario};

pub(super) struct Storage {
    /// The scope settings that a client saved. Until then the text is made from the scenario.
    saved: Option<Vec<u8>>,
    drives: String,
}

impl Storage {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { saved: None, drives: scenario.settings.drives.join("\n") }
    }
}

impl Instrument {
    fn settings_text(&self) -> Vec<u8> {
        let made = || scope_settings(&self.stage, &self.light.led).into_bytes();
        self.storage.saved.clone().unwrap_or_else(made)
    }

    /// Pushes the scope settings to all clients, if the scenario says so.
    pub(super) fn push_settings(&mut self) {
        if self.scenario.settings.pushed_at_live_start {
            let frame = Frame { status: 1, ..Frame::new(Code::COMMON_SCOPE_SETTINGS) };
            self.push(frame, &self.settings_text());
        }
    }

    pub(super) fn storage_command(&mut self, command: &Command, payload: &[u8]) -> Option<Reply> {
        match command.frame.code {
            Code::COMMON_SCOPE_SETTINGS_LOAD => {
                let mut reply = Reply::done(command).with_payload(self.settings_text());
                if self.scenario.settings.answer_under_1007 {
                    reply.frame.code = Code::COMMON_SCOPE_SETTINGS;
                }
                Some(reply)
            }
            Code::COMMON_SCOPE_SETTINGS_SAVE => {
                if payload.is_empty() {
                    return Some(Reply::refused(command));
                }
                self.storage.saved = Some(payload.to_vec());
                Some(Reply::done(command))
            }
            Code::COMMON_CONTROL_SETTINGS_SAVE => {
                Some(Reply::done_if(command, !payload.is_empty()))
            }
            Code::STORAGE_PATH_SET if command.frame.selector() == 0 => {
                let mut reply = Reply::done(command);
                if self.scenario.settings.drives_in_buffer {
                    reply.frame = with_text(reply.frame, &self.storage.drives);
                    return Some(reply);
                }
                Some(reply.with_payload(self.storage.drives.as_bytes()))
            }
            Code::STORAGE_PATH_SET
            | Code::STORAGE_PATH_UNMOUNT
            | Code::STORAGE_PATH_TEST
            | Code::COMMON_SYSTEM_UPDATE_LIVE_VIEW => Some(Reply::done(command)),
            _ => None,
        }
    }
}

/// The scope settings in the form of the instrument's own file.
fn scope_settings(stage: &Stage, led: &Led) -> String {
    let mut text = String::with_capacity(3000);
    section(&mut text, "Filter wheel encoder counts", &filter_lines());
    let assigned = [1, 2, 3, 4, 0, 0, 0];
    let mut lines: Vec<_> =
        (1..).zip(assigned).map(|(laser, place)| format!("Laser {laser} = {place}")).collect();
    lines.push("LED = 0".to_owned());
    section(&mut text, "Filter wheel position assignments", &lines);
    section(&mut text, "Illumination settings", &illumination_lines());
    section(&mut text, "Stage limits", &stage_lines(stage));
    let camera = |number: i32| {
        [
            format!("Camera {number} overlap percent = 100"),
            format!("Camera {number} capture mode (0: full, 1: from front, 2: from back) = 0"),
        ]
    };
    section(&mut text, "Camera overlap settings", &[camera(1), camera(2)].concat());
    section(&mut text, "LED settings", &led_lines(led));
    let kind = [
        "Microscope type = simulated SPIM",
        "Microscope name = simulator",
        "Microscope address = 127.0.0.1 53717",
        "Microscope builder = flamingo sim",
        "Objective lens magnification = 25.69",
        "Tube lens design focal length (mm) = 200",
        "Tube lens length (mm) = 200",
    ];
    section(&mut text, "Type", &kind.map(str::to_owned));
    text
}

fn section(text: &mut String, name: &str, lines: &[String]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "<{name}>");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "</{name}>");
}

fn filter_lines() -> Vec<String> {
    let filters = ["open", "450/40", "520/35", "600/50", "680LP", "empty", "empty", "empty"];
    let counts = (1..=8)
        .map(|place| format!("Filter wheel position {place} = {} {}", place * 512 - 37, 8 - place));
    let names = (1..)
        .zip(filters)
        .map(|(place, filter)| format!("Filter wheel description {place} = {filter}"));
    counts.chain(names).collect()
}

fn illumination_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (what, x) in [("Offset left", 1500), ("Offset right", 2250)] {
        lines.push(format!("{what} x-axis = {x}"));
        lines.push(format!("{what} y-axis = -1"));
    }
    for side in ["left", "right"] {
        lines.push(format!("Amplitude {side} x-axis = 120"));
        lines.push(format!("Amplitude {side} y-axis = -1"));
    }
    lines.push("Alignment center x-axis = 1900".to_owned());
    lines.push("Alignment center y-axis = -1".to_owned());
    lines.push("Sample scan frequency (Hz) = 250".to_owned());
    lines
}

fn stage_lines(stage: &Stage) -> Vec<String> {
    type Value = fn(&AxisModel) -> f64;
    let rows: [(&str, Value); 8] = [
        ("Hard limit max", |axis| axis.max),
        ("Hard limit min", |axis| axis.min),
        ("Soft limit max", |axis| axis.max),
        ("Soft limit min", |axis| axis.min),
        ("Home", |axis| axis.home),
        // Where samples are changed: the low end of the range; 0 for R.
        ("Unload", |axis| if axis.min < 0.0 { 0.0 } else { axis.min }),
        ("Unload velocity", |axis| axis.velocity / 2.0),
        ("Default velocity", |axis| axis.velocity),
    ];
    let mut lines = Vec::new();
    for (what, value) in rows {
        for (number, name) in (1..).zip(["x", "y", "z", "r"]) {
            let value = stage.axis(number).map_or(0.0, |axis| value(axis.spec()));
            lines.push(format!("{what} {name}-axis = {value:.3}"));
        }
    }
    lines
}

fn led_lines(led: &Led) -> Vec<String> {
    let mut lines = vec![
        format!("LED selection (0 red, 1 green, 2 blue, 3 white) = {}", led.colour),
        format!("Preview on = {}", i32::from(led.preview)),
        "Recording on = 0".to_owned(),
    ];
    for (colour, value) in ["red", "green", "blue", "white"].iter().zip(led.values) {
        lines.push(format!("Intensity {colour} = {value}"));
    }
    lines.push("UI slider min (match LED DAC) = 3200000".to_owned());
    lines.push("UI slider max (match LED DAC) = 6553500".to_owned());
    lines.push("UI slider factor adjustment = 100".to_owned());
    lines
}
