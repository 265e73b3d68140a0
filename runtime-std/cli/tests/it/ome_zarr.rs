//! `flamingo live --format ome-zarr` and `flamingo images pyramid`. `scripts/check-ome-zarr` opens such folders
//! with other programs.

use std::path::{Path, PathBuf};

use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client;
use serde_json::{Value, json};

use crate::program::{flamingo, start};

const QUICK: &str = "[images]\nwidth = 320\nheight = 200\nframes_per_s = 100\n";
const LARGE: &str = "[images]\nwidth = 2048\nheight = 1024\nframes_per_s = 60\n";

fn metadata(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path.join("zarr.json")).unwrap()).unwrap()
}

fn levels(image: &Path) -> usize {
    let root = metadata(image);
    root["attributes"]["ome"]["multiscales"][0]["datasets"].as_array().unwrap().len()
}

fn live(folder: &Folder, arguments: &[&str]) -> (PathBuf, Vec<Value>) {
    live_of(QUICK, folder, arguments)
}

/// Runs `flamingo live` with these arguments; returns the folder of the image and what was printed.
fn live_of(scenario: &str, folder: &Folder, arguments: &[&str]) -> (PathBuf, Vec<Value>) {
    let simulator = raw_client::simulator(scenario);
    let address = simulator.control().to_string();
    let out = folder.0.to_str().unwrap();
    let all = ["live", "--connect", &address, "--out", out, "--format", "ome-zarr", "--json"];
    let told = flamingo(&[&all, arguments].concat()).expect_done().objects();
    let [image] = &folder.files()[..] else { panic!("expected one folder") };
    (image.clone(), told)
}

#[test]
fn live_images_become_a_zarr() {
    let folder = Folder::new("live-zarr");
    let (image, told) = live(&folder, &["--count", "4"]);
    let closing = told.last().unwrap();
    assert_eq!((&closing["written"], &closing["dropped"]), (&4.into(), &0.into()));
    assert_eq!(told[0]["file"], image.to_str().unwrap());
    assert_eq!(metadata(&image.join("0"))["shape"], json!([4, 1, 1, 200, 320]));
    assert_eq!(metadata(&image)["attributes"]["flamingo"]["finished"], true);
}

#[test]
fn a_zarr_has_the_images_that_were_not_dropped() {
    let folder = Folder::new("live-zarr-dropped");
    let arguments = ["--for", "1s", "--mode", "every", "--memory", "4"];
    // Quicker than many disks.
    let (image, told) = live_of(LARGE, &folder, &arguments);
    let closing = told.last().unwrap();
    let number = |key: &str| closing[key].as_u64().unwrap();
    assert_eq!(metadata(&image.join("0"))["shape"][0], number("written"));
    assert_eq!(number("taken"), number("written"));
    // At the end some may wait that nobody takes any more.
    let accounted = number("taken") + number("dropped");
    assert!((accounted..=accounted + 3).contains(&number("received")), "{closing}");
}

#[test]
fn the_levels_of_a_zarr_are_written_once() {
    let folder = Folder::new("live-zarr-levels");
    let (image, _) = live(&folder, &["--count", "2"]);
    assert_eq!(levels(&image), 1);
    for _ in 0..2 {
        let ended = flamingo(&["images", "pyramid", image.to_str().unwrap(), "--json"]);
        let told = ended.expect_done().object();
        assert_eq!(told, json!({"file": image.to_str().unwrap(), "levels": 2}));
    }
    assert_eq!(levels(&image), 2);
    assert_eq!(metadata(&image.join("1"))["shape"], json!([2, 1, 1, 100, 160]));
}

#[test]
fn ctrl_c_finishes_a_zarr() {
    let simulator = raw_client::simulator(QUICK);
    let address = simulator.control().to_string();
    let folder = Folder::new("live-zarr-ctrl-c");
    let out = folder.0.to_str().unwrap();
    let all = ["live", "--connect", &address, "--out", out, "--format", "ome-zarr", "--json"];
    let running = start(&all);
    for _ in 0..3 {
        running.line();
    }
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let closing: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let image = &folder.files()[0];
    assert_eq!(metadata(&image.join("0"))["shape"][0], closing["written"]);
    assert_eq!(metadata(image)["attributes"]["flamingo"]["finished"], true);
}

#[test]
fn a_pyramid_of_what_is_no_image_is_refused() {
    let folder = Folder::new("pyramid-of-nothing");
    for path in [folder.path("missing"), folder.path("")] {
        let ended = flamingo(&["images", "pyramid", &path]);
        ended.expect_error(2, &["expected the folder of an OME-Zarr image"]);
    }
}

#[test]
fn what_a_zarr_contains_is_printed_and_drawn() {
    let folder = Folder::new("zarr-info");
    let (image, _) = live(&folder, &["--count", "3"]);
    let info = ["images", "info", image.to_str().unwrap()];
    let told = flamingo(&[&info[..], &["--json"]].concat()).expect_done().object();
    assert_eq!((&told["format"], &told["pages"]), (&"OME-Zarr".into(), &3.into()), "{told}");
    assert_eq!(told["series"][0]["axes"], "TYX");
    assert_eq!((&told["finished"], &told["pages_read"]), (&true.into(), &3.into()));
    let ended = flamingo(&info);
    ended.expect_done();
    assert!(ended.stdout.contains("OME-Zarr, 3 pages of"), "{}", ended.stdout);
    assert!(ended.stdout.lines().count() > 10, "a picture: {}", ended.stdout);
}
