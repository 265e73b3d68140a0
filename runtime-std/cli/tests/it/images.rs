//! `flamingo images info`: what it says about files of ours, files of others, and files that are cut off.

use std::path::{Path, PathBuf};

use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client;

use crate::program::flamingo;

const QUICK: &str = "[images]\nwidth = 320\nheight = 200\nframes_per_s = 100\n";

/// A file of `flamingo live`.
fn written(folder: &Folder, format: &str) -> PathBuf {
    let simulator = raw_client::simulator(QUICK);
    let (address, out) = (simulator.control().to_string(), folder.0.to_str().unwrap());
    let arguments = ["live", "--count", "6", "--format", format, "--out", out, "--connect"];
    flamingo(&[&arguments[..], &[&address]].concat()).expect_done();
    folder.files().into_iter().next().unwrap()
}

fn info(file: &Path, more: &[&str]) -> crate::program::Ended {
    flamingo(&[&["images", "info", file.to_str().unwrap()], more].concat())
}

#[test]
fn a_movie_tells_its_shape_times_positions_and_range() {
    let folder = Folder::new("info-ome");
    let file = written(&folder, "ome-tiff");
    let found = info(&file, &["--json", "--histogram"]).expect_done().object();
    assert_eq!((&found["format"], &found["pages"]), (&"OME-TIFF".into(), &6.into()));
    assert_eq!((&found["min"], &found["pages_read"]), (&200.into(), &6.into()));
    let counts = found["histogram"]["counts"].as_array().unwrap();
    let pixels: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(pixels, 6 * 320 * 200);
    let series = &found["series"][0];
    assert_eq!((&series["axes"], &series["shape"][0]), (&"TYX".into(), &6.into()));
    assert_eq!((&series["pixel_x_um"], &found["dropped"]), (&0.253.into(), &0.into()));
    assert_eq!(series["channels"][0], "camera 0");
    assert_eq!(series["position_z_mm"], serde_json::json!([19.0, 19.0]));
    assert!(series["images_per_s"].as_f64().unwrap() > 5.0, "{series}");
    let text = info(&file, &["--histogram", "--pages", "2"]);
    let text = &text.expect_done().stdout;
    for words in
        ["axes: TYX 6 x 200 x 320", "scale: 0.253", "positions: X 7.5 mm", "of 2 of 6 pages"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    // The picture is plain text in a pipe: 5 x 10 pixels of the image for each character.
    let picture: Vec<_> = text.lines().rev().take(20).collect();
    assert!(picture.iter().all(|line| line.is_ascii() && line.len() == 64), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn a_png_and_a_tiff_tell_what_they_contain() {
    for format in ["png", "tiff"] {
        let folder = Folder::new(&format!("info-{format}"));
        let file = written(&folder, format);
        let found = info(&file, &["--json"]).expect_done().object();
        assert_eq!((&found["pages"], &found["width"]), (&1.into(), &320.into()), "{format}");
        assert_eq!((&found["min"], &found["finished"]), (&200.into(), &true.into()));
        assert_eq!(found["series"][0]["channels"][0], "camera 0");
    }
}

#[test]
fn files_that_are_cut_off_or_foreign_are_clear_errors() {
    let folder = Folder::new("info-bad");
    let file = written(&folder, "ome-tiff");
    let bytes = std::fs::read(&file).unwrap();
    let cut = folder.0.join("cut.tif");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let ended = info(&cut, &["--json"]);
    ended.expect_error(6, &["cut.tif", "cut off or damaged after page 2"]);
    assert_eq!(ended.object()["pages"], 3, "what is there is told");
    std::fs::write(&cut, &bytes[..100]).unwrap();
    info(&cut, &[]).expect_error(6, &["cut off or damaged"]);
    std::fs::write(&cut, "no image").unwrap();
    info(&cut, &[]).expect_error(2, &["expected an OME-TIFF, a TIFF, a PNG or an OME-Zarr"]);
    info(&folder.0, &[]).expect_error(2, &["found a folder"]);
    info(&folder.0.join("none"), &[]).expect_error(2, &["none"]);
    info(&file, &["--page", "6"]).expect_error(2, &["expected 0 to 5"]);
}
