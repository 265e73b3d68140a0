//! Folders are read again with zarrs: pixels, tables, attributes, and what is there after a crash.

use std::ops::ControlFlow;
use std::path::PathBuf;

use serde_json::Value;
use zarrs::array::Array;
use zarrs::filesystem::FilesystemStore;

use super::layout::AXES;
use super::*;
use crate::image_file::ImageFile;
use crate::image_file::tests::{Folder, facts, picture, pixels};
use crate::units::{Mm, Pose};
use flamingo_runtime_std::ClockStep;

mod hostile;
mod pyramid;

fn open(image: &Path, array: &str) -> Array<FilesystemStore> {
    Array::open(Arc::new(FilesystemStore::new(image).unwrap()), array).unwrap()
}

fn shape(image: &Path, array: &str) -> Vec<u64> {
    open(image, array).shape().to_vec()
}

fn values(image: &Path, array: &str) -> Vec<f64> {
    let array = open(image, array);
    array.retrieve_array_subset(&array.subset_all()).unwrap()
}

fn all_pixels(image: &Path, level: &str) -> Vec<u16> {
    let array = open(image, level);
    array.retrieve_array_subset(&array.subset_all()).unwrap()
}

fn attributes(image: &Path) -> Value {
    let text = std::fs::read(image.join("zarr.json")).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["attributes"].take()
}

fn movie(folder: &Folder) -> (PathBuf, OmeZarr) {
    let path = folder.0.join("a.ome.zarr");
    let movie = OmeZarr::create(&path, Sequence::Time).unwrap();
    (path, movie)
}

fn finished(folder: &Folder, planes: u16) -> PathBuf {
    let (path, mut movie) = movie(folder);
    for plane in 0..planes {
        // Every second image was dropped.
        let (second, number) = (2 * u64::from(plane), 2 * u64::from(plane) + 1);
        movie.add(&picture(&pixels(plane)), &facts(second).number(number)).unwrap();
    }
    movie.finish().unwrap();
    path
}

/// The bytes of all files below a folder.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let length = |path: &Path| std::fs::metadata(path).unwrap().len();
    entries.map(|path| if path.is_dir() { bytes(&path) } else { length(&path) }).sum()
}

fn go_on(_done: u64, _all: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn a_zarr_has_every_pixel_and_what_is_known_of_each_plane() {
    let folder = Folder::new("zarr");
    let path = finished(&folder, 5);
    assert_eq!(shape(&path, "/0"), [5, 1, 1, 23, 37]);
    assert_eq!(all_pixels(&path, "/0"), (0..5).flat_map(pixels).collect::<Vec<_>>());
    assert_eq!(values(&path, "/flamingo/numbers"), [1.0, 3.0, 5.0, 7.0, 9.0]);
    assert_eq!(values(&path, "/flamingo/times"), [0.0, 2.0, 4.0, 6.0, 8.0]);
    assert_eq!(values(&path, "/flamingo/exposures"), [0.009_002; 5]);
    assert_eq!(values(&path, "/flamingo/positions"), [7.5, 15.25, 19.001, -45.5].repeat(5));
    let attributes = attributes(&path);
    let (ome, own) = (&attributes["ome"], &attributes["flamingo"]);
    let image = &ome["multiscales"][0];
    let axes: Vec<_> = image["axes"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(axes, AXES);
    assert_eq!(image["axes"][4]["unit"], "micrometer");
    let scale = &image["datasets"][0]["coordinateTransformations"][0]["scale"];
    assert_eq!(scale, &serde_json::json!([2.0, 1.0, 1.0, 0.253, 0.253]));
    assert_eq!((&ome["version"], &own["finished"]), (&"0.5".into(), &true.into()));
    assert_eq!(own["cameras"][0]["planes"], 5);
    let own_axes = open(&path, "/flamingo/positions").attributes()["axes"].clone();
    assert_eq!(own_axes, serde_json::json!(["x", "y", "z", "r"]));
}

#[test]
fn a_stack_grows_along_z_with_its_step() {
    let folder = Folder::new("zarr-stack");
    let path = folder.0.join("a.ome.zarr");
    let sequence = Sequence::Depth { step: Mm(0.0025) };
    let mut stack = OmeZarr::create(&path, sequence).unwrap();
    for plane in 0..3 {
        stack.add(&picture(&pixels(plane)), &facts(u64::from(plane))).unwrap();
    }
    stack.finish().unwrap();
    assert_eq!(shape(&path, "/0"), [1, 1, 3, 23, 37]);
    assert_eq!(all_pixels(&path, "/0"), (0..3).flat_map(pixels).collect::<Vec<_>>());
    let image = attributes(&path)["ome"]["multiscales"][0].take();
    let scale = &image["datasets"][0]["coordinateTransformations"][0]["scale"];
    assert_eq!(scale[2], 2.5);
    assert_eq!(image["axes"][2]["unit"], "micrometer");
}

#[test]
fn the_positions_of_a_stack_give_its_step() {
    let scale_of = |name: &str, heights: &[Option<f64>]| {
        let folder = Folder::new(name);
        let path = folder.0.join("a.ome.zarr");
        let mut stack = OmeZarr::create(&path, Sequence::Positions).unwrap();
        for (plane, z) in (0..).zip(heights) {
            let mut facts = facts(u64::from(plane));
            facts.pose = z.and_then(|z| facts.pose.map(|pose| Pose { z: Mm(z), ..pose }));
            stack.add(&picture(&pixels(plane)), &facts).unwrap();
        }
        stack.finish().unwrap();
        assert_eq!(shape(&path, "/0"), [1, 1, heights.len() as u64, 23, 37]);
        let image = attributes(&path)["ome"]["multiscales"][0].take();
        let scale = image["datasets"][0]["coordinateTransformations"][0]["scale"][2].clone();
        (scale.as_f64().unwrap(), image["axes"][2]["unit"].clone())
    };
    let micrometer = Value::from("micrometer");
    let up = [Some(19.0), Some(19.002), Some(19.004)];
    assert_eq!(scale_of("zarr-up", &up), (2.0, micrometer.clone()));
    let down = [Some(f64::NAN), Some(19.004), None, Some(19.0)];
    assert_eq!(scale_of("zarr-down", &down), (2.0, micrometer), "a scale is positive");
    let unknown = [None, Some(19.0), None];
    assert_eq!(scale_of("zarr-unknown", &unknown), (1.0, Value::Null));
    let still = [Some(19.0), Some(19.0)];
    assert_eq!(scale_of("zarr-still", &still), (1.0, Value::Null));
}

#[test]
fn the_second_camera_becomes_a_second_channel() {
    let folder = Folder::new("zarr-cameras");
    let (path, mut movie) = movie(&folder);
    movie.name_camera(0, "green");
    for plane in 0..4 {
        let camera = u32::from(plane % 2);
        movie.add(&picture(&pixels(plane)), &facts(0).camera(camera)).unwrap();
        movie.count().unwrap();
    }
    movie.add(&picture(&pixels(9)), &facts(7).camera(1)).unwrap();
    movie.name_camera(1, "red");
    movie.finish().unwrap();
    assert_eq!(shape(&path, "/0"), [3, 2, 1, 23, 37]);
    let none = vec![0; 37 * 23];
    let expected = [pixels(0), pixels(1), pixels(2), pixels(3), none, pixels(9)].concat();
    assert_eq!(all_pixels(&path, "/0"), expected);
    let times = values(&path, "/flamingo/times");
    assert!(times[4].is_nan() && (times[5] - 7.0).abs() < 1e-9, "no image of camera 0: {times:?}");
    let attributes = attributes(&path);
    let channels = &attributes["ome"]["omero"]["channels"];
    assert_eq!(channels.as_array().unwrap().len(), 2);
    let labels = (&channels[0]["label"], &channels[1]["label"]);
    assert_eq!(labels, (&"green (camera 0)".into(), &"red (camera 1)".into()));
}

#[test]
fn a_zarr_that_was_cut_off_has_the_counted_images() {
    let folder = Folder::new("zarr-cut");
    let (path, mut movie) = movie(&folder);
    for plane in 0..3 {
        movie.add(&picture(&pixels(plane)), &facts(0)).unwrap();
    }
    movie.count().unwrap();
    movie.add(&picture(&pixels(3)), &facts(0)).unwrap();
    drop(movie);
    assert_eq!(all_pixels(&path, "/0"), (0..3).flat_map(pixels).collect::<Vec<_>>());
    assert_eq!(values(&path, "/flamingo/times"), [0.0; 3]);
    assert_eq!(attributes(&path)["flamingo"]["finished"], false);
    assert!(write_pyramid(&path, &mut go_on).unwrap().complete);
}

#[test]
fn the_size_of_a_zarr_is_that_of_its_files() {
    let folder = Folder::new("zarr-bytes");
    let (path, mut movie) = movie(&folder);
    for plane in 0..3 {
        movie.add(&picture(&pixels(plane)), &facts(0)).unwrap();
        movie.count().unwrap();
        assert_eq!(movie.bytes(), bytes(&path));
    }
    movie.finish().unwrap();
}

#[test]
fn an_image_of_another_size_begins_no_channel() {
    let folder = Folder::new("zarr-size-channel");
    let (path, mut movie) = movie(&folder);
    movie.add(&picture(&pixels(0)), &facts(0).camera(0)).unwrap();
    let small = Picture::new(1, 1, &[0]).unwrap();
    movie.add(&small, &facts(1).camera(1)).unwrap_err();
    movie.finish().unwrap();
    assert_eq!(shape(&path, "/0"), [1, 1, 1, 23, 37]);
}

#[test]
fn images_are_counted_while_no_other_image_comes() {
    let folder = Folder::new("zarr-idle");
    let (path, mut movie) = movie(&folder);
    for plane in 0..2 {
        movie.add(&picture(&pixels(plane)), &facts(0)).unwrap();
    }
    let begin = flamingo_runtime_std::Clock::start();
    while shape(&path, "/0")[0] < 2 {
        assert!(begin.now().as_micros() < 30_000_000, "the last image is not counted");
        std::thread::yield_now();
    }
    drop(movie);
}

#[test]
fn many_small_images_take_few_files() {
    let folder = Folder::new("zarr-many");
    let (path, mut movie) = movie(&folder);
    let count = 9_000_u16;
    for plane in 0..count {
        let small = [plane; 64];
        let small = Picture::new(8, 8, &small).unwrap();
        let pose =
            Some(Pose { r: crate::units::Degrees(f64::from(plane)), ..facts(0).pose.unwrap() });
        movie.add(&small, &facts(u64::from(plane)).pose(pose)).unwrap();
    }
    movie.finish().unwrap();
    let read = all_pixels(&path, "/0");
    assert!(read.chunks(64).zip(0..count).all(|(plane, at)| plane == [at; 64]));
    let turned = values(&path, "/flamingo/positions");
    let turned: Vec<_> = turned.chunks(4).map(|pose| pose[3]).collect();
    assert_eq!(turned, (0..count).map(f64::from).collect::<Vec<_>>());
    assert_eq!(std::fs::read_dir(path.join("0/c")).unwrap().count(), 9, "1024 planes each");
    let attributes = std::fs::metadata(path.join("zarr.json")).unwrap().len();
    assert!(attributes < 10_000, "{attributes} bytes do not grow with the images");
}

#[test]
fn an_existing_folder_is_not_written_into() {
    let folder = Folder::new("zarr-exists");
    let path = finished(&folder, 1);
    let error = OmeZarr::create(&path, Sequence::Time).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(all_pixels(&path, "/0"), pixels(0));
}

#[test]
fn another_size_and_a_seventeenth_camera_are_errors() {
    let folder = Folder::new("zarr-size");
    let (path, mut movie) = movie(&folder);
    for camera in 0..16 {
        movie.add(&picture(&pixels(0)), &facts(0).camera(camera)).unwrap();
    }
    let error = movie.add(&Picture::new(1, 1, &[0]).unwrap(), &facts(0).camera(0)).unwrap_err();
    assert!(error.to_string().contains("expected images of 37 x 23"), "{error}");
    let error = movie.add(&picture(&pixels(0)), &facts(0).camera(99)).unwrap_err().to_string();
    assert!(error.contains("at most 16 cameras, found 99"), "{error}");
    movie.finish().unwrap();
    assert_eq!(shape(&path, "/0")[..2], [1, 16]);
}

#[test]
fn a_zarr_without_images_leaves_no_folder() {
    let folder = Folder::new("zarr-none");
    let (path, movie) = movie(&folder);
    movie.finish().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_step_of_the_clock_is_noted() {
    let folder = Folder::new("zarr-clock");
    let (path, mut movie) = movie(&folder);
    let step = ClockStep::Back(Duration::from_secs(3600));
    movie.add(&picture(&pixels(0)), &facts(0)).unwrap();
    movie.add(&picture(&pixels(1)), &facts(1).clock_step(step)).unwrap();
    movie.finish().unwrap();
    let steps = attributes(&path)["flamingo"]["clock_steps"].take();
    let step = steps[0].as_str().unwrap();
    assert!(step.starts_with("before plane 1: the host's clock was set back by 3600"), "{step}");
}

/// The file of the next shard is a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_the_images_before_stay() {
    let folder = Folder::new("zarr-full");
    let (path, mut movie) = movie(&folder);
    movie.add(&picture(&pixels(0)), &facts(0)).unwrap();
    let part = path.join("0/c/0/0/0/0/0.part");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    movie.add(&picture(&pixels(1)), &facts(1)).unwrap();
    let error = movie.count().unwrap_err().to_string();
    assert!(error.contains("a.ome.zarr") && error.contains("No space left"), "{error}");
    assert_eq!(all_pixels(&path, "/0"), pixels(0));
    // The file that could not be written is removed, so there is room again.
    movie.finish().unwrap();
    assert_eq!(shape(&path, "/0")[0], 2);
}

#[test]
fn a_zarr_is_read_again_with_all_that_is_known() {
    let folder = Folder::new("zarr-read");
    let path = folder.0.join("a.ome.zarr");
    let mut stack = OmeZarr::create(&path, Sequence::Depth { step: Mm(0.0025) }).unwrap();
    stack.name_camera(1, "red");
    for plane in 0..6 {
        let mut facts = facts(u64::from(plane)).number(3 * u64::from(plane));
        facts.camera = Some(u32::from(plane % 2));
        stack.add(&picture(&pixels(plane)), &facts).unwrap();
    }
    stack.count().unwrap();
    let mut file = ImageFile::open(&path).unwrap();
    let found = file.description();
    assert!(found.unfinished, "it is still being written");
    assert_eq!((found.format, found.width, found.height, found.pages), ("OME-Zarr", 37, 23, 6));
    assert_eq!(found.rotation_deg, Some((-45.5, -45.5)));
    let series = &found.series[0];
    assert_eq!((series.size_t, series.size_c, series.size_z), (1, 2, 3));
    assert_eq!(series.pixel_um, [Some(0.253), Some(0.253), Some(2.5)]);
    assert!(series.channels[1].contains("red"), "{:?}", series.channels);
    assert_eq!(series.numbers[..], [0, 3, 6, 9, 12, 15].map(|number| (number, number)));
    let deltas: Vec<_> = series.planes.iter().map(|it| (it.channel, it.delta_s.unwrap())).collect();
    assert_eq!(deltas, [(0, 0.0), (0, 2.0), (0, 4.0), (1, 1.0), (1, 3.0), (1, 5.0)]);
    assert_eq!(series.planes[5].position_mm, [Some(7.5), Some(15.25), Some(19.001)]);
    assert_eq!(
        file.page(4).unwrap().pixels,
        Some(pixels(3)),
        "the second plane of the second camera"
    );
    assert!(file.page(6).is_err());
    stack.finish().unwrap();
    assert!(!ImageFile::open(&path).unwrap().description().unfinished);
}

#[test]
fn a_zarr_that_is_cut_off_or_foreign_is_a_clear_error() {
    let folder = Folder::new("zarr-foreign");
    let error = |path: &Path| ImageFile::open(path).unwrap_err().to_string();
    assert!(error(&folder.0).contains("a folder without a zarr.json"));
    let path = finished(&folder, 2);
    let write = |file: &str, from: &str, to: &str| {
        let file = path.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
    };
    write("zarr.json", "\"path\": \"0\"", "\"path\": \"../0\"");
    assert!(error(&path).contains("expected a level in the folder"), "{}", error(&path));
    write("zarr.json", "\"path\": \"../0\"", "\"path\": \"0\"");
    write("0/zarr.json", "2,", "0,");
    assert!(error(&path).contains("no planes"), "{}", error(&path));
    write("0/zarr.json", "0,", "2,");
    write("flamingo/times/zarr.json", "4096", "1099511627776");
    assert_eq!(ImageFile::open(&path).unwrap().description().series[0].planes[0].delta_s, None);
    write("0/zarr.json", "23,", "2300000000,");
    assert!(error(&path).contains("level 0"), "{}", error(&path));
    write("zarr.json", "\"x\"", "\"y\"");
    assert!(error(&path).contains("no OME-Zarr image with the axes t c z y x"));
}
