//! The host's clock is set while the program runs: times, deltas and stage positions stay right, and the
//! step is noted in the file. A small library in C sets the clock for the program alone.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::Command;

use crate::program::{flamingo, start_in};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client;

/// The environment of a program whose clock [`HostClock::set`] sets.
pub(crate) struct HostClock {
    library: PathBuf,
    step: PathBuf,
}

impl HostClock {
    /// Builds the library. Needs a C compiler, as building the program does.
    pub(crate) fn new(folder: &Folder) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clock_step.c");
        let library = folder.0.join("clock_step.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).args([source, "-ldl"]);
        assert!(compiler.status().expect("a C compiler").success());
        Self { library, step: folder.0.join("step") }
    }

    pub(crate) fn environment(&self) -> [(&str, &str); 2] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("CLOCK_STEP", self.step.to_str().unwrap()),
        ]
    }

    /// Sets the clock by this many seconds.
    pub(crate) fn set(&self, seconds: i64) {
        let new = self.step.with_extension("new");
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, &self.step).unwrap();
    }
}

#[test]
fn a_clock_that_is_set_back_changes_no_position_or_time() {
    let (folder, images) = (Folder::new("clock-step"), Folder::new("clock-step-images"));
    let clock = HostClock::new(&folder);
    let scenario = "[images]\nwidth = 32\nheight = 20\nframes_per_s = 100\n";
    let simulator = raw_client::simulator(scenario);
    let address = simulator.control().to_string();
    let out = images.0.to_str().unwrap();
    let arguments = ["live", "--count", "80", "--json", "--out", out, "--connect", &address];
    let running = start_in(&clock.environment(), &arguments);
    running.line();
    clock.set(-3_600);
    flamingo(&["move", "z", "19.2", "--wait", "--connect", &address]).expect_done();
    let told = running.ended();
    let told = told.expect_done().objects();
    // The first line is read, the last one has the totals.
    let (images_told, _) = told.split_at(79);
    let times: Vec<_> = images_told.iter().map(|image| image["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let z = images_told.iter().filter_map(|image| image["position_z_mm"].as_f64());
    let z: Vec<f64> = z.collect();
    assert!(z.iter().any(|z| *z > 19.0 && *z < 19.2), "on the way: {z:?}");

    let file = std::fs::File::open(&images.files()[0]).unwrap();
    let mut decoder = tiff::decoder::Decoder::new(file).unwrap();
    let xml = decoder.get_tag_ascii_string(tiff::tags::Tag::ImageDescription).unwrap();
    let deltas = xml.split("DeltaT=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let deltas: Vec<f64> = deltas.map(|delta| delta.parse().unwrap()).collect();
    assert!(deltas.is_sorted_by(|one, next| one < next), "{deltas:?}");
    assert!(deltas.last().is_some_and(|last| *last > 0.1 && *last < 60.0), "{deltas:?}");
    let xml = xml.replace("&apos;", "'");
    assert!(xml.contains("the host's clock was set back by 3600."), "{xml}");
}

#[test]
fn a_recording_notes_that_the_clock_was_set_and_keeps_its_times() {
    let folder = Folder::new("clock-step-record");
    let clock = HostClock::new(&folder);
    let file = folder.path("run.pcapng");
    let simulator = raw_client::simulator("");
    let address = simulator.control().to_string();
    let arguments = ["record", "--out", &file, "--listen", "0", "--connect", &address, "--json"];
    let recorder = start_in(&clock.environment(), &arguments);
    let connect = crate::program::address(&recorder.ports()["control"]);
    let ask = || flamingo(&["get", "position", "--connect", &connect]);
    ask().expect_done();
    clock.set(-3_600);
    ask().expect_done();
    clock.set(60);
    ask().expect_done();
    recorder.interrupt();
    assert_eq!(recorder.ended().code, Some(0));

    let rows = flamingo(&["decode", "--json", &file]).expect_done().objects();
    let steps = rows.iter().filter(|row| row["kind"] == "clock_step");
    let steps: Vec<_> = steps.map(|row| row["clock_step_s"].as_f64().unwrap().round()).collect();
    assert_eq!(steps, [-3_600.0, 3_660.0]);
    let times: Vec<_> = rows.iter().map(|row| row["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(rows.iter().all(|row| row["kind"] != "silent"), "{rows:?}");
    let text = flamingo(&["decode", &file]);
    let text = &text.expect_done().stdout;
    let said = "s here; times go on without the step";
    assert!(
        text.contains("the host's clock was set back by 3600.") && text.contains(said),
        "{text}"
    );
}
